"""Compares an arm with what it is to be held against, once: exact for counts, and discounted by what days vary.

Of n0 trials of the one f0 failed, of n1 trials of the other f1. Fisher's exact test (1935) asks how often chance alone
deals the f0 + f1 failures so unevenly. Its one-sided p-value is the probability that theta_1 <= theta_0 where

    theta_1 ~ Beta(f1, n1 - f1 + 1),  theta_0 ~ Beta(f0 + 1, n0 - f0)

(Altham 1969, JRSS B 31, 261-269), which also stands for counts that are not whole. Days, quarters of days and hours
have effects of their own (`models.stats.dispersion`), with correlations rho_d, rho_h and rho_h. With a_i, b_i the
shares of both arms' trials that lie in day, quarter or hour i, the difference of the two rates has the variance

    p q (1/n1 + 1/n0 + rho_d sum (a_d - b_d)^2 + rho_h sum (a_q - b_q)^2 + rho_h sum (a_h - b_h)^2)

so that what both arms have seen together, such as a bad day, cancels. Both counts are divided by the factor by which
that is larger than 1/n1 + 1/n0 (Kish 1965): an arm that has replaced the other overnight is one day against its days.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.special import betainc, betaln

from models.arrays import F64, I64

_POINTS: Final = 513
_DEVIATIONS: Final = 12.0
_HOURS_PER_QUARTER, _QUARTERS_PER_DAY = 6, 4


class ArmHours(NamedTuple):
    """Trials of one arm by the hour, each once and ascending, columns of shape (hours,).

    Attributes:
        hour: since 1970.
        failures, trials: in it; need not be whole.
    """

    hour: I64
    failures: F64
    trials: F64

    def cut(self, first: int, end: int | None) -> ArmHours:
        """Those of the hours from `first` on and, if given, before `end`."""
        some = (self.hour >= first) & (True if end is None else self.hour < end)
        return ArmHours(self.hour[some], self.failures[some], self.trials[some])

    def joined(self, later: ArmHours) -> ArmHours:
        """With those of hours that are all later."""
        return ArmHours(*(np.concatenate(pair) for pair in zip(self, later, strict=True)))

    def within(self, days: I64) -> ArmHours:
        """Those of these UTC days since 1970."""
        some = np.isin(self.hour // (_HOURS_PER_QUARTER * _QUARTERS_PER_DAY), days)
        return ArmHours(self.hour[some], self.failures[some], self.trials[some])


def worse_by_chance(failures: tuple[F64, F64], trials: tuple[F64, F64]) -> F64:
    """One-sided p-values that the second of two arms fails no more often than the first.

    Args:
        failures: of the arm that is compared with, and of the other, shape (rows,) each; in [0, trials].
        trials: of both.

    Returns:
        Shape (rows,), in [0, 1]; of a tail of 1e-30 and less no digit is exact. O(500 rows).

    >>> worse_by_chance((np.array([24.0]), np.array([45.0])), (np.array([50.0]), np.array([50.0]))).round(8).tolist()
    [4.29e-06]
    """
    (f0, f1), (n0, n1) = (tuple(np.asarray(column, np.float64) for column in pair) for pair in (failures, trials))
    s0, s1 = n0 - f0, n1 - f1
    p = np.ones(len(f0))
    (some,) = ((f1 > 0) & (s0 > 0)).nonzero()
    if len(some):
        p[some] = _below(f1[some], s1[some] + 1, f0[some] + 1, s0[some])
    return p


def _below(a1: F64, b1: F64, a0: F64, b0: F64) -> F64:
    """P(theta_1 <= theta_0) of independent beta variables: by trapezoids in log odds, where the density is smooth."""
    middle, spread = np.log(a0 / b0), np.sqrt(1 / a0 + 1 / b0)
    steps = np.linspace(-_DEVIATIONS, _DEVIATIONS, _POINTS)
    t = middle[:, None] + spread[:, None] * steps
    x = 1 / (1 + np.exp(-t))
    # ln x and ln(1 - x) from t itself: 1 - x would have no digits left where x is near 1.
    density = np.exp(-a0[:, None] * np.logaddexp(0, -t) - b0[:, None] * np.logaddexp(0, t) - betaln(a0, b0)[:, None])
    below = density * betainc(a1[:, None], b1[:, None], x)
    chance: F64 = np.minimum(below.sum(axis=1) * spread * (steps[1] - steps[0]), 1.0)
    return chance


def design_effect(before: ArmHours, since: ArmHours, rho_day: float, rho_hour: float) -> float:
    """By what factor the difference of two arms' rates varies more than that of independent trials; at least 1.

    >>> hours = np.array([0, 24])
    >>> together, apart = (ArmHours(hours[k:], np.zeros(2 - k), np.full(2 - k, 50.0 * (1 + k))) for k in (0, 1))
    >>> design_effect(together, together, 0.005, 0.0), design_effect(together, apart, 0.004, 0.0)
    (1.0, 1.1)
    """
    hours, place = np.unique(np.concatenate((before.hour, since.hour)), return_inverse=True)
    n0, n1 = before.trials.sum(), since.trials.sum()
    shares = np.concatenate((-before.trials / n0, since.trials / n1))
    apart = np.bincount(place, shares, len(hours))
    quarters, of_quarter = np.unique(hours // _HOURS_PER_QUARTER, return_inverse=True)
    by_quarter = np.bincount(of_quarter, apart)
    _, of_day = np.unique(quarters // _QUARTERS_PER_DAY, return_inverse=True)
    by_day = np.bincount(of_day, by_quarter)
    more = rho_day * (by_day @ by_day) + rho_hour * (by_quarter @ by_quarter + apart @ apart)
    return float(1 + more / (1 / n0 + 1 / n1))


class TwoArms(NamedTuple):
    """Two arms, held against each other.

    Attributes:
        before, since: failures and trials of the arm that is compared with, and of the other.
        inflation: see `design_effect`; by which both were divided.
        worse, better: p-values, each one-sided.
    """

    before: tuple[float, float]
    since: tuple[float, float]
    inflation: float
    worse: float
    better: float


def compared(before: ArmHours, since: ArmHours, rho_day: float, rho_hour: float) -> TwoArms | None:
    """Hold an arm against the other: against all of it, or against its share of the same days, whichever tells more.

    Which it is depends on counts of trials alone, and not on how they ended. None where either has no trials.
    """
    if not before.trials.sum() > 0 or not since.trials.sum() > 0:
        return None
    days = np.unique(since.hour // (_HOURS_PER_QUARTER * _QUARTERS_PER_DAY))
    found = []
    for held in (before, before.within(days)):
        if held.trials.sum() > 0:
            inflation = design_effect(held, since, rho_day, rho_hour)
            found.append((inflation * (1 / held.trials.sum() + 1 / since.trials.sum()), inflation, held))
    _, inflation, held = min(found, key=lambda one: one[0])
    f, n = (float(column.sum()) for column in (held.failures, held.trials))
    f1, n1 = (float(column.sum()) for column in (since.failures, since.trials))
    failures = np.array([[f, n - f], [f1, n1 - f1]]) / inflation
    trials = np.array([[n, n], [n1, n1]]) / inflation
    worse, better = worse_by_chance((failures[0], failures[1]), (trials[0], trials[1])).tolist()
    return TwoArms((f, n), (f1, n1), inflation, worse, better)
