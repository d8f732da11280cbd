"""How far counts lie apart beyond chance, and how much of a profile there is in them.

Jobs, sessions and bursts send events in lumps: the variance of an hour's count is phi times its mean (quasi-Poisson:
McCullagh and Nelder 1989, section 6.2). So n events tell as much as n / phi independent ones. phi is learned from how
far the count y of an hour lies from the same hour of weeks before, which saw N events at exposure E. With
p = e N / E the prediction at exposure e, and w = E / (E + g e) for what p itself is uncertain,

    phi = sum w (y - p)^2 / sum e (y + N) / (e + E)

is unbiased whatever the profile is, and needs none. The variance V of the hours' true rates, relative to their mean,
is the covariance of prediction and count: what repeats itself is a profile, and lumps at odd hours are none.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models.arrays import F64
from models.stats.chi_square import upper

MOST: Final = 1000.0
"""phi at most: beyond it a series is one of lumps alone, whose number decides."""
LEAST_SHAPE: Final = 0.1
"""Events that a profile weighs before any are seen: so few that an hour without events is soon one without."""
MOST_SHAPE: Final = 100.0

_FADED: Final = 0.55
"""g: what older weeks that count less leave of 1 / E as the variance of a mean over them."""
_LEVEL_Z: Final = -0.5244005127080409
"""Quantile of the normal distribution at 30 %: phi is an upper bound of 70 % confidence."""


class Apart(NamedTuple):
    """One hour's terms of the sums, each of shape (series,)."""

    squares: F64
    scale: F64
    repeated: F64
    level: F64


def apart(events: F64, exposure: F64, before: tuple[F64, F64], mean: F64) -> Apart:
    """How far `events` lie from what the same hour of the week had.

    Args:
        events: of the hour.
        exposure: of the hour.
        before: events and exposure of such hours so far, exposure > 0.
        mean: events per exposure over all hours.
    """
    (seen, at), usual = before, exposure * mean
    foreseen, weight = exposure * seen / at, at / (at + _FADED * exposure)
    squares = weight * (events - foreseen) ** 2
    scale = exposure * (events + seen) / (exposure + at)
    return Apart(squares, scale, weight * (foreseen - usual) * (events - usual), weight * usual**2)


def overdispersion(squares: F64, scale: F64, hours: F64) -> F64:
    """phi, an upper bound, in [1, MOST]; of sums over hours.

    It is as uncertain as the fewer of hours and lumps make it.

    >>> [float(phi.round(1)) for phi in overdispersion(np.array([0.0, 168.0, 9e3]), np.ones(3) * 168, np.ones(3) * 168)]
    [1.1, 1.1, 108.8]
    """
    phi = np.clip(squares / np.maximum(scale, 1e-9), 1.0, MOST)
    phi = np.where(scale > 0, phi, 1.0)
    lumps = np.maximum(np.minimum(hours, scale / phi), 1.0)
    bound: F64 = np.minimum(upper(phi, lumps, _LEVEL_Z), MOST)
    return bound


def shape(repeated: F64, level: F64, phi: F64) -> F64:
    """How many lumps the mean over all hours weighs in the rate of one, in [LEAST_SHAPE, MOST_SHAPE].

    1 / V - 1, with V a lower bound of one standard error: 1 / V as in a Gamma prior of that variance (Robbins 1956;
    Morris 1983), and one less since nights and weekends are empty more often than a Gamma variable is.

    >>> [float(k.round(1)) for k in shape(np.array([0.0, 90.0, 270.0]), np.ones(3) * 100, np.ones(3))]
    [100.0, 0.2, 0.1]
    """
    varies = (repeated - phi * np.sqrt(level)) / np.maximum(level, 1e-9)
    weight: F64 = np.clip(1 / np.maximum(varies, 1e-3) - 1, LEAST_SHAPE, MOST_SHAPE)
    return weight
