"""Delivers the outcomes of hours together: verdicts of a nightly judge, of a weekly reviewer, of a daily upload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.detection.ours import DEFAULTS, SHIPPED
from benchmarks.detection.populations import Levels, Population, Stream, population
from benchmarks.detection.promise import NEVER, Batch, Lab, Tally, batches, first_alarms, merged, tallies
from models.arrays import F64

DAY: Final = 1440
_SEED: Final = 23
_WEEKS_BEFORE: Final = 4
_DROP: Final = 0.2
_PER_DAY: Final = 300


class Lumps(NamedTuple):
    """How outcomes come: all of `days` days at once, at an hour that varies by `within`; days have correlation `daily`.

    `days` 0: each hour's at its end, as without a batch.
    """

    name: str
    days: int
    within: int = 1
    daily: float = 0.0


LUMPS: Final = (
    Lumps("as they come", 0),
    Lumps("nightly judge", 1),
    Lumps("nightly judge, day effects ICC .005", 1, daily=0.005),
    Lumps("daily upload at any hour", 1, within=6),
    Lumps("weekly reviewer", 7),
)


def lumped(traffic: Iterator[Batch], lumps: Lumps, groups: int, rng: np.random.Generator) -> Iterator[Batch]:
    """The outcomes of `traffic`, which comes by the hour, when they are delivered."""
    if not lumps.days:
        yield from traffic
        return
    held = np.zeros((2, groups), np.int64)
    waiting = due = 0
    for batch in traffic:
        period = batch.minute // (lumps.days * DAY)
        if period != waiting:
            waiting, due = period, batch.minute + 60 * int(rng.integers(1, lumps.within + 1))
            ready, held = held, np.zeros((2, groups), np.int64)
        if due and batch.minute >= due:
            rows = np.flatnonzero(ready.sum(axis=0))
            if len(rows):
                yield Batch(batch.minute, rows, ready[0, rows], ready[1, rows])
            due = 0
        held[0, batch.rows] += batch.successes
        held[1, batch.rows] += batch.failures


def table(groups: int, weeks: int) -> list[dict[str, Any]]:
    """Per way of delivery: false alarms over those promised, and the median hours until a drop of 20 points is found.

    The hours are counted from the change at a midnight; `after_h` from the first delivery that has it.
    """
    return [_row(lumps, groups, weeks, number) for number, lumps in enumerate(LUMPS)]


def _row(lumps: Lumps, groups: int, weeks: int, number: int) -> dict[str, Any]:
    (tally,) = (one for one in _tallies(lumps, groups, weeks, number) if one.threshold == 100)
    hours = _delays(lumps, max(groups // 10, 100), number)
    middle = float(np.median(hours))
    return {"stream": lumps.name} | tally.plain() | {"delay_h": middle if np.isfinite(middle) else None}


def _tallies(lumps: Lumps, groups: int, weeks: int, number: int) -> list[Tally]:
    rng = np.random.default_rng([_SEED, number])
    people = population(groups, rng)
    levels = Levels(Stream(lumps.name, daily=lumps.daily), people, rng)
    traffic = lumped(batches(levels, people, weeks * 168, 60, rng), lumps, groups, rng)
    return merged(tallies(first_alarms(Lab(groups, SHIPPED), groups, traffic, (20, 100, 1000, 10_000)), weeks))


def _delays(lumps: Lumps, groups: int, number: int) -> F64:
    """Hours from the change to the first alarm; infinite without one. Groups that alarmed before it are left out."""
    rng = np.random.default_rng([_SEED, 100 + number])
    people = Population(np.full(groups, 0.1), np.full(groups, float(_PER_DAY)))
    levels = Levels(Stream(lumps.name, daily=lumps.daily), people, rng)
    change = _WEEKS_BEFORE * 168
    traffic = _worse(batches(levels, people, change + 4 * 168, 60, rng), change, rng)
    found = first_alarms(Lab(groups, SHIPPED), groups, lumped(traffic, lumps, groups, rng), [DEFAULTS.threshold])[0]
    hours: F64 = np.where(found == NEVER, np.inf, found / 60 + 1 - change).min(axis=0)
    late: F64 = hours[hours > 0]
    return late


def _worse(traffic: Iterator[Batch], change: int, rng: np.random.Generator) -> Iterator[Batch]:
    """From hour `change` on a share of the successes are failures: the rate falls by 20 points from 90 %."""
    for batch in traffic:
        if batch.minute < change * 60:
            yield batch
        else:
            failed = rng.binomial(batch.successes, _DROP / 0.9)
            yield batch._replace(successes=batch.successes - failed, failures=batch.failures + failed)
