"""Measures the promise of `volume` on traffic that is rare, lumpy, scheduled, local or at an end, and its delays.

Series of calls are fed to the detector itself, by the hour: what comes in batches of a minute is summed up to hours
first, so both give the same (`tests/suites/test_detectors.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.detection.clocks import local_hours
from benchmarks.detection.promise import poisson_upper
from models.arrays import F64, I64
from models.drift import ArrivalDetector, DriftSettings

DAY, WEEK = 24, 168
START: Final = 2_916 * WEEK + 4 * DAY
"""A Monday, in hours since 1970."""
_SEED: Final = 31
_TESTS: Final = 2
"""Of calls: fewer, and more."""
PROMISES: Final = (1.0, 30.0)
"""False alarms per 1,000 groups and week that are asked for: the default, and one that so few weeks can show."""
Rates = Callable[[np.random.Generator, int, int], F64]


class Stream(NamedTuple):
    """Traffic without a change.

    Attributes:
        name: the name in tables.
        rates: lumps per hour, shape (hours, series), from a generator, hours and series.
        lumps: calls per lump, drawn for one lump each; None: each is one call.
    """

    name: str
    rates: Rates
    lumps: Callable[[np.random.Generator, I64], I64] | None = None


def _level(low: float, high: float) -> Rates:
    """Steady, log-uniform between two numbers of calls a day."""
    return lambda rng, hours, series: np.broadcast_to(
        np.exp(rng.uniform(np.log(low), np.log(high), series)) / DAY, (hours, series)
    )


def _working(hours: int, shift: I64 | int = 0) -> F64:
    """1 from 9 to 17 on working days, else .05; `shift` by hour moves it."""
    local = START + np.arange(hours) - shift
    there = (local % DAY >= 9) & (local % DAY < 17) & ((local // DAY + 3) % 7 < 5)
    return np.where(there, 1.0, 0.05)


def _office(rng: np.random.Generator, hours: int, series: int) -> F64:
    return _working(hours)[:, None] * np.exp(rng.uniform(np.log(2), np.log(60), series))


def _clocks(rng: np.random.Generator, hours: int, series: int) -> F64:
    """Local hours move by one against UTC every ten weeks, there and back."""
    shift = (np.arange(hours) // (10 * WEEK)) % 2
    return _working(hours, shift)[:, None] * np.exp(rng.uniform(np.log(2), np.log(60), series))


def _nightly(rng: np.random.Generator, hours: int, series: int) -> F64:
    """A job at one hour of the day, which comes on nine days of ten, and little else."""
    at = rng.integers(0, DAY, series)
    hour = np.arange(hours) % DAY
    comes = np.repeat(rng.random((hours // DAY, series)) < 0.9, DAY, axis=0)
    size = np.exp(rng.uniform(np.log(20), np.log(500), series))
    return np.where(hour[:, None] == at, size * comes, 0.02)


def _bursty(rng: np.random.Generator, hours: int, series: int) -> F64:
    """Hours are negative binomial, with shapes of .2 to 2."""
    shape = np.exp(rng.uniform(np.log(0.2), np.log(2.0), series))
    mean = np.exp(rng.uniform(np.log(0.5), np.log(60.0), series))
    return rng.gamma(np.broadcast_to(shape, (hours, series))) * mean / shape


def _sizes(low: int, high: int) -> Callable[[np.random.Generator, I64], I64]:
    def drawn(rng: np.random.Generator, lumps: I64) -> I64:
        sizes = rng.integers(low, high + 1, int(lumps.sum()))
        bounds = np.concatenate(([0], np.cumsum(lumps.ravel())))
        sums = np.concatenate(([0], np.cumsum(sizes)))
        return (sums[bounds[1:]] - sums[bounds[:-1]]).reshape(lumps.shape)

    return drawn


def _sessions(rng: np.random.Generator, lumps: I64) -> I64:
    """Lumps of geometric size, 8 on the mean."""
    return np.where(lumps > 0, lumps + rng.negative_binomial(np.maximum(lumps, 1), 1 / 8), 0)


STREAMS: Final = (
    Stream("rare, 0.1 to 5 a day", _level(0.1, 5.0)),
    Stream("steady, 5 to 2,000 a day", _level(5.0, 2000.0)),
    Stream("office hours", _office),
    Stream("bursty hours, negative binomial", _bursty),
    Stream("jobs at odd hours, 1 to 10 a day of 30 to 60", _level(1.0, 10.0), _sizes(30, 60)),
    Stream("sessions of 8 calls, 2 to 200 a day", _level(2.0, 200.0), _sessions),
    Stream("a nightly job, nine nights of ten", _nightly),
    Stream("office hours, clocks change", _clocks),
    Stream("any local hours, thin nights, clocks change", lambda *size: local_hours(size[0], START, *size[1:])),
)


class Size(NamedTuple):
    """Series at a time, how often, and weeks of each."""

    series: int
    times: int
    weeks: int


def table(size: Size) -> list[dict[str, Any]]:
    """A row per stream and promise: alarms without a change over those promised, and hours until an outage is found."""
    return [_row(number, stream, promise, size) for number, stream in enumerate(STREAMS) for promise in PROMISES]


def traffic(stream: Stream, rng: np.random.Generator, hours: int, series: int) -> I64:
    """Calls per hour, shape (hours, series)."""
    lumps = rng.poisson(stream.rates(rng, hours, series))
    return lumps if stream.lumps is None else stream.lumps(rng, lumps)


def alarms(events: I64, promise: float) -> tuple[list[tuple[int, int, bool]], list[tuple[int, int]]]:
    """(hour, series, fewer) of promised first alarms, and (hour, series) of those without a promise."""
    detector = ArrivalDetector(DriftSettings(false_alarms_per_1000_groups_per_week=promise), more=True)
    threshold = DriftSettings(false_alarms_per_1000_groups_per_week=promise).threshold_of("calls")
    count = events.shape[1]
    detector.add([(f"task-{row}",) for row in range(count)], [threshold] * count, START)
    promised, others, one = [], [], np.ones(count)
    for hour, arrived in enumerate(events.astype(np.float64)):
        detector.normal(START + hour)
        for row, found in detector.advance_hour(START + hour, arrived, one, detector.usual(START + hour)):
            if found.mean_r is not None:
                promised.append((hour, row, found.direction == "down"))
            elif not found.over:
                others.append((hour, row))
    return promised, others


def _row(number: int, stream: Stream, promise: float, size: Size) -> dict[str, Any]:
    hours, false, others = size.weeks * WEEK, 0, 0
    for seed in range(size.times):
        rng = np.random.default_rng([_SEED, number, seed])
        promised, bare = alarms(traffic(stream, rng, hours, size.series), promise)
        false, others = false + len(promised), others + len(bare)
    threshold = DriftSettings(false_alarms_per_1000_groups_per_week=promise).threshold_of("calls")
    allowed = size.series * size.times * size.weeks * _TESTS / threshold
    return {
        "stream": stream.name,
        "promise": promise,
        "group_weeks": size.series * size.times * size.weeks,
        "alarms": false,
        "others": others,
        "promised": allowed,
        "ratio": false / allowed,
        "upper": poisson_upper(false) / allowed,
    } | (_delays(number, stream, size) if promise == PROMISES[0] else {})


def _delays(number: int, stream: Stream, size: Size) -> dict[str, Any]:
    """Median hours until an outage that begins at noon on a Wednesday of week 5 is found, and how many are."""
    change, weeks = 4 * WEEK + 2 * DAY + 12, 7
    rng = np.random.default_rng([_SEED, number, 10_000])
    events = traffic(stream, rng, weeks * WEEK, size.series)
    events[change:] = 0
    promised, _ = alarms(events, PROMISES[0])
    first = np.full(size.series, np.inf)
    for hour, row, fewer in promised:
        if fewer and hour >= change:
            first[row] = min(first[row], hour + 1 - change)
    found = np.isfinite(first)
    return {
        "found": float(found.mean()),
        "median_h": float(np.median(first)) if found.mean() > 0.5 else None,
    }
