"""Implements the oracle, a CUSUM that knows both rates.

No detector has a shorter worst mean delay at the same mean time between false alarms. Page 1954, Biometrika 41:100;
optimal by Moustakides 1986, Ann. Statist. 14:1379.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from scipy.optimize import brentq

from benchmarks.detection.watcher import Start, Watcher
from models.arrays import F64, Bools

_CELLS = 1000


class Cusum(Watcher):
    """Log-likelihood ratio of a failure rate `after` against `before`, restarted at 0."""

    def __init__(self, paths: int, threshold: float, *, before: float, after: float) -> None:
        self._w = np.zeros(paths)
        self._threshold = threshold
        self._steps = steps(before, after)

    def learn(self, failed: Bools) -> None:
        """Do nothing: the oracle knows both rates."""

    def step(self, failed: Bools) -> F64:
        """See `Watcher.step`."""
        success, failure = self._steps
        self._w = np.maximum(self._w + np.where(failed, failure, success), 0.0)
        return self._w - self._threshold


def oracle(before: float, after: float) -> Start:
    """CUSUM for a failure rate that changes from `before` to `after`."""
    return partial(Cusum, before=before, after=after)


def steps(before: float, after: float) -> tuple[float, float]:
    """Log-likelihood ratios of a success and of a failure, in nats."""
    return math.log((1 - after) / (1 - before)), math.log(after / before)


def information(after: float, before: float) -> float:
    """Kullback-Leibler divergence of failure rate `after` from `before`, nats per event."""
    success, failure = steps(before, after)
    return after * failure + (1 - after) * success


def mean_time(before: float, after: float, threshold: float, rate: float | None = None) -> float:
    """Mean number of events until an alarm, at a failure rate of `rate` (None: `before`).

    Computed with the Markov chain of Brook & Evans 1972 (Biometrika 59:539): the statistic moves on a grid, and the
    weight of a jump is split between the two nearest cells, so that its mean is kept. Cells of threshold / 1000;
    O(cells^3).
    """
    chance = before if rate is None else rate
    width = threshold / _CELLS
    chain = np.zeros((_CELLS + 1, _CELLS + 1))
    cells = np.arange(_CELLS + 1)
    for step, weight in zip(steps(before, after), (1 - chance, chance), strict=True):
        to = np.maximum(cells + step / width, 0.0)
        low = np.floor(to).astype(int)
        for cell, share in ((low, 1 - (to - low)), (low + 1, to - low)):
            inside = cell <= _CELLS
            np.add.at(chain, (cells[inside], cell[inside]), weight * share[inside])
    times = np.linalg.solve(np.eye(_CELLS + 1) - chain, np.ones(_CELLS + 1))
    return float(times[0])


def threshold_for(before: float, after: float, arl0: float) -> float:
    """The threshold with a mean of `arl0` events until a false alarm."""
    excess = partial(_log_ratio, before, after, arl0)
    return float(brentq(excess, 0.05, math.log(arl0) + 3, xtol=1e-3))


def _log_ratio(before: float, after: float, arl0: float, threshold: float) -> float:
    return math.log(mean_time(before, after, threshold) / arl0)
