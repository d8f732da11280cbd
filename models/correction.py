"""Success rates of windows whose verdicts are not all in yet.

First form of the delay correction: closed, mergeable, and as good as EM (Chapelle 2014) where verdicts of the two kinds
arrive at different speeds. With E_y the sum over the window's calls of F_y(age), F_y the distribution of the delay of
verdicts y:

    logit p = ln((S + 1/2) / (F + 1/2)) - ln(E_1 / E_0)
    se^2    = 1 / (S + 1/2) + 1 / (F + 1/2) + sum_y (1 - G_y) / (n_y G_y),    G_y = E_y / calls

It assumes that whether a verdict is ever given does not depend on it; no correction mends that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from models import delay

if TYPE_CHECKING:
    from models.streams import F64, I64

PARENT_WEIGHT: Final = 50.0
"""Verdicts that a group's own delay histogram needs to weigh as much as that of its task type."""


class Corrected(NamedTuple):
    """Estimates per window, shape (n,), nan where none can be made. All in [0, 1]."""

    rate: F64
    low: F64
    high: F64
    maturity: F64


class DelayHistory(NamedTuple):
    """Delay distributions of groups. Axis 0: failure (0) or success (1)."""

    running: F64
    """Shape (2, groups, 32), see `delay.cumulative`; nan where not even the task type has a history."""
    weight: F64
    """Shape (2, groups): verdicts the distribution rests on."""


def shrunken(histogram: I64, task: I64) -> DelayHistory:
    """Delay distributions of groups, drawn towards that of their task type.

    Args:
        histogram: Shape (groups, 2, 32): verdicts per outcome (0 failure, 1 success) and bucket of `models.delay`.
        task: Shape (groups,), the task type's number, 0 .. k - 1.
    """
    own = np.maximum(histogram[..., : delay.BEYOND], 0).astype(np.float64)
    parent = np.zeros((int(task.max()) + 1 if len(task) else 0, *own.shape[1:]))
    np.add.at(parent, task, own)
    parent_total = parent.sum(axis=2)[task]
    with np.errstate(invalid="ignore", divide="ignore"):
        mixed = own + PARENT_WEIGHT * (parent[task] / parent_total[..., None])
    padded = np.concatenate((mixed, np.zeros((*mixed.shape[:2], 1))), axis=2)
    weight = own.sum(axis=2) + np.minimum(parent_total, PARENT_WEIGHT)
    return DelayHistory(np.moveaxis(delay.cumulative(np.nan_to_num(padded)), 1, 0).copy(), weight.T.copy())


def expected(history: DelayHistory, group: I64, calls: I64, age_us: I64) -> tuple[F64, F64]:
    """Calls times the share of their verdicts that is in by an age: (failures, successes), shape (n,) each."""
    return (
        calls * delay.cdf(history.running[0], group, age_us),
        calls * delay.cdf(history.running[1], group, age_us),
    )


def correct(
    successes: I64, failures: I64, calls: I64, expected: tuple[F64, F64], weight: tuple[F64, F64], z: float = 1.96
) -> Corrected:
    """Delay-corrected rates of windows.

    Args:
        successes: Shape (n,).
        failures: Shape (n,).
        calls: Shape (n,), > 0.
        expected: E_0 and E_1, sums of `expected` over the window's cells.
        weight: n_0 and n_1, verdicts the delay distributions rest on.
        z: Quantile of the interval.

    Returns:
        `rate` is nan where nothing is resolved or no verdict of one kind can be in yet. `maturity` is the share of the
        window's final verdicts that is already in: p G_1 + (1 - p) G_0 with the corrected p, or where there is none the
        mean of G_0 and G_1 by weight; nan without a history.
    """
    g0, g1 = (np.clip(e / calls, 0.0, 1.0) for e in expected)
    n0, n1 = weight
    with np.errstate(invalid="ignore", divide="ignore"):
        known = (successes + failures > 0) & (g0 > 0) & (g1 > 0)
        logit = np.log((successes + 0.5) / (failures + 0.5)) - np.log(g1 / g0)
        variance = 1 / (successes + 0.5) + 1 / (failures + 0.5) + (1 - g1) / (n1 * g1) + (1 - g0) / (n0 * g0)
        logit, half = np.where(known, logit, np.nan), z * np.sqrt(variance)
        rate, low, high = (1 / (1 + np.exp(-x)) for x in (logit, logit - half, logit + half))
        pooled = (n1 * g1 + n0 * g0) / (n1 + n0)
    maturity = np.where(known, rate * g1 + (1 - rate) * g0, pooled)
    return Corrected(rate, low, high, maturity)
