"""Integrate numerically, instead of by draws, the probability of being the best arm.

These are the weights Thompson sampling would give in the long run, without its Monte Carlo error (2,000 draws leave a
standard error of .011; the integral errs by less than .001) and without a seed.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betainccinv, betaincinv

from models.arrays import F64

UNLIKELY = 1e-9
"""An arm that is better than the surely best one with less probability than this cannot win."""
TOLERANCE = 1e-4
"""By so much an arm's share of one cell may change where the cell is halved; else its halves are halved too."""
_FIRST = 9
_ROUNDS = 60
"""A cell that was halved so often is as narrow as numbers are."""
_SMALLEST = 1e-300


def probability_of_best(successes: F64, failures: F64, costs: F64 | None = None) -> F64:
    """P(arm i has the greatest utility) under independent Beta(1 + successes, 1 + failures) posteriors.

    P_i = integral of prod_{j != i} F_j dF_i (Thompson 1933; Chapelle and Li 2011 sample it). With G = prod_j F_j, the
    distribution of the best utility, that is the integral of (d ln F_i / d ln G) dG: each cell of one grid for all arms
    gives its share of G to the arms as their ln F grows in it. Cells are halved until that changes no share by much.

    Args:
        successes: Counts per arm, >= 0, need not be whole. Shape (K,).
        failures: Likewise.
        costs: What a call of each arm costs, in units of one success (mean cost / value of a success); the utility of
            an arm is p - cost. Absent: all alike.

    Returns:
        Shape (K,), >= 0, sum 1. Arms that cannot win get 0.

    Cost:
        O(K) in time and memory: some 0.4 ms for 10 arms, 2 ms for 200, 50 ms for 10,000.

    >>> probability_of_best(np.array([90.0, 80.0]), np.array([10.0, 20.0])).round(3).tolist()
    [0.975, 0.025]
    """
    a, b = successes + 1.0, failures + 1.0
    shift = np.zeros(a.shape) if costs is None else np.asarray(costs, dtype=np.float64)
    surely, hardly = betaincinv(a, b, UNLIKELY) - shift, betainccinv(a, b, UNLIKELY) - shift
    able = hardly >= surely.max()
    won = np.zeros(a.shape)
    won[able] = _shares(a[able], b[able], shift[able], surely.max(), hardly[able].max())
    best: F64 = won / won.sum()
    return best


def _shares(a: F64, b: F64, shift: F64, low: float, high: float) -> F64:
    """Of each arm, the probability that it is the best, where the best utility lies from `low` to `high`."""
    if len(a) == 1:
        return np.ones(1)
    at = np.linspace(low, high, _FIRST)
    logs = _log_cdf(a, b, shift, at)
    left, right, logs_left, logs_right = at[:-1], at[1:], logs[:, :-1], logs[:, 1:]
    whole, won = _gained(logs_left, logs_right), np.zeros(len(a))
    for _ in range(_ROUNDS):
        middle = 0.5 * (left + right)
        logs_middle = _log_cdf(a, b, shift, middle)
        halves = np.stack((_gained(logs_left, logs_middle), _gained(logs_middle, logs_right)))
        rough = np.abs(halves.sum(axis=0) - whole).max(axis=0) > TOLERANCE
        rough &= (left < middle) & (middle < right)
        won += halves[:, :, ~rough].sum(axis=(0, 2))
        if not rough.any():
            break
        left, right = np.concatenate((left[rough], middle[rough])), np.concatenate((middle[rough], right[rough]))
        logs_left, logs_middle, logs_right = logs_left[:, rough], logs_middle[:, rough], logs_right[:, rough]
        logs_left = np.concatenate((logs_left, logs_middle), axis=1)
        logs_right = np.concatenate((logs_middle, logs_right), axis=1)
        whole = np.concatenate((halves[0][:, rough], halves[1][:, rough]), axis=1)
    return won


def _gained(left: F64, right: F64) -> F64:
    """What cells give to each arm, from ln F at their ends; shapes (K, cells)."""
    growth = right - left
    of_all = growth.sum(axis=0)
    grown = np.exp(right.sum(axis=0)) - np.exp(left.sum(axis=0))
    gained: F64 = growth * np.divide(grown, of_all, out=np.zeros_like(of_all), where=of_all > 0)
    return gained


def _log_cdf(a: F64, b: F64, shift: F64, at: F64) -> F64:
    p = np.clip(at[None, :] + shift[:, None], 0.0, 1.0)
    logs: F64 = np.log(np.maximum(betainc(a[:, None], b[:, None], p), _SMALLEST))
    return logs
