"""Says of two spans of a (model, config) arm: rates, intervals, and whether they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from flows.reports.insights_evidence import DetectionDelay, Silence

Change = Literal["worse", "better", "no_certain_change", "not_enough_evidence"]
NOTABLE_DROP: Final = 0.10
"""A drop of the success rate that must be excluded before an arm counts as not worse: an alert on one so large is
critical where it costs enough."""


@dataclass(frozen=True)
class Side:
    """Calls of one span. Rates are shares of the resolved calls, in [0, 1]; None if no call is resolved.

    `low`, `high` are anytime-valid 95 % bounds (decide on these); `wilson_*` hold for a single look.
    """

    calls: int
    resolved: int
    successes: int
    failures: int
    pending: int
    expired: int
    rate: float | None
    low: float | None
    high: float | None
    wilson_low: float | None
    wilson_high: float | None


@dataclass(frozen=True)
class Corrected:
    """The delay-corrected rate of the lookback, if the snapshot holds exactly that span, and its maturity.

    `delta_*`: its difference from the baseline's rate, with an anytime-valid interval.
    """

    rate: float | None
    low: float | None
    high: float | None
    maturity: float | None
    delta: float | None = None
    delta_low: float | None = None
    delta_high: float | None = None


@dataclass(frozen=True)
class ArmInsight:
    """One (model, config); both None for the sum of all. `delta` = current - baseline, absolute.

    `separated`: the rates differ, at a level that holds even if a user looks every hour for four weeks. `power`: how
    soon a drop of this arm would be noticed, None for the sum of all. `design_effect`: so many outcomes tell as much as
    one that shares no conversation; all intervals allow for it.
    """

    model: str | None
    config: str | None
    baseline: Side
    current: Side
    corrected: Corrected | None
    delta: float | None
    delta_low: float | None
    delta_high: float | None
    separated: bool
    silence: Silence | None = None
    power: DetectionDelay | None = None
    design_effect: float = 1.0

    @property
    def best_rate(self) -> float | None:
        """The success rate of the lookback: once all outcomes are in, where that can be estimated."""
        return self.current.rate if self.corrected is None or self.corrected.rate is None else self.corrected.rate

    @property
    def best_delta(self) -> float | None:
        """Its difference from the baseline's."""
        return self.delta if self.corrected is None or self.corrected.delta is None else self.corrected.delta

    @property
    def state(self) -> Change:
        """What the two spans say together; the corrected rate decides where there is one."""
        low = self.delta_low if self.corrected is None or self.corrected.delta is None else self.corrected.delta_low
        if self.separated:
            return "worse" if (self.best_delta or 0) < 0 else "better"
        if self.delta is None or low is None or low <= -NOTABLE_DROP:
            return "not_enough_evidence"
        return "no_certain_change"
