"""Traffic at local hours whose clocks change, where no zone is set: any country, either direction, any work."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import F64, I64, Bools

DAY, WEEK = 24, 168
_FIRST, _LAST = 3, 22
"""Weeks in which clocks change; half a year later they would change back."""
_BUSY: Final = (2.0, 200.0)
"""Calls an hour at work."""
_THIN: Final = (0.0005, 0.1)
"""The part of them that come in other hours; in a third of the series none do."""

_AFTER: Final = 3
"""The first hour of a job: one in the hour that is left out would really stay away."""


def local_hours(rng: np.random.Generator, start: int, hours: int, series: int) -> F64:
    """Calls per hour, shape (hours, series): each series has its country, its work and its change of clocks.

    Args:
        rng: of all draws.
        start: the first hour, since 1970 UTC; a Monday begins. Clocks change on a Sunday at two.
        hours: how many.
        series: how many.
    """
    weeks = rng.integers(_FIRST, max(min(_LAST, hours // WEEK), _FIRST + 1), series)
    ahead, step = rng.integers(-11, 13, series), rng.choice((-1, 1), series)
    change = start + weeks * WEEK + 6 * DAY + 2 - ahead
    hour = start + np.arange(hours)[:, None]
    local = hour + ahead + step * (hour >= change)
    thin = _between(rng, _THIN, series) * (rng.random(series) > 1 / 3)
    busy = _between(rng, _BUSY, series)
    rates: F64 = np.where(_at_work(rng, local, series), 1.0, thin) * busy
    return rates


def _between(rng: np.random.Generator, bounds: tuple[float, float], series: int) -> F64:
    return np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), series))


def _at_work(rng: np.random.Generator, local: I64, series: int) -> Bools:
    """Office hours of six to twelve hours, on five days or seven; night shifts; jobs at one or two hours of the day."""
    begin, long, seven = rng.integers(_AFTER, DAY, series), rng.integers(6, 13, series), rng.random(series) < 0.5
    job, second = rng.random(series) < 0.25, rng.integers(_AFTER, DAY, series)
    hour, since = local % DAY, (local - begin) % DAY
    there = np.where(job, (hour == begin) | (hour == second), since < long)
    working: Bools = there & (seven | ((local - begin) // DAY % 7 < 5))
    return working
