"""How far outcomes of one unit agree beyond chance, and how many independent ones they are worth.

Outcomes of one unit (a conversation, an agent's run) are alike: n of them tell as much as n / (1 + (n - 1) rho)
independent ones, rho being their intra-class correlation (Kish 1965, section 5.4). Two outcomes of one unit differ with
a probability of 2 p q (1 - rho), two of different units with 2 p q; so

    1 - rho = W / D,  W = sum of f s / (n - 1) over units,  D = N (F S - sum of f s) / (N^2 - sum of n^2)

with f failures and s successes among the n of a unit, capitals for their sums: both sides are unbiased whatever rho and
the sizes are (pairs, as in Ridout, Demetrio and Firth 1999, Biometrics 55, 137-148, section 2). W and D are sums over
cohorts of ten units or more of one group that ended one after the other, so that neither groups nor weeks that differ
count as agreement.

That is of variances. A likelihood ratio, weighed so, has an expectation above 1 where a share of a unit's outcomes has
one verdict: they come as a block, and r to its weight grows faster than its square. Of a unit whose outcomes share the
verdict with probability s (rho = s^2), failures having the odds ratio r against a small rate q, the expectation is at
most 1 where W, the weight of all together, is such that

    r^(s W) - 1 + (1 - s) W ln r <= (r - 1) W.

For r = 6, the greatest that is tested, that is W <= rho^(-3/4) to within 5 % from s = .3 to .9; greater q and smaller
units allow more. So ratios weigh by rho^(3/4) (`for_ratios`): of 2 to 30 outcomes the expectation is 1.02 at most where
s >= .3, with rho itself up to 3.

What is used is an upper bound of rho, 1 until something is known: two deviations by the delta method on units (high
enough 19 times in 20), as if `_AGREEING` more units had agreed in all, and as if of the rarer verdict's pairs `_PAIRS`
more had been alike (the rule of three: none seen among k is up to 3 / k). Intervals, which are to hold the truth as
often as they say and not more, use the same with one deviation.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from models.arrays import F64, I64

COHORT: Final = 10
"""Units of a group that are compared with each other at least."""
_AGREEING: Final = 2.0
_PAIRS: Final = 3.0
_LIKELY: Final = 1.0
_Z: Final = 2.0
"""Deviations: with 1.645, that of 95 %, one bound in ten was too low in simulations, as cohorts are small."""
_DAYS: Final = 56.0
"""Days after which a cohort weighs 1/e."""
_GRAIN: Final = 1024.0
"""f s / (n - 1) is taken in multiples of 1 / this, so that sums are exact in any order."""
_MOMENTS: Final = 10
_SUMS: Final = 7


def effective(trials: F64 | I64, rho: F64 | float) -> F64:
    """How many independent trials so many of one unit are worth; 0 of none.

    >>> effective(np.array([0, 1, 12, 12]), np.array([1.0, 1.0, 1.0, 0.0])).tolist()
    [0.0, 1.0, 1.0, 12.0]
    """
    worth: F64 = trials / (1 + np.maximum(trials - 1, 0) * rho)
    return worth


def for_ratios(rho: F64) -> F64:
    """The correlation by which trials weigh in likelihood ratios: rho^(3/4), as roots, which are exact.

    >>> for_ratios(np.array([0.0, 0.0625, 1.0])).tolist()
    [0.0, 0.125, 1.0]
    """
    root = np.sqrt(rho)
    return np.asarray(root * np.sqrt(root))


class Agreement:
    """Learns the correlation of each of many kinds (task types) from the units of their groups.

    136 bytes per group or kind, numbered alike by the caller.

    Attributes:
        rho: upper bound per kind, 1 where nothing is known; shape (rows,).
        likely: what it is not likely to exceed, for intervals; likewise.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        self._pending: F64 = np.zeros((0, _MOMENTS)) if state is None else state["pending"]
        self._sums: F64 = np.zeros((0, _SUMS)) if state is None else state["sums"]
        self.rho: F64 = _bound(self._sums, _Z)
        self.likely: F64 = _bound(self._sums, _LIKELY)

    def __len__(self) -> int:
        return len(self._sums)

    def grow(self, rows: int) -> None:
        """Make room for at least `rows` rows."""
        more = rows - len(self._sums)
        if more > 0:
            self._pending = np.concatenate((self._pending, np.zeros((more, _MOMENTS))))
            self._sums = np.concatenate((self._sums, np.zeros((more, _SUMS))))
            self.rho = np.concatenate((self.rho, np.ones(more)))
            self.likely = np.concatenate((self.likely, np.ones(more)))

    def end(self, group: I64, trials: I64, failures: I64, kind: I64, days: int) -> None:
        """Learn from units that are over.

        Args:
            group: row of each unit's group, shape (units,).
            trials: of each unit.
            failures: of each unit.
            kind: row of the kind of each row, shape (rows,).
            days: since this was last called.
        """
        self._sums *= np.exp(-days / _DAYS)
        many = trials > 1
        np.add.at(self._pending, group[many], _moments(trials[many], failures[many]))
        (ready,) = (self._pending[:, 0] >= COHORT).nonzero()
        if len(ready):
            # One after the other, in the order of rows: sums of what is not whole.
            for row, sums in zip(kind[ready].tolist(), _sums(self._pending[ready]), strict=True):
                self._sums[row] += sums
            self._pending[ready] = 0.0
        self.rho, self.likely = _bound(self._sums, _Z), _bound(self._sums, _LIKELY)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"pending": self._pending, "sums": self._sums}


def _moments(trials: I64, failures: I64) -> F64:
    n, f = trials.astype(np.float64), failures.astype(np.float64)
    x = np.rint(f * (n - f) / (n - 1) * _GRAIN) / _GRAIN
    moments: F64 = np.stack((np.ones(len(n)), n, f, x, n * n, f * f, x * x, n * f, n * x, f * x), axis=1)
    return moments


class _Sums(NamedTuple):
    """Over cohorts: units, pairs of the rarer verdict, W, D, and second moments of their terms by unit."""

    units: F64
    pairs: F64
    within: F64
    chance: F64
    xx: F64
    xy: F64
    yy: F64


def _sums(moments: F64) -> F64:
    """Of cohorts of shape (cohorts, _MOMENTS)."""
    u, n, f, x, nn, ff, xx, nf, nx, fx = moments.T
    s, differ = n - f, nf - ff
    chance = n * np.maximum(f * s - differ, 0.0) / np.maximum(n * n - nn, 1.0)
    p = f / n
    # A unit's part in D, linear in n and f: what the delta method has of p q.
    of_n, of_f = p * p, 1 - 2 * p
    xy = of_n * nx + of_f * fx
    yy = of_n**2 * nn + 2 * of_n * of_f * nf + of_f**2 * ff
    pairs = np.minimum(nf - f, nn - nf - s)
    own = u / (u - 1)
    return np.stack((u, pairs, x, chance, own * xx, own * xy, own * yy), axis=1)


def _bound(sums: F64, deviations: float) -> F64:
    of = _Sums(*sums.T)
    known = (of.chance > 0) & (of.pairs > 0)
    chance, pairs = np.where(known, of.chance, 1.0), np.where(known, of.pairs, 1.0)
    differ = of.within / chance
    error = np.sqrt(np.maximum(of.xx - 2 * differ * of.xy + differ**2 * of.yy, 0.0)) / chance
    least = differ * of.units / (of.units + _AGREEING) * pairs / (pairs + _PAIRS) - deviations * error
    return np.where(known, np.clip(1 - least, 0.0, 1.0), 1.0)
