"""Compute intervals of rates for tables (Wilson), changes (Newcombe) and repeated looks (sequence).

All functions take scalars or arrays that broadcast, and return `float64` arrays, without dimensions for scalars.
Results do not depend on what else is in the array.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, expit

from models.arrays import F64

Z_95: Final = 1.96
"""Standard errors to either side of a two-sided interval of 95 %."""
Z_99: Final = 2.58
"""The same for 99 %; used where an alarm chose what to look at, as 1.96 would cover too rarely there."""
_NEWTON_STEPS = 48


def wilson(successes: ArrayLike, trials: ArrayLike, z: float = Z_95) -> tuple[F64, F64]:
    """Wilson score interval of a rate, nan where there are no trials (Wilson 1927, JASA 22, 209-212).

    Right about 95 % of the time when read once. Looking until it shows what one hopes for is wrong in
    53-58 % of cases by 10,000 trials: use `confidence_sequence` for decisions.

    >>> low, high = wilson(8, 10)
    >>> round(float(low), 4), round(float(high), 4)
    (0.4902, 0.9433)
    """
    s, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = s / n
        centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
        none = n <= 0
        low = np.where(none, np.nan, np.where(s <= 0, 0.0, np.maximum(centre - half, 0.0)))
        high = np.where(none, np.nan, np.where(s >= n, 1.0, np.minimum(centre + half, 1.0)))
    return low, high


def newcombe(
    successes_before: ArrayLike,
    trials_before: ArrayLike,
    successes_after: ArrayLike,
    trials_after: ArrayLike,
    z: float = Z_95,
) -> tuple[F64, F64]:
    """Interval of the rate after minus the rate before (Newcombe 1998, Statistics in Medicine 17, 873-890, method 10).

    Range -1 to 1; nan where either side has no trials. With z = 2.58 it covers the true change 95-99 % of the time
    although the point of change was itself chosen from the data; with 1.96 only 85-94 %.
    """
    s0, n0, s1, n1 = (
        np.asarray(part, np.float64) for part in (successes_before, trials_before, successes_after, trials_after)
    )
    low0, high0 = wilson(s0, n0, z)
    low1, high1 = wilson(s1, n1, z)
    with np.errstate(divide="ignore", invalid="ignore"):
        p0, p1 = s0 / n0, s1 / n1
        difference = p1 - p0
        low = difference - np.sqrt((p1 - low1) ** 2 + (high0 - p0) ** 2)
        high = difference + np.sqrt((high1 - p1) ** 2 + (p0 - low0) ** 2)
    return np.asarray(low), np.asarray(high)


def confidence_sequence(successes: ArrayLike, failures: ArrayLike, alpha: float | F64 = 0.05) -> tuple[F64, F64]:
    """Anytime-valid interval of a rate: it may be read after every trial, and decided on at any moment.

    The rate lies outside at any time, ever, with probability at most `alpha`. It is the set
    {p: ln B(S+1/2, F+1/2) - ln B(1/2, 1/2) - S ln p - F ln(1-p) < ln(1/alpha)}: the Beta(1/2, 1/2) mixture likelihood
    ratio is a martingale (Robbins 1970), and Ville's inequality bounds it. 1.4 (10 trials) to 1.9 times (1,000) wider
    than Wilson. Counts may be fractional (discounted), then without the guarantee. (0, 1) without trials.

    >>> low, high = confidence_sequence(80, 20)
    >>> round(float(low), 3), round(float(high), 3)
    (0.648, 0.909)

    Raises:
        ValueError: where alpha is not in (0, 1).
    """
    if not np.all((np.asarray(alpha) > 0) & (np.asarray(alpha) < 1)):
        msg = f"confidence_sequence: alpha must be in (0, 1); got {alpha}"
        raise ValueError(msg)
    s, f, _ = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(failures, np.float64), alpha)
    level = -np.log(alpha) - betaln(s + 0.5, f + 0.5) + betaln(0.5, 0.5)
    return _lower_root(s, f, level), np.asarray(1.0 - _lower_root(f, s, level))


def _lower_root(s: F64, f: F64, level: F64) -> F64:
    """Smaller root in p of -s ln p - f ln(1-p) = level; 0 where s = 0.

    In the log odds the left side is convex, so Newton's method that starts outside the interval closes in from there
    and never overshoots. Each root takes a fixed number of steps, whatever its neighbours in the array take: one whose
    odds are what they were two steps before, as rounding has most of them alternate in the end, repeats these.
    """
    at, found = np.flatnonzero(s > 0), np.zeros(s.size)
    s_, f_, level_ = (part.ravel()[at] for part in (s, f, level))
    # -s ln p = level leaves out a term that is never negative: at or outside the root.
    before = odds = -np.log(np.expm1(np.clip(level_ / s_, 1e-12, 700.0)))
    for left in reversed(range(_NEWTON_STEPS)):
        value = s_ * np.logaddexp(0.0, -odds) + f_ * np.logaddexp(0.0, odds) - level_
        slope = (s_ + f_) * expit(odds) - s_
        after = odds - np.where(slope < 0, value / np.where(slope < 0, slope, -1.0), 0.0)
        moves = (after != before) & (left > 0)
        if not moves.all():
            found[at[~moves]] = expit((odds if left % 2 else after)[~moves])
            at, s_, f_, level_, odds, after = (part[moves] for part in (at, s_, f_, level_, odds, after))
            if not len(at):
                break
        before, odds = odds, after
    return found.reshape(s.shape)
