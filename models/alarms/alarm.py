"""An alarm is a value: what changed, since when, by how much. It holds no sentence and no severity."""

from __future__ import annotations

from typing import NamedTuple

from aftercall.records import Direction, Severity
from models.messages import AnyGroup

Series = tuple[str, AnyGroup, str]
"""(kind, group, metric): at most one alarm is open for each."""


class Began(NamedTuple):
    """What began at the moment of a change, which was known beforehand.

    Attributes:
        what: such as "config 'v2'".
        against: what the outcomes since then were held against.
        others: task types in which the same arm had alarmed before; without them the evidence would not have been
            enough.
    """

    what: str
    against: str
    others: tuple[str, ...] = ()


class RateChange(NamedTuple):
    """`baseline` and `current` are success rates.

    `inherited`: the baseline is that of the series' roll-up. `began`: of a test at a known moment.
    """

    inherited: bool
    began: Began | None = None


class SourceRateChange(NamedTuple):
    """`baseline` and `current` are success rates by what `source` says, whatever decides."""

    source: str


class RuleChange(NamedTuple):
    """`baseline` and `current` are shares of checked calls that violate a rule; its changes are `worst` at most."""

    worst: Severity


class MeanChange(NamedTuple):
    """`baseline` and `current` are geometric means in `unit`; mean scores where it is empty."""

    unit: str


class ShareChange(NamedTuple):
    """`baseline` and `current` are shares of values above `level`, in `unit`; of scores where that is empty."""

    level: float
    unit: str


class VolumeChange(NamedTuple):
    """`baseline` and `current` are in `unit`; `seen` events arrived where `expected` were due.

    `per_day`: how many more or fewer than usual that is in a day, and `share` as part of all traffic of the kind.
    """

    seen: float
    expected: float
    unit: str
    per_day: float = 0.0
    share: float = 1.0


Details = RateChange | SourceRateChange | RuleChange | MeanChange | ShareChange | VolumeChange
"""What the numbers of an alarm are, and what else its sentence needs."""


class OpenAlarm(NamedTuple):
    """An alarm that is open.

    Attributes:
        direction: of its series.
        opened_at: when it was raised, microseconds.
        baseline: the level before it.
        current: the level that was reported last.
        promised: whether it falls under the promise on false alarms.
    """

    direction: Direction
    opened_at: int
    baseline: float
    current: float
    promised: bool


class Alarm(NamedTuple):
    """What a detector found in one series.

    Attributes:
        at: when, in event time: the end of the minute whose events raised it, microseconds.
        series: of what.
        direction: of the change.
        baseline: the level before the change; of a recovery, that before the change that it ends.
        current: the level since.
        effect_low, effect_high: interval of current minus baseline, at 99 %; None of a recovery.
        changed_at: estimate of when it changed, microseconds.
        promise: false alarms per 1,000 groups per week, over all promised alarms together; None where none is promised.
        evidence: numbers that the detector went by, finite, of six significant digits.
        details: see `Details`.
        again: an alarm in this direction is open, and the level has moved again.
        ends: the open alarm, in the other direction, that this one ends: it is a recovery.
    """

    at: int
    series: Series
    direction: Direction
    baseline: float
    current: float
    effect_low: float | None
    effect_high: float | None
    changed_at: int
    promise: float | None
    evidence: dict[str, float]
    details: Details
    again: bool = False
    ends: OpenAlarm | None = None


def by_time(alarm: Alarm) -> tuple[int, tuple[str, ...], str, str]:
    """Sort key: time, then group, kind and metric."""
    kind, group, metric = alarm.series
    return alarm.at, tuple(part or "" for part in group), kind, metric
