"""Compares two spans of each (model, config) arm: rates, intervals, and whether they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from flows.reports.insights_evidence import DetectionDelay, Silence, silence
from models.arrays import F64, I64
from models.stats.bounds import manski
from models.stats.comparison import Compared as ComparedSpans
from models.stats.comparison import Span, compare
from models.stats.intervals import Z_95, confidence_sequence, wilson

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


EMPTY = (0, 0, 0, 0, 0)
"""calls, successes, failures, pending, expired."""
Counts = tuple[int, int, int, int, int]
ArmKey = tuple[str | None, str | None]
"""Model and config."""
Pair = tuple[Counts, Counts, Corrected | None]
"""Counts of the baseline, counts and corrected rate of the lookback."""


class Effects(NamedTuple):
    """Design effects of a task type's arms, and of all their outcomes together: conversations may go on across arms."""

    arms: Mapping[ArmKey, float]
    whole: float = 1.0


NO_EFFECTS: Final = Effects(MappingProxyType({}))


class Compared(NamedTuple):
    """A task type as a whole, and its arms by name."""

    overall: ArmInsight
    arms: list[ArmInsight]


def total(sides: list[Counts]) -> Counts:
    """The sum of the counts of several arms."""
    calls, successes, failures, pending, expired = (sum(column) for column in zip(EMPTY, *sides, strict=True))
    return calls, successes, failures, pending, expired


def pooled(arms: list[ArmInsight], effect: float = 1.0) -> Corrected | None:
    """The corrected rate over all arms, weighted by their expected verdicts; None if one of the rates is unknown.

    `effect`: design effect of the rate over all arms.
    """
    weight = rate = variance = inside = 0.0
    if not any(arm.current.pending for arm in arms):
        return _as_it_is(arms, effect)
    for arm in arms:
        if not arm.current.resolved:
            continue
        final = arm.corrected
        if final is None or final.rate is None or final.low is None or final.high is None or not final.maturity:
            return None
        expected = arm.current.resolved / final.maturity
        weight, inside, rate = weight + expected, inside + arm.current.resolved, rate + expected * final.rate
        variance += (expected * (final.high - final.low) / (2 * Z_95)) ** 2 * (effect / arm.design_effect)
    if not weight:
        return None
    rate, error = rate / weight, variance**0.5 / weight
    # On the scale of log odds, like that of each arm: differences are of its middle. Kept off 0 and 1, which have none.
    middle = min(max(rate, 0.5 / (weight + 1)), 1 - 0.5 / (weight + 1))
    log_odds, half = np.log(middle / (1 - middle)), Z_95 * error / (middle * (1 - middle))
    return Corrected(rate, float(expit(log_odds - half)), float(expit(log_odds + half)), inside / weight)


def _as_it_is(arms: list[ArmInsight], effect: float) -> Corrected | None:
    """The rate over arms of which no verdict can come any more."""
    successes = sum(arm.current.successes for arm in arms)
    resolved = sum(arm.current.resolved for arm in arms)
    if not resolved or all(arm.corrected is None for arm in arms):
        return None
    worth = min(effect, resolved)
    low, high = wilson(successes / worth, resolved / worth)
    return Corrected(successes / resolved, float(low), float(high), 1.0)


def compare_arms(
    names: Sequence[ArmKey],
    pairs: Sequence[Pair],
    groups: I64 | None = None,
    power: Mapping[ArmKey, DetectionDelay] = MappingProxyType({}),
    effects: Sequence[float] | None = None,
) -> list[ArmInsight]:
    """Compare the two spans of every arm.

    Args:
        names: Model and config.
        pairs: What is known of the spans.
        groups: How many arms share one error rate, of each arm; None: these all.
        power: How soon a drop would be noticed, of those of which it is known.
        effects: Design effects of the arms; None: their outcomes are independent.
    """
    effect = np.array([1.0] * len(names) if effects is None else effects, np.float64)
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    compared = compare(_span_of(before, effect), _span_of(after, effect), _ends(pairs, effect), groups=groups)
    sides = _sides(before, effect), _sides(after, effect)
    rows = zip(names, *sides, pairs, _bounds(after, effect), _apart(compared), effect.tolist(), strict=True)
    return [
        _arm(name, (one, other), pair[2], bounds, apart, power.get(name), worth)
        for name, one, other, pair, bounds, apart, worth in rows
    ]


def compare_tasks(
    tasks: Mapping[str, Mapping[ArmKey, Pair]],
    power: Mapping[ArmKey, DetectionDelay] = MappingProxyType({}),
    effects: Mapping[str, Effects] = MappingProxyType({}),
) -> dict[str, Compared]:
    """Compare the arms of task types, and each task type as a whole; arms of one task type share one error rate.

    `power`: see `compare_arms`; of the arms of a single task type. `effects`: by task type, where there are any.
    """
    flat = [(name, pair) for arms in tasks.values() for name, pair in sorted(arms.items())]
    sizes = [len(arms) for arms in tasks.values()]
    of = {task: effects.get(task, NO_EFFECTS) for task in tasks}
    # An arm that has none shared nothing lately: what is known of its task type stands for it.
    each = [of[task].arms.get(name, of[task].whole) for task, arms in tasks.items() for name in sorted(arms)]
    names, pairs = [name for name, _ in flat], [pair for _, pair in flat]
    found = iter(compare_arms(names, pairs, np.repeat(sizes, sizes), power, each))
    parts = {task: list(islice(found, size)) for task, size in zip(tasks, sizes, strict=True)}
    together = [max(of[task].whole, _mean_effect(parts[task])) for task in tasks]
    whole = [
        (
            total([pair[0] for pair in arms.values()]),
            total([pair[1] for pair in arms.values()]),
            pooled(parts[task], effect),
        )
        for (task, arms), effect in zip(tasks.items(), together, strict=True)
    ]
    sums = compare_arms([(None, None)] * len(whole), whole, np.ones(len(whole), np.int64), effects=together)
    return {task: Compared(overall, parts[task]) for task, overall in zip(tasks, sums, strict=True)}


def _mean_effect(arms: list[ArmInsight]) -> float:
    """Of the outcomes of all arms, where no conversation goes on across them."""
    resolved = [arm.baseline.resolved + arm.current.resolved for arm in arms]
    if not sum(resolved):
        return 1.0
    return sum(arm.design_effect * count for arm, count in zip(arms, resolved, strict=True)) / sum(resolved)


def _ends(pairs: Sequence[Pair], effect: F64) -> tuple[F64, F64]:
    """The corrected intervals; where all verdicts are in, that of the log odds, which is finite at 0 and 1 too."""
    low, high = np.array([[getattr(pair[2], side, None) for pair in pairs] for side in ("low", "high")], np.float64)
    _, successes, failures, pending, _ = _columns([pair[1] for pair in pairs])
    final = (pending == 0) & (successes + failures > 0) & np.array([pair[2] is not None for pair in pairs], bool)
    middle = np.log((successes + 0.5) / (failures + 0.5))
    worth = _worth(effect, successes + failures)
    half = Z_95 * np.sqrt(1 / (successes / worth + 0.5) + 1 / (failures / worth + 0.5))
    return np.where(final, expit(middle - half), low), np.where(final, expit(middle + half), high)


def _columns(sides: list[Counts]) -> I64:
    """Calls, successes, failures, pending, expired: shape (5, arms)."""
    return np.array(sides, np.int64).reshape(-1, 5).T


def _worth(effect: F64, resolved: I64) -> F64:
    """So many outcomes count as one: whatever they share, all together are one at least."""
    return np.minimum(effect, np.maximum(resolved, 1))


def _span_of(sides: list[Counts], effect: F64) -> Span:
    calls, successes, failures, *_ = _columns(sides)
    worth = _worth(effect, successes + failures)
    return Span(calls / worth, successes / worth, failures / worth)


def _bounds(sides: list[Counts], effect: F64) -> list[tuple[float, float]]:
    calls, successes, failures = _span_of(sides, effect)
    found = manski(successes, failures, calls)
    return list(zip(found.sure_low.tolist(), found.sure_high.tolist(), strict=True))


class _Apart(NamedTuple):
    """How far the two spans of an arm are apart, and whether they differ; numbers are None where there are none."""

    low: float | None
    high: float | None
    final: tuple[float | None, float | None, float | None]
    differ: bool


def _apart(compared: ComparedSpans) -> list[_Apart]:
    """The rows of a comparison."""
    columns = (compared.low, compared.high, compared.final, compared.final_low, compared.final_high)
    # An absent value is equal to no other, not even to itself.
    numbers = ([None if one != one else one for one in column.tolist()] for column in columns)  # noqa: PLR0124
    differ: list[bool] = (compared.worse | compared.better).tolist()
    return [
        _Apart(low, high, (delta, delta_low, delta_high), one)
        for low, high, delta, delta_low, delta_high, one in zip(*numbers, differ, strict=True)
    ]


def _arm(
    key: ArmKey,
    sides: tuple[Side, Side],
    corrected: Corrected | None,
    bounds: tuple[float, float],
    apart: _Apart,
    power: DetectionDelay | None,
    effect: float,
) -> ArmInsight:
    baseline, current = sides
    delta = None if baseline.rate is None or current.rate is None else current.rate - baseline.rate
    low, high = apart.low, apart.high
    if corrected is not None:
        differences = apart.final if current.pending else (delta, low, high)
        corrected = Corrected(corrected.rate, corrected.low, corrected.high, corrected.maturity, *differences)
    quiet = silence(
        current.resolved,
        current.calls,
        bounds,
        rate=current.rate if corrected is None or corrected.rate is None else corrected.rate,
        maturity=None if corrected is None else corrected.maturity,
        pending=current.pending,
    )
    return ArmInsight(*key, baseline, current, corrected, delta, low, high, apart.differ, quiet, power, effect)


def _sides(sides: list[Counts], effect: F64) -> list[Side]:
    """The sides of all arms at once: intervals of one alone take a millisecond."""
    calls, successes, failures, pending, expired = _columns(sides)
    resolved = successes + failures
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = successes / resolved
    good, bad = _span_of(sides, effect)[1:]
    ends = (rate, *confidence_sequence(good, bad), *wilson(good, good + bad))
    counts = (calls, resolved, successes, failures, pending, expired)
    return [
        Side(*whole, *(shares if whole[1] else (None,) * len(ends)))
        for whole, shares in zip(_rows(counts), _rows(ends), strict=True)
    ]


def _rows(columns: Sequence[NDArray[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))
