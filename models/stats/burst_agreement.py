"""How far outcomes that one source gave within one minute agree beyond what independence allows.

A reviewer who rejects a batch of thirty calls in a minute has one opinion; a nightly judge of as many has thirty. What
tells them apart is how far successive bursts of one group differ. Of two, with f_i failures and s_i successes among
n_i outcomes, N and F in both together,

    X^2 = (N - 1) (f_1 n_2 - f_2 n_1)^2 / (n_1 n_2 F (N - F))

is 1 on average where outcomes are independent, whatever their rate (Pearson; exact with N - 1), and about
1 + (n - 1) rho with the intra-class correlation rho, n the harmonic mean of n_1 and n_2. Successive ones (von Neumann
1941), so that a rate that moves counts for the pair in which it moves; k overlapping pairs tell as much as 2 k / 3
(`dispersion`).

Three answers follow, in this order:

- *agreeing*, where the sum of X^2 / (1 + (n - 1) ALLOWED), each taken as `_MOST` at most, exceeds the chi-square
  quantile of 1 - `_ERROR`. ALLOWED is what days and hours may have in common (`models.stats.correlations`), and the
  greatest term is bounded because one bad night is no opinion: four differing pairs are needed at least.
- *doubtful* as far as an upper bound of rho, mean X^2 over its lower 2 % quantile, exceeds ALLOWED: 1 before anything
  is known; else *independent*.

Of agreeing ones rho is one less the share W of outcomes of one burst that differ over the share D of such of successive
bursts, weighted by the smaller size; an upper bound of so many deviations (delta method) as if `_AGREEING` more pairs
had agreed in all, as in `models.stats.agreement`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import gammaincinv

from models.arrays import F64, I64, Bools

ALLOWED: Final = 0.02
_ERROR: Final = 1e-4
_MOST: Final = 8.0
_LOW: Final = 0.02
_OVERLAP: Final = 2 / 3
_AGREEING: Final = 2.0
_HEAVIEST: Final = 50.0
_DAYS: Final = 56.0
"""Days after which a pair weighs 1/e."""


class _Sums(NamedTuple):
    """Over pairs of successive bursts with both verdicts, columns of shape (kinds,).

    `apart`, `bounded`: X^2, and as it is tested; `sizes`: n - 1. `beyond`, `differ`: D - W and D, weighted, and their
    second moments.
    """

    pairs: F64
    apart: F64
    bounded: F64
    sizes: F64
    beyond: F64
    differ: F64
    bb: F64
    bd: F64
    dd: F64


class Bursts(NamedTuple):
    """Bursts of kinds (a task type's source), each after the one before it of the same group, shape (pairs,)."""

    kind: I64
    failures: tuple[I64, I64]
    trials: tuple[I64, I64]
    """At least 2 each."""


class BurstAgreement:
    """Learns of many kinds whether their bursts agree; 144 bytes each. What counts is what was known at midnight.

    Attributes:
        rho: upper bound of the correlation of kinds whose bursts agree, 0 of others; shape (kinds,).
        likely: what it is not likely to exceed; likewise.
        doubt: of other kinds, what it may be for all that is known, beyond ALLOWED; 0 of those that agree.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        none = np.zeros((0, len(_Sums._fields)))
        self._past: F64 = none if state is None else state["past"]
        self._today: F64 = none if state is None else state["today"]
        self._judge()

    def grow(self, kinds: int) -> None:
        """Make room for at least `kinds` kinds, of which nothing is known."""
        more = max(kinds - len(self._past), 0)
        if more:
            room = np.zeros((more, len(_Sums._fields)))
            self._past, self._today = np.concatenate((self._past, room)), np.concatenate((self._today, room))
            self._judge()

    def add(self, bursts: Bursts) -> None:
        """Compare successive bursts; in an order that no cut of the minutes changes, as sums are not exact."""
        (f1, f2), (n1, n2) = bursts.failures, bursts.trials
        (some,) = ((f1 + f2 > 0) & (f1 + f2 < n1 + n2)).nonzero()
        pair = Bursts(bursts.kind[some], (f1[some], f2[some]), (n1[some], n2[some]))
        np.add.at(self._today, pair.kind, _terms(pair))

    def begin_day(self, days: int) -> None:
        """A day begins, so many days after the one before. O(kinds)."""
        self._past = (self._past + self._today) * np.exp(-days / _DAYS)
        self._today = np.zeros_like(self._past)
        self._judge()

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"past": self._past, "today": self._today}

    def _judge(self) -> None:
        of = _Sums(*self._past.T)
        agree = agreeing(of.pairs, of.bounded)
        self.rho = np.where(agree, _bound(of, 2.0), 0.0)
        self.likely = np.where(agree, _bound(of, 1.0), 0.0)
        self.doubt = np.where(agree, 0.0, np.maximum(_possible(of) - ALLOWED, 0.0))


def _terms(pair: Bursts) -> F64:
    """Of each pair its part of `_Sums`, shape (pairs, 9)."""
    (f1, f2), (n1, n2) = (tuple(part.astype(np.float64) for part in both) for both in (pair.failures, pair.trials))
    s1, s2, size = n1 - f1, n2 - f2, 2 * n1 * n2 / (n1 + n2) - 1
    apart = (n1 + n2 - 1) * (f1 * n2 - f2 * n1) ** 2 / (n1 * n2 * (f1 + f2) * (s1 + s2))
    bounded = np.minimum(apart / (1 + size * ALLOWED), _MOST)
    weight = np.minimum(np.minimum(n1, n2), _HEAVIEST)
    differ = weight * (f1 * s2 + s1 * f2) / (n1 * n2)
    beyond = differ - weight * (f1 * s1 / (n1 * (n1 - 1)) + f2 * s2 / (n2 * (n2 - 1)))
    moments = beyond * beyond, beyond * differ, differ * differ
    return np.stack((np.ones(len(n1)), apart, bounded, size, beyond, differ, *moments), axis=1)


def agreeing(pairs: F64, bounded: F64) -> Bools:
    """Whether bursts agree beyond ALLOWED, with an error of `_ERROR`.

    >>> agreeing(np.array([0.0, 2.0, 4.0, 100.0]), np.array([0.0, 16.0, 32.0, 120.0])).tolist()
    [False, False, True, False]
    """
    most = 2 * gammaincinv(np.maximum(_OVERLAP * pairs, 1e-9) / 2, 1 - _ERROR)
    sure: Bools = (pairs > 0) & (_OVERLAP * bounded > most)
    return sure


def _possible(of: _Sums) -> F64:
    """An upper bound of rho by X^2, in [0, 1]; 1 where nothing is known."""
    df = np.maximum(_OVERLAP * of.pairs, 1e-9)
    least = 2 * gammaincinv(df / 2, _LOW)
    mean = of.apart * _OVERLAP / np.maximum(least, 1e-300)
    rho = (mean - 1) * of.pairs / np.maximum(of.sizes, 1e-300)
    return np.where(of.pairs > 0, np.clip(rho, 0.0, 1.0), 1.0)


def _bound(of: _Sums, deviations: float) -> F64:
    differ = np.where(of.differ > 0, of.differ, 1.0)
    rho = of.beyond / differ
    spread = np.maximum(of.bb - 2 * rho * of.bd + rho**2 * of.dd, 0.0) / _OVERLAP
    above = 1 - (1 - rho) * of.pairs / (of.pairs + _AGREEING) + deviations * np.sqrt(spread) / differ
    return np.clip(above, 0.0, 1.0)
