"""Measures false alarms of CT-SR over those promised, on groups that do not change.

A group is watched in both directions until its first alarm at each threshold A. The promise allows T / A false alarms
per direction in T weeks. Alarms and exposure are split by the history that the detector has: none in the first week, a
week or more in later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_WEEK
from benchmarks.detection.ours import DEFAULTS, MINUTES_PER_DAY, Config
from benchmarks.detection.populations import Levels, Population, Stream, population
from models.arrays import F64, I64
from models.stats.chi_square import chi_square_quantile
from models.stats.shiryaev_roberts import ShiryaevRoberts

THRESHOLDS: Final = (20, 100, 1000, 10_000)
LEAST_PROMISED: Final = 3.0
"""With fewer promised false alarms, even a count of zero cannot show that the promise is kept: 3.0 is the 95 % Poisson
bound of a count of zero."""
NEVER: Final = -1
MIDNIGHT: Final = 2_900 * MINUTES_PER_WEEK
"""The minute at which every simulation begins."""
_CHUNK: Final = 10_000


class Batch(NamedTuple):
    """Counts of the groups that had outcomes; `minute` counts from `MIDNIGHT`."""

    minute: int
    rows: I64
    successes: I64
    failures: I64


class Tally(NamedTuple):
    """False alarms in a phase, by direction (drop, rise), and how long groups were watched, in group-weeks."""

    phase: str
    threshold: int
    drops: int
    rises: int
    exposure: float

    @property
    def promised(self) -> float:
        """False alarms that the promise allows for the exposure, both directions together."""
        return self.exposure / self.threshold

    @property
    def ratio(self) -> float:
        """False alarms over promised ones."""
        return (self.drops + self.rises) / self.promised

    @property
    def upper(self) -> float:
        """The one-sided 95 % Poisson bound of `ratio`."""
        return poisson_upper(self.drops + self.rises) / self.promised

    def plain(self) -> dict[str, Any]:
        """The values for a results file."""
        return self._asdict() | {"promised": self.promised, "ratio": self.ratio, "upper": self.upper}


def poisson_upper(count: int) -> float:
    """The mean at which `count` or fewer events have a probability of 5 % (Garwood 1936).

    >>> round(poisson_upper(0), 3)
    2.996
    """
    return chi_square_quantile(0.95, 2 * (count + 1)) / 2


def batches(
    levels: Levels, people: Population, hours: int, minutes: int, rng: np.random.Generator, rise_at: int | None = None
) -> Iterator[Batch]:
    """Traffic in batches of `minutes` (a divisor of 60); failure rates rise by 10 points at hour `rise_at`."""
    mean = people.per_day * minutes / MINUTES_PER_DAY
    for hour in range(hours):
        level = levels.hour(hour, 0.1 if rise_at is not None and hour >= rise_at else 0.0)
        trials = rng.poisson(mean, (60 // minutes, len(mean)))
        for part, counts in enumerate(trials):
            rows = np.flatnonzero(counts)
            failures = rng.binomial(counts[rows], level[rows])
            yield Batch(hour * 60 + part * minutes, rows, counts[rows] - failures, failures)


class Lab:
    """The detector with its margin, on groups numbered from 0."""

    def __init__(self, groups: int, config: Config) -> None:
        self._detector = ShiryaevRoberts(min_trials=DEFAULTS.min_trials, dispersion=config.dispersion)
        self._detector.grow(groups, opens=np.arange(groups) % 4)
        self._config = config
        self._trials, self._since = np.zeros(groups), np.full(groups, NEVER)

    def update(self, batch: Batch) -> tuple[F64, F64]:
        """Mean R for a drop and for a rise, per row of the batch."""
        rows = batch.rows
        fresh = rows[self._since[rows] == NEVER]
        self._since[fresh] = batch.minute
        days = (batch.minute - self._since[rows]) / MINUTES_PER_DAY
        margin = self._config.margin_of(self._trials[rows], days)
        self._trials[rows] += batch.successes + batch.failures
        return self._detector.update(rows, batch.successes, batch.failures, MIDNIGHT + batch.minute, margin)

    def reset(self, row: int, failures: float, trials: float) -> None:
        """After an alarm; see `ShiryaevRoberts.reset`."""
        self._detector.reset(row, failures, trials)


def first_alarms(lab: Lab, groups: int, traffic: Iterator[Batch], thresholds: Sequence[float]) -> I64:
    """Minute of each group's first alarm, shape (thresholds, 2 directions, groups); NEVER without one."""
    found = np.full((len(thresholds), 2, groups), NEVER, np.int64)
    least = min(thresholds)
    for batch in traffic:
        for direction, mean in enumerate(lab.update(batch)):
            high = np.flatnonzero(mean >= least)
            if not len(high):
                continue
            rows = batch.rows[high]
            for at, threshold in zip(found[:, direction], thresholds, strict=True):
                over = rows[mean[high] >= threshold]
                at[over[at[over] == NEVER]] = batch.minute
    return found


def tallies(found: I64, weeks: int) -> list[Tally]:
    """Alarms and exposure of `first_alarms` at THRESHOLDS, per phase: the first week and the later ones.

    The exposure is summed over both directions; each ends with its own first alarm.
    """
    end = weeks * MINUTES_PER_WEEK
    rows = []
    for phase, low, high in (("first week", 0, MINUTES_PER_WEEK), ("later weeks", MINUTES_PER_WEEK, end)):
        for threshold, minutes in zip(THRESHOLDS, found, strict=True):
            until = np.where(minutes == NEVER, end, minutes)
            alarms = ((minutes >= low) & (minutes < high)).sum(axis=1)
            exposure = np.clip(until, low, high).sum() - low * minutes.size
            rows.append(Tally(phase, threshold, int(alarms[0]), int(alarms[1]), exposure / MINUTES_PER_WEEK))
    return rows


def merged(phases: Sequence[Tally]) -> list[Tally]:
    """The tallies of all phases merged into one per threshold."""
    sums = []
    for threshold in dict.fromkeys(tally.threshold for tally in phases):
        same = [tally for tally in phases if tally.threshold == threshold]
        drops, rises = sum(tally.drops for tally in same), sum(tally.rises for tally in same)
        sums.append(Tally("all weeks", threshold, drops, rises, sum(tally.exposure for tally in same)))
    return sums


def run(stream: Stream, config: Config, *, groups: int, weeks: int, minutes: int, seed: int) -> list[Tally]:
    """Tallies of a simulation of `groups` groups, 10,000 at a time."""
    found = []
    chunks = range(0, groups, _CHUNK)
    for low, seeds in zip(chunks, np.random.SeedSequence(seed).spawn(len(chunks)), strict=True):
        rng = np.random.default_rng(seeds)
        people = population(min(_CHUNK, groups - low), rng)
        traffic = batches(Levels(stream, people, rng), people, weeks * 168, minutes, rng)
        count = len(people.failure)
        found.append(first_alarms(Lab(count, config), count, traffic, THRESHOLDS))
    return tallies(np.concatenate(found, axis=2), weeks)
