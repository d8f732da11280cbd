"""Bound a success rate where silence may carry information.

People complain more often than they praise: where that is so, the rate among those who answered is no estimate of the
rate of all calls, and no correction makes it one (Manski 2003, Partial Identification of Probability Distributions, ch.
1). What remains: bounds that hold whatever the missing answers would have been, and how far the rate moves if the one
kind of call is answered that many times as readily as the other.

With theta_y the share of the calls that are resolved as y, the rate of all calls lies in [theta_1, 1 - theta_0]. With
gamma = P(answered | success) / P(answered | failure), its odds are those among the answered divided by gamma
(Rotnitzky, Robins, Scharfstein 1998 call gamma the selection bias function).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.arrays import F64
from models.stats.intervals import confidence_sequence

GAMMA: Final = 2.0
"""Sensitivity is reported for answers from half as ready after a success as after a failure, to twice as ready."""


class Bounds(NamedTuple):
    """Of the success rate of all calls, in [0, 1]; nan without calls. Scalars come as arrays without dimensions."""

    low: F64
    """theta_1: as if every silent call had failed."""
    high: F64
    """1 - theta_0: as if every silent call had succeeded."""
    sure_low: F64
    """`low` less what chance may have added: of an anytime-valid interval at `alpha`."""
    sure_high: F64


def manski(successes: ArrayLike, failures: ArrayLike, calls: ArrayLike, alpha: float = 0.05) -> Bounds:
    """Bounds of the success rate that assume nothing about calls without a verdict, pending ones among them.

    Args:
        successes: Calls resolved as such; anything that broadcasts.
        failures: The same.
        calls: All calls, >= successes + failures.
        alpha: Of the confidence sequences of both shares, alpha / 2 each, in (0, 1).

    >>> low, high, *_ = manski(60, 20, 100)
    >>> round(float(low), 2), round(float(high), 2)
    (0.6, 0.8)
    """
    s, f, n = (np.asarray(part, np.float64) for part in (successes, failures, calls))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = s / n, (n - f) / n
    sure_low, _ = confidence_sequence(s, n - s, alpha / 2)
    _, sure_high = confidence_sequence(n - f, f, alpha / 2)
    some = n > 0
    return Bounds(low, high, np.where(some, sure_low, np.nan), np.where(some, sure_high, np.nan))


def if_answered_unevenly(rate: ArrayLike, gamma: ArrayLike) -> F64:
    """Success rate of all calls, where a success is answered `gamma` times as readily as a failure.

    Args:
        rate: Among the answered, in [0, 1]; nan stays nan.
        gamma: > 0; 1 means that silence carries no information.

    >>> round(float(if_answered_unevenly(2 / 3, 1 / 3)), 3)  # 20 % of successes, 60 % of failures answered
    0.857
    """
    p, g = np.asarray(rate, np.float64), np.asarray(gamma, np.float64)
    return np.asarray(p / (p + (1 - p) * g))


def one_answered_unevenly(rate: float, gamma: float) -> float:
    """The same of one rate: ten times as fast as with arrays.

    >>> round(one_answered_unevenly(2 / 3, 1 / 3), 3)
    0.857
    """
    return rate / (rate + (1 - rate) * gamma)


def sensitivity(rate: ArrayLike, gamma: float = GAMMA) -> tuple[F64, F64]:
    """Range of the success rate of all calls over answers that are up to `gamma` >= 1 times as ready either way.

    Raises:
        ValueError: where gamma < 1.
    """
    if gamma < 1:
        raise ValueError(f"sensitivity: gamma must be >= 1; got {gamma}")
    return if_answered_unevenly(rate, gamma), if_answered_unevenly(rate, 1 / gamma)
