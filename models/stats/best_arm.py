"""Integrate numerically, instead of by draws, the probability of being the best arm.

These are the weights Thompson sampling would give in the long run, without its Monte Carlo error (2,000 draws leave a
standard error of .011; the grid errs by at most .002) and without a seed.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln

from models.arrays import F64

POINTS = 64
"""Grid points per arm."""
REACH = 6.5
"""Half-width of an arm's grid in posterior standard deviations."""
EDGE = 1e-9
"""Width of the cell in which a density that does not start at zero jumps to its first value."""


def probability_of_best(successes: F64, failures: F64, costs: F64 | None = None) -> F64:
    """P(arm i has the greatest utility) under independent Beta(1 + successes, 1 + failures) posteriors.

    P_i = integral of prod_{j != i} F_j dF_i (Thompson 1933; Chapelle and Li 2011 sample it), by the trapezoid rule on
    the union of the arms' own grids: fine wherever any of the posteriors is narrow.

    Args:
        successes: Counts per arm, >= 0, need not be whole. Shape (K,).
        failures: Likewise.
        costs: What a call of each arm costs, in units of one success (mean cost / value of a success); the utility of
            an arm is p - cost. Absent: all alike.

    Returns:
        Shape (K,), >= 0, sum 1.

    Cost:
        O(K^2) in time and memory: about 0.2 ms for 10 arms.

    >>> probability_of_best(np.array([90.0, 80.0]), np.array([10.0, 20.0])).round(3).tolist()
    [0.975, 0.025]
    """
    arms = successes.shape[0]
    if arms == 1:
        return np.ones(1)
    a, b = successes + 1.0, failures + 1.0
    shift = np.zeros(arms) if costs is None else np.asarray(costs, dtype=np.float64)
    grid = _grid(a, b, shift)
    density = _density(a, b, grid[None, :] + shift[:, None])
    masses = 0.5 * (density[:, 1:] + density[:, :-1]) * np.diff(grid)
    below = np.cumsum(masses, axis=1)
    total = below[:, -1:]
    masses /= total
    cdf = np.concatenate((np.zeros((arms, 1)), below / total), axis=1)
    rivals = _product_of_others(cdf)
    wins = (masses * (0.5 * (rivals[:, 1:] + rivals[:, :-1]))).sum(axis=1)
    best: F64 = wins / wins.sum()
    return best


def _grid(a: F64, b: F64, shift: F64) -> F64:
    mean = a / (a + b)
    sd = np.sqrt(mean * (1.0 - mean) / (a + b + 1.0))
    low = np.maximum(mean - REACH * sd, 0.0)
    high = np.minimum(mean + REACH * sd, 1.0)
    steps = np.linspace(0.0, 1.0, POINTS)
    own = low[:, None] + (high - low)[:, None] * steps
    own = np.concatenate((low[:, None] - EDGE, own, high[:, None] + EDGE), axis=1)
    return np.sort((own - shift[:, None]).ravel())


def _density(a: F64, b: F64, p: F64) -> F64:
    inside = (p >= 0.0) & (p <= 1.0)
    safe = np.clip(p, 1e-300, 1.0 - 1e-16)
    log_density = (a - 1.0)[:, None] * np.log(safe) + (b - 1.0)[:, None] * np.log1p(-safe) - betaln(a, b)[:, None]
    density: F64 = np.where(inside, np.exp(log_density), 0.0)
    return density


def _product_of_others(cdf: F64) -> F64:
    """Product over all rows but one, without dividing by a row that may be zero."""
    ones = np.ones((1, cdf.shape[1]))
    before: F64 = np.cumprod(np.concatenate((ones, cdf[:-1])), axis=0, dtype=np.float64)
    after: F64 = np.cumprod(np.concatenate((ones, cdf[:0:-1])), axis=0, dtype=np.float64)[::-1]
    product: F64 = before * after
    return product
