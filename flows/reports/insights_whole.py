"""Compares task types: their arms, and each one as a whole."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from flows.reports.insights_arms import Arms, Comparison
from flows.reports.insights_columns import ArmColumns, TaskColumns, nothing_known
from flows.reports.insights_compare import ArmInsight
from models.arrays import F64, I64
from models.stats.intervals import Z_95, wilson


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
    columns.effect[:] = np.maximum(found.wholes, _mean_effects(found))
    _as_it_is(found, columns)
    _pool(found, columns)
    return columns


def _totals(counts: I64, starts: I64) -> I64:
    """The sums of counts over the arms of each task type, shape (5, task types)."""
    sums = np.zeros((len(counts), counts.shape[1] + 1), np.int64)
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    return sums[:, starts[1:]] - sums[:, starts[:-1]]


def _mean_effects(found: TaskColumns) -> F64:
    """Of the outcomes of all arms of a task type, where no conversation goes on across them."""
    means, resolved = np.ones(len(found.tasks)), np.add(*found.arms.resolved)
    task = _task_of(found)
    for at in np.unique(task[found.arms.effect != 1]).tolist():
        part = slice(*found.starts[at : at + 2].tolist())
        counts: list[int] = resolved[part].tolist()
        if sum(counts):
            effects: list[float] = found.arms.effect[part].tolist()
            means[at] = sum(effect * count for effect, count in zip(effects, counts, strict=True)) / sum(counts)
    return means


def _as_it_is(found: TaskColumns, wholes: ArmColumns) -> None:
    """Write the rates of task types of which no verdict can come any more, as they are."""
    successes, resolved = wholes.after[1], wholes.resolved[1]
    some = np.bincount(_task_of(found), found.arms.known, len(found.tasks)) > 0
    (at,) = np.nonzero((wholes.after[3] == 0) & (resolved > 0) & some)
    worth = np.minimum(wholes.effect, resolved)[at]
    low, high = wilson(successes[at] / worth, resolved[at] / worth)
    wholes.known[at], wholes.corrected[:, at] = True, (successes[at] / resolved[at], low, high, np.ones(len(at)))


def _pool(found: TaskColumns, wholes: ArmColumns) -> None:
    """Write the corrected rates over all arms, weighted by their expected verdicts, where all of these are known."""
    arms, size = found.arms, len(found.tasks)
    (seen,) = np.nonzero(arms.resolved[1])
    task, rates = _task_of(found)[seen], arms.corrected[:, seen]
    unknown = ~arms.known[seen] | ~(rates[3] > 0) | np.isnan(rates).any(axis=0)
    pooled = (wholes.after[3] > 0) & (np.bincount(task, minlength=size) > 0) & (np.bincount(task, unknown, size) == 0)
    seen, task, rates = seen[pooled[task]], task[pooled[task]], rates[:, pooled[task]]
    rate, low, high, maturity = rates
    expected = arms.resolved[1][seen] / maturity
    columns = (expected.tolist(), low.tolist(), high.tolist(), (wholes.effect[task] / arms.effect[seen]).tolist())
    variance = [(e * (most - least) / (2 * Z_95)) ** 2 * more for e, least, most, more in zip(*columns, strict=True)]
    # `bincount` adds one by one, in order.
    weight, middle, spread, inside = (
        np.bincount(task, of, size) for of in (expected, expected * rate, variance, arms.resolved[1][seen])
    )
    for at in np.flatnonzero(pooled).tolist():
        sums = float(weight[at]), float(middle[at]), float(spread[at]), float(inside[at])
        wholes.known[at], wholes.corrected[:, at] = True, _pooled(*sums)


def _pooled(weight: float, middle: float, variance: float, inside: float) -> tuple[float, float, float, float]:
    """The rate, its ends, and the maturity, from sums over arms: of expected verdicts, and of those that are in."""
    rate, error = middle / weight, variance**0.5 / weight
    # On the scale of log odds, like that of each arm: differences are of its middle. Kept off 0 and 1, which have none.
    middle = min(max(rate, 0.5 / (weight + 1)), 1 - 0.5 / (weight + 1))
    log_odds, half = np.log(middle / (1 - middle)), Z_95 * error / (middle * (1 - middle))
    return rate, float(expit(log_odds - half)), float(expit(log_odds + half)), inside / weight


def _task_of(found: TaskColumns) -> I64:
    """The task type of each arm."""
    return np.repeat(np.arange(len(found.tasks)), np.diff(found.starts))
