"""Compares task types: their arms, and each one as a whole."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from flows.reports.insights_arms import Arms, Comparison
from flows.reports.insights_columns import ArmColumns, TaskColumns, nothing_known
from flows.reports.insights_compare import ArmInsight
from models.arrays import I64
from models.stats.intervals import Z_95, wilson

_Pooled = tuple[float, float, float, float]
"""Corrected rate, its ends, and its maturity."""


class Compared(NamedTuple):
    """A task type as a whole, and its arms by name."""

    overall: ArmInsight
    arms: Arms


def compare_tasks(found: TaskColumns) -> dict[str, Compared]:
    """Compare the arms of task types, and each task type as a whole; arms of one task type share one error rate."""
    starts, sizes = found.starts.tolist(), np.diff(found.starts)
    parts = Comparison(found.arms, np.repeat(sizes, sizes))
    arms = [Arms(parts, start, stop) for start, stop in pairwise(starts)]
    whole = Comparison(_wholes(found), np.ones(len(arms), np.int64)).records(slice(None))
    return {task: Compared(*pair) for task, pair in zip(found.tasks, zip(whole, arms, strict=True), strict=True)}


def _wholes(found: TaskColumns) -> ArmColumns:
    """Each task type as if it were one arm."""
    counts = _totals(found.arms.before, found.starts), _totals(found.arms.after, found.starts)
    columns = ArmColumns(**nothing_known(np.full(len(found.tasks), None, np.object_), counts))
    starts = found.starts.tolist()
    for at, (start, stop) in enumerate(pairwise(starts)):
        arms = found.arms.take(slice(start, stop))
        columns.effect[at] = max(float(found.wholes[at]), _mean_effect(arms))
        pooled = _pooled(arms, float(columns.effect[at]))
        if pooled is not None:
            columns.known[at], columns.corrected[:, at] = True, pooled
    return columns


def _totals(counts: I64, starts: I64) -> I64:
    """The sums of counts over the arms of each task type, shape (5, task types)."""
    sums = np.zeros((len(counts), counts.shape[1] + 1), np.int64)
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    return sums[:, starts[1:]] - sums[:, starts[:-1]]


def _mean_effect(arms: ArmColumns) -> float:
    """Of the outcomes of all arms, where no conversation goes on across them."""
    resolved: list[int] = np.add(*arms.resolved).tolist()
    if not sum(resolved) or (arms.effect == 1).all():
        return 1.0
    effects: list[float] = arms.effect.tolist()
    return sum(effect * count for effect, count in zip(effects, resolved, strict=True)) / sum(resolved)


def _pooled(arms: ArmColumns, effect: float) -> _Pooled | None:
    """The corrected rate over all arms, weighted by their expected verdicts; None if one of the rates is unknown.

    `effect`: design effect of the rate over all arms.
    """
    if not arms.after[3].any():
        return _as_it_is(arms, effect)
    weight = middle = variance = inside = 0.0
    (some,) = np.nonzero(arms.resolved[1])
    if not len(some):
        return None
    seen = arms.take(some)
    if not (seen.known.all() and (seen.corrected[3] > 0).all() and not np.isnan(seen.corrected).any()):
        return None
    rows = zip(seen.resolved[1].tolist(), *seen.corrected.tolist(), seen.effect.tolist(), strict=True)
    for resolved, rate, low, high, maturity, own in rows:
        expected = resolved / maturity
        weight, inside, middle = weight + expected, inside + resolved, middle + expected * rate
        variance += (expected * (high - low) / (2 * Z_95)) ** 2 * (effect / own)
    rate, error = middle / weight, variance**0.5 / weight
    # On the scale of log odds, like that of each arm: differences are of its middle. Kept off 0 and 1, which have none.
    middle = min(max(rate, 0.5 / (weight + 1)), 1 - 0.5 / (weight + 1))
    log_odds, half = np.log(middle / (1 - middle)), Z_95 * error / (middle * (1 - middle))
    return rate, float(expit(log_odds - half)), float(expit(log_odds + half)), inside / weight


def _as_it_is(arms: ArmColumns, effect: float) -> _Pooled | None:
    """The rate over arms of which no verdict can come any more."""
    successes, resolved = int(arms.after[1].sum()), int(arms.resolved[1].sum())
    if not resolved or not arms.known.any():
        return None
    worth = min(effect, resolved)
    low, high = wilson(successes / worth, resolved / worth)
    return successes / resolved, float(low), float(high), 1.0
