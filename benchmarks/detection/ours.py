"""Runs CT-SR on event paths, as the plain formula and as shipped.

For the plain formula only the clock of its weight matters: the history comes at minute 0, where nothing is added to R,
then one event per minute. R is then the Shiryaev-Roberts statistic of the events divided by 10,080, and so is the
threshold. As shipped, a path is a group with 1,000 outcomes a day, whose first event comes at BEGINS: 10,000 events of
history are ten days, and a change after 1,000 more comes at that time of the day.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from benchmarks.detection.watcher import Watcher
from models.arrays import F64, I64, Bools
from models.drift import DriftSettings
from models.stats.shiryaev_roberts import ShiryaevRoberts

MINUTES_PER_DAY = 1440
PER_DAY = 1000
BEGINS = 10 * 60
"""Minute of the day of the first event: in the middle of the working day, and of one of the detector's quarters."""
EVENTS_PER_WEEK = 7 * PER_DAY
DEFAULTS = DriftSettings()


class Config(NamedTuple):
    """The parts of the detector that are switched on."""

    name: str
    dispersion: bool
    margin: float

    def margin_of(self, trials: F64, days: F64 | float) -> F64:
        """The margin of the shipped detector if a user sets this one; see `DriftSettings.margin_of`."""
        return replace(DEFAULTS, margin=self.margin).margin_of(trials, days)


PLAIN = Config("plain formula", dispersion=False, margin=0.0)
MARGIN = Config("a margin of one point", dispersion=True, margin=0.01)
SHIPPED = Config("shipped", dispersion=True, margin=DEFAULTS.margin)


def promised(arl0_events: float) -> float:
    """The threshold A that promises one false alarm in `arl0_events` events at 1,000 a day, for both directions."""
    return 2 * arl0_events / EVENTS_PER_WEEK


class Formula(Watcher):
    """CT-SR with all trials independent, no margin, for a drop; a minute is only the number of an event."""

    def __init__(self, paths: int, threshold: float) -> None:
        self._detector = ShiryaevRoberts(paths, min_trials=DEFAULTS.min_trials, dispersion=False)
        self._rows = np.arange(paths)
        self._threshold, self._minute = threshold, 0

    def learn(self, failed: Bools) -> None:
        """Learn the events at minute 0."""
        _learn(self._detector, self._rows, failed, 0)

    def step(self, failed: Bools) -> F64:
        """See `Watcher.step`; each event comes a minute after the one before."""
        self._minute += 1
        drop, _ = self._detector.update(self._rows, *_counts(failed), self._minute)
        return drop - self._threshold


class Shipped(Watcher):
    """CT-SR as shipped, for one group of a service: both directions, minutes of real days, margin by traffic."""

    def __init__(self, paths: int, threshold: float, config: Config = SHIPPED) -> None:
        self._detector = ShiryaevRoberts(min_trials=DEFAULTS.min_trials, dispersion=config.dispersion)
        self._detector.grow(paths, opens=np.arange(paths) % 4)
        self._rows = np.arange(paths)
        self._threshold, self._config, self._events = threshold, config, 0

    def learn(self, failed: Bools) -> None:
        """Learn the events hour by hour."""
        hours = minute_of(self._events + np.arange(len(failed))) // 60
        starts = np.flatnonzero(np.diff(hours, prepend=-1))
        for hour, part in zip(hours[starts].tolist(), np.split(failed, starts[1:]), strict=True):
            _learn(self._detector, self._rows, part, hour * 60)
        self._events += len(failed)

    def step(self, failed: Bools) -> F64:
        """See `Watcher.step`; each event comes 1.44 minutes after the one before."""
        minute = int(minute_of(self._events))
        drop, rise = self._detector.update(self._rows, *_counts(failed), minute, self._margin())
        self._events += 1
        return np.maximum(drop, rise) - self._threshold

    def _margin(self) -> F64:
        # All paths have learned the same number of trials.
        return self._config.margin_of(np.full(len(self._rows), float(self._events)), self._events / PER_DAY)


def _learn(detector: ShiryaevRoberts, rows: I64, failed: Bools, minute: int) -> None:
    """Add history, which is not tested."""
    detector.begin_day(minute // MINUTES_PER_DAY)
    trials = np.full(len(rows), float(len(failed)))
    detector.learn(rows, np.full(len(rows), minute), failed.sum(axis=0).astype(np.float64), trials, 1.0)


def _counts(failed: Bools) -> tuple[F64, F64]:
    """Successes and failures of one event per path."""
    return (~failed).astype(np.float64), failed.astype(np.float64)


def minute_of(event: I64 | int) -> I64:
    """Minute, counted from a midnight, of the event with that number (from 0) in a group with 1,000 a day."""
    minute: I64 = BEGINS + np.asarray(event) * MINUTES_PER_DAY // PER_DAY
    return minute
