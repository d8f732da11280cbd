"""Whether the evidence can support the promise on false alarms; if not, why, in a sentence."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import xlogy

from models.alerts.sentences import DAYS_DIFFER, new_kind_text, too_few_text
from models.arrays import F64
from models.stats.chi_square import chi_square_quantile

MIN_DAYS = 7
"""Whole days of the baseline from which day effects can be judged."""
MOST_CORRELATION = 0.005
"""Intra-class correlation of days up to which the benchmark shows that the promise holds."""
_LEVEL = 0.05
_SATURDAY = 5


def divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence of Bernoulli(p) from Bernoulli(q), in nats; infinite where q rules p out.

    >>> divergence(0.1, 0.1)
    0.0
    """
    if (p > 0 and q <= 0) or (p < 1 and q >= 1):
        return math.inf
    return float(xlogy(p, p) - xlogy(p, q) + xlogy(1 - p, 1 - p) - xlogy(1 - p, 1 - q)) if p != q else 0.0


def baseline_too_small(trials: float, rate: float, changed: float, threshold: float) -> bool:
    """Whether a baseline of so many trials is too short to detect this change at this threshold.

    With an unknown baseline, detection needs about n KL(rate, changed) > ln(threshold); what alarms below it may do so
    because the baseline was badly estimated (information floor; Lai and Xing 2010, Sequential Analysis 29, 162-175).
    """
    return trials * divergence(rate, changed) < math.log(max(threshold, 1.0))


def days_differ_too_much(failures: F64, trials: F64) -> bool:
    """Whether days differ, surely, by more than the promise allows for.

    Pearson's chi-square over days, against an intra-class correlation of `MOST_CORRELATION`, under which its terms are
    about 1 + (n - 1) rho times larger (Donner 1992, Statistics in Medicine 11, 743-750).

    Args:
        failures: per whole day of the baseline.
        trials: per whole day; days without any are left out.
    """
    some = trials > 0
    f, n = failures[some], trials[some]
    rate = f.sum() / n.sum() if len(n) else 0.0
    if len(n) < MIN_DAYS or not 0 < rate < 1:
        return False
    expected = n * rate * (1 - rate) * (1 + (n - 1) * MOST_CORRELATION)
    return float(((f - n * rate) ** 2 / expected).sum()) > chi_square_quantile(1 - _LEVEL, len(n) - 1)


def is_weekend(day: int) -> bool:
    """Whether a UTC day since 1970 is a Saturday or Sunday.

    >>> [day for day in range(9) if is_weekend(day)]  # 1970 began with a Thursday
    [2, 3]
    """
    return (day + 3) % 7 >= _SATURDAY


def new_kind_of_day(before: set[int], since: set[int]) -> str | None:
    """`weekend` or `working day` where all days `since` the change are such, and none `before` it was; else None."""
    known, now = ({is_weekend(day) for day in days} for days in (before, since))
    if not known or len(now) != 1 or known & now:
        return None
    return "weekend" if now == {True} else "working day"


def caveat(
    *,
    rate: float,
    changed: float,
    trials: float,
    threshold: float,
    days: tuple[F64, F64] | None = None,
    new_kind: str | None = None,
    who: str | None = None,
    worth: float = 1.0,
) -> str | None:
    """The sentence that goes with an alert whose evidence cannot support the promise; None where it can.

    Args:
        rate: success rate before.
        changed: success rate since.
        trials: behind the baseline.
        threshold: A of the detector.
        days: failures and trials per whole day of the baseline.
        new_kind: see `new_kind_of_day`.
        who: see `who_answers`.
        worth: design effect of the baseline: so many trials tell as much as one that shares no unit.
    """
    if baseline_too_small(trials / worth, rate, changed, threshold):
        return too_few_text(trials)
    if days is not None and days_differ_too_much(np.asarray(days[0]) / worth, np.asarray(days[1]) / worth):
        return DAYS_DIFFER
    if new_kind is not None:
        return new_kind_text(new_kind)
    return who
