"""Compares two spans of each (model, config) arm: rates, intervals, and whether they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from flows.reports.insights_evidence import DetectionDelay, Silence, silence
from models.stats.comparison import Compared, Span, compare
from models.stats.intervals import Z_95, confidence_sequence, wilson


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

    `separated`: the rates differ, at a level that holds even if a user looks every hour for four weeks. `power`: the
    detection delay of this arm, if it is one of the busiest.
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


EMPTY = (0, 0, 0, 0, 0)
"""calls, successes, failures, pending, expired."""
Counts = tuple[int, int, int, int, int]
ArmKey = tuple[str | None, str | None]


def total(sides: list[Counts]) -> Counts:
    """The sum of the counts of several arms."""
    calls, successes, failures, pending, expired = (sum(column) for column in zip(EMPTY, *sides, strict=True))
    return calls, successes, failures, pending, expired


def pooled(arms: list[ArmInsight]) -> Corrected | None:
    """The corrected rate over all arms, weighted by their expected verdicts; None if one of the rates is unknown."""
    weight = rate = variance = inside = 0.0
    for arm in arms:
        if not arm.current.resolved:
            continue
        final = arm.corrected
        if final is None or final.rate is None or final.low is None or final.high is None or not final.maturity:
            return None
        expected = arm.current.resolved / final.maturity
        weight, inside, rate = weight + expected, inside + arm.current.resolved, rate + expected * final.rate
        variance += (expected * (final.high - final.low) / (2 * Z_95)) ** 2
    if not weight:
        return None
    rate, error = rate / weight, variance**0.5 / weight
    return Corrected(rate, max(rate - Z_95 * error, 0.0), min(rate + Z_95 * error, 1.0), inside / weight)


def compare_arms(
    keys: list[ArmKey],
    before: dict[ArmKey, Counts],
    after: dict[ArmKey, Counts],
    corrected: Mapping[ArmKey, Corrected | None],
) -> list[ArmInsight]:
    """Compare the two spans of every arm; all `keys` together share one error rate."""
    pairs = [(before.get(key, EMPTY), after.get(key, EMPTY), corrected.get(key)) for key in keys]
    ends = np.array([[getattr(final, side, None) for _, _, final in pairs] for side in ("low", "high")], np.float64)
    comparison = compare(
        _span_of([first for first, _, _ in pairs]), _span_of([second for _, second, _ in pairs]), (ends[0], ends[1])
    )
    return [_arm(key, *pair, comparison, row) for row, (key, pair) in enumerate(zip(keys, pairs, strict=True))]


def _span_of(sides: list[Counts]) -> Span:
    calls, successes, failures, _, _ = np.array(sides, np.int64).reshape(-1, 5).T
    return Span(calls, successes, failures)


def _arm(
    key: ArmKey, before: Counts, after: Counts, corrected: Corrected | None, comparison: Compared, row: int
) -> ArmInsight:
    baseline, current = _side(before), _side(after)
    if corrected is not None:
        names = {"delta": comparison.final, "delta_low": comparison.final_low, "delta_high": comparison.final_high}
        corrected = replace(corrected, **{name: _none_if_nan(values[row]) for name, values in names.items()})
    best = current.rate if corrected is None or corrected.rate is None else corrected.rate
    mature = None if corrected is None else corrected.maturity
    quiet = silence(
        current.successes, current.failures, current.calls, rate=best, maturity=mature, pending=current.pending
    )
    both = baseline.rate is not None and current.rate is not None
    delta = (current.rate or 0.0) - (baseline.rate or 0.0) if both else None
    differ = bool(comparison.worse[row] or comparison.better[row])
    low, high = _none_if_nan(comparison.low[row]), _none_if_nan(comparison.high[row])
    return ArmInsight(*key, baseline, current, corrected, delta, low, high, separated=differ, silence=quiet)


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _side(counts: Counts) -> Side:
    calls, successes, failures, pending, expired = counts
    resolved = successes + failures
    if not resolved:
        return Side(calls, 0, 0, 0, pending, expired, None, None, None, None, None)
    low, high = confidence_sequence(successes, failures)
    single_look = wilson(successes, resolved)
    return Side(
        calls,
        resolved,
        successes,
        failures,
        pending,
        expired,
        successes / resolved,
        float(low),
        float(high),
        float(single_look[0]),
        float(single_look[1]),
    )
