"""Correct the success rates of windows whose verdicts are not all in.

Closed, mergeable, and as good as EM (Chapelle 2014) where verdicts of the two kinds arrive at different speeds. With
E_y the sum over the window's calls of F_y(age), F_y the distribution of the delay of verdicts y
(`models.stats.delay_distribution`):

    logit p = ln((S + 1/2) / (F + 1/2)) - ln(E_1 / E_0)
    se^2    = 1 / (S + 1/2) + 1 / (F + 1/2) + sum_y (A_y / E_y)^2

A_y is the sum over the window's calls of F_y(age) times the standard error of ln F_y(age): errors of one distribution
at several ages are taken to go together, which is exact for calls of one age and a little wide for others.

It assumes that whether a verdict is ever given does not depend on it; no correction mends that (`models.stats.bounds`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from models.stats import delay_distribution as delay
from models.stats.delay_distribution import Distribution
from models.stats.intervals import Z_95

if TYPE_CHECKING:
    from models.arrays import F64, I64, Bools

TASK_TYPE_WEIGHT: Final = 10.0
"""Verdicts that a group's own delays need to weigh as much as those of its task type.

Few: with 50, intervals of groups that differ from their task type by a factor of exp(0.6) cover in 82 % of cases
instead of 95, and groups that do not differ gain little (`python -m benchmarks.coverage`).
"""


class Corrected(NamedTuple):
    """Estimates per window, shape (n,), nan where none can be made. All in [0, 1]."""

    rate: F64
    low: F64
    high: F64
    maturity: F64


def with_final(corrected: Corrected, final: Bools, rate: F64, low: F64, high: F64) -> Corrected:
    """Estimates where verdicts may come; where none can any more, the rate and its interval as they are, all in."""
    known = final & ~np.isnan(corrected.maturity)
    sure = (rate, low, high, np.ones(len(final)))
    return Corrected(*(np.where(known, one, other) for one, other in zip(sure, corrected, strict=True)))


class DelayHistory(NamedTuple):
    """Delay distributions of groups. Axis 0: failure (0) or success (1)."""

    distribution: Distribution
    """Arrays of shape (2, groups, 41), nan where not even the task type has a history."""
    weight: F64
    """Shape (2, groups): verdicts the distribution rests on."""
    own: F64
    """Shape (groups,): how many of these are of the group itself."""


class Expected(NamedTuple):
    """Sums over the calls of windows, shape (n,) each; sums of these are those of the joined windows."""

    failures: F64
    """E_0."""
    successes: F64
    failures_spread: F64
    """A_0."""
    successes_spread: F64


def shrunken(within: I64, through: I64, task: I64, parent_weight: float = TASK_TYPE_WEIGHT) -> DelayHistory:
    """Delay distributions of groups, drawn towards that of their task type.

    The task type's distribution enters as `parent_weight` verdicts (fewer where it has seen fewer).

    Args:
        within: Shape (groups, 2, 41), D of `delay.distribution` per outcome (0 failure, 1 success).
        through: The same for C.
        task: Shape (groups,), the task type's number, 0 .. k - 1.
        parent_weight: Verdicts, >= 0.
    """
    own, own_through = np.maximum(within, 0).astype(np.float64), np.maximum(through, within).astype(np.float64)
    own[..., delay.BEYOND], own_through[..., delay.BEYOND] = 0.0, 0.0
    parent, parent_through = (np.zeros((int(task.max()) + 1 if len(task) else 0, *own.shape[1:])) for _ in range(2))
    np.add.at(parent, task, own)
    np.add.at(parent_through, task, own_through)
    of_task = delay.distribution(parent, parent_through).running
    total = np.minimum(parent.sum(axis=-1), parent_weight)[task]
    ends = np.concatenate((of_task[..., 1:], np.ones((*of_task.shape[:-1], 1))), axis=-1)[task]
    steps = ends - of_task[task]
    mixed = delay.distribution(own + total[..., None] * steps, own_through + total[..., None] * ends)
    sides = Distribution(*(np.ascontiguousarray(np.moveaxis(values, 1, 0)) for values in mixed))
    return DelayHistory(sides, (own.sum(axis=-1) + total).T.copy(), own.sum(axis=(1, 2)))


def expected(history: DelayHistory, group: I64, calls: I64, age_us: I64) -> Expected:
    """Calls times the share of their verdicts that is in by an age, and its spread; shape (n,) each."""
    running, spread = history.distribution
    parts = (running[0], running[1], spread[0], spread[1])
    return Expected(*(calls * delay.cdf(part, group, age_us) for part in parts))


def correct(
    successes: I64 | F64,
    failures: I64 | F64,
    calls: I64 | F64,
    expected: Expected,
    weight: tuple[F64, F64],
    z: float = Z_95,
    *,
    effect: F64 | float = 1.0,
) -> Corrected:
    """Delay-corrected rates of windows.

    Args:
        successes: Shape (n,).
        failures: Shape (n,).
        calls: Shape (n,), > 0.
        expected: Sums over the window's cells.
        weight: n_0 and n_1, verdicts the delay distributions rest on.
        z: Quantile of the interval.
        effect: Design effect of the rate, >= 1: verdicts tell as much as so many times fewer independent ones.

    Returns:
        `rate` is nan where nothing is resolved or no verdict of one kind can be in yet. `maturity` is the share of the
        window's final verdicts that is already in: p G_1 + (1 - p) G_0 with G_y = E_y / calls and the corrected p, or
        where there is none the mean of G_0 and G_1 by weight; nan without a history.

    >>> so_far = Expected(np.array([80.0]), np.array([50.0]), np.zeros(1), np.zeros(1))
    >>> known = (np.array([1000.0]), np.array([1000.0]))
    >>> corrected = correct(np.array([30]), np.array([20]), np.array([100]), so_far, known)
    >>> round(float(corrected.rate[0]), 3), round(float(corrected.maturity[0]), 3)
    (0.704, 0.589)
    """
    g0, g1 = (np.clip(e / calls, 0.0, 1.0) for e in (expected.failures, expected.successes))
    n0, n1 = weight
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        known = (successes + failures > 0) & (g0 > 0) & (g1 > 0)
        logit = np.log((successes + 0.5) / (failures + 0.5)) - np.log(g1 / g0)
        variance = 1 / (successes / effect + 0.5) + 1 / (failures / effect + 0.5)
        variance += (expected.failures_spread / expected.failures) ** 2
        variance += (expected.successes_spread / expected.successes) ** 2
        logit, half = np.where(known, logit, np.nan), z * np.sqrt(variance)
        rate, low, high = (1 / (1 + np.exp(-x)) for x in (logit, logit - half, logit + half))
        pooled = (n1 * g1 + n0 * g0) / (n1 + n0)
    maturity = np.where(known, rate * g1 + (1 - rate) * g0, pooled)
    return Corrected(rate, low, high, maturity)
