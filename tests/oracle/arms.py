"""Reads and compares arms one by one, as objects: slow, and what `flows.reports` must equal to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from flows.reports.insights_compare import ArmInsight, Corrected, Side
from flows.reports.insights_evidence import DROP, DetectionDelay, silence
from flows.reports.insights_rates import Rates
from flows.reports.insights_spans import Spans
from flows.reports.snapshot_reader import has_column
from flows.reports.words import arm_name, wait_text
from models.arrays import F64, I64
from models.stats.bounds import manski
from models.stats.comparison import Compared as ComparedSpans
from models.stats.comparison import Span, compare
from models.stats.intervals import Z_95, confidence_sequence, wilson

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


def read_tasks(
    base: duckdb.DuckDBPyConnection, rates: Rates, spans: Spans, task: str | None = None
) -> dict[str, dict[ArmKey, Pair]]:
    """What is known of the arms that have calls in one of the spans, of a task type or of all of them, by name."""
    before = _of_hours(base, rates, task, spans.before, spans.start)
    if spans.named is None:
        after = _of_hours(base, rates, task, spans.start, spans.end)
    else:
        query = f"SELECT {_KNOWN} FROM {rates.current} WHERE {_of(task)} AND span = ? AND calls > 0"
        after = base.execute(query, [*rates.values, *_given(task), spans.named]).fetchall()
    pairs: dict[str, dict[ArmKey, Pair]] = {} if task is None else {task: {}}
    for name, model, config, *known in before:
        pairs.setdefault(name, {})[model, config] = (_counts_of(known), EMPTY, None)
    for name, model, config, *known in after:
        arms, key = pairs.setdefault(name, {}), (model, config)
        counts = _counts_of(known[:5])
        earlier = arms[key][0] if key in arms else EMPTY
        arms[key] = earlier, counts, None if spans.named is None else _corrected_of(counts, *known[5:])
    return dict(sorted(pairs.items()))


def read_power(base: duckdb.DuckDBPyConnection, task: str) -> dict[ArmKey, DetectionDelay]:
    """How soon a drop would be noticed, of arms with outcomes in the last week; earlier versions did not say."""
    if not has_column(base, "current_rates", "power_within_week"):
        return {}
    query = """
        SELECT model, config, outcomes_per_day, power_days, power_within_week FROM current_rates
        WHERE task_type = ? AND span = '7d' AND power_within_week IS NOT NULL
    """
    found = base.execute(query, [task]).fetchall()
    return {(model, config): DetectionDelay(DROP, *figures) for model, config, *figures in found}


def read_effects(base: duckdb.DuckDBPyConnection, task: str | None = None) -> dict[str, Effects]:
    """How far outcomes that share conversations tell less, of a task type or of all; earlier versions did not say."""
    if not has_column(base, "current_rates", "design_effect"):
        return {}
    query = f"""
        SELECT DISTINCT task_type, model, config, design_effect, task_design_effect FROM current_rates
        WHERE {_of(task)} AND greatest(design_effect, task_design_effect) > 1
    """
    arms: dict[str, dict[ArmKey, float]] = {}
    wholes: dict[str, float] = {}
    for name, model, config, own, whole in base.execute(query, _given(task)).fetchall():
        arms.setdefault(name, {})[model, config] = own
        wholes[name] = whole
    return {name: Effects(own, wholes[name]) for name, own in arms.items()}


def _of_hours(
    base: duckdb.DuckDBPyConnection, rates: Rates, task: str | None, start: datetime, end: datetime
) -> list[tuple[Any, ...]]:
    """Task type, model, config, and `Counts` of the arms in the hours of [start, end)."""
    query = f"""
        SELECT task_type, model, config, {_SUMS} FROM {rates.hours}
        WHERE {_of(task)} AND grain = '1h' AND window_start >= ? AND window_start < ?
        GROUP BY task_type, model, config
    """
    ends = [start.replace(tzinfo=None), end.replace(tzinfo=None)]
    return base.execute(query, [*rates.values, *_given(task), *ends]).fetchall()


def _of(task: str | None) -> str:
    return "true" if task is None else "task_type = ?"


def _given(task: str | None) -> list[Any]:
    return [] if task is None else [task]


def _counts_of(values: list[int]) -> Counts:
    """The counts of a row."""
    calls, successes, failures, pending, expired = values
    return calls, successes, failures, pending, expired


def _corrected_of(counts: Counts, rate: float | None, low: float, high: float, *corrected: float | None) -> Corrected:
    """The corrected rate of a row; where no verdict can come any more, the rate as it is."""
    if not counts[3] and rate is not None:
        return Corrected(rate, low, high, 1.0)
    return Corrected(*corrected)


_KNOWN: Final = (
    "task_type, model, config, calls, successes, failures, pending, expired, rate, rate_low, rate_high, "
    "corrected_rate, corrected_low, corrected_high, maturity"
)
_SUMS: Final = ", ".join(
    f"sum({name})::BIGINT AS {name}" for name in ("calls", "successes", "failures", "pending", "expired")
)


def power_line(arms: Sequence[ArmInsight]) -> str | None:
    """The shortest and the longest detection delay of the arms; None without traffic."""
    timed = [(arm, arm.power) for arm in arms if arm.power is not None]
    if not timed:
        return None
    timed.sort(key=lambda pair: (pair[1].days is None, pair[1].days or 0.0))
    (first, shortest), (last, longest) = timed[0], timed[-1]
    drop = f"A drop of {100 * shortest.drop:g} points"
    if shortest.days is None:
        return f"{drop} would not be noticed within 8 weeks at this traffic: too few outcomes for so small a change."
    line = f"{drop} would be noticed within about {wait_text(shortest.days)} at this traffic"
    if first is last:
        return f"{line}."
    line += f" on {arm_name_of(first)}, "
    line += f"not within {wait_text(longest.days)}" if longest.days is None else wait_text(longest.days)
    return f"{line} on {arm_name_of(last)}."


def arm_name_of(arm: ArmInsight) -> str:
    return arm_name(arm.model or "", arm.config)
