"""Simulates paths of failure indicators, calibrates thresholds, and measures delays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.detection.watcher import Start, Watcher
from models.arrays import F64, I64, Bools

BEFORE_CHANGE = 1000
"""Events between the history and the change."""
RAMP = 2000
"""Events over which a ramp of 10 points rises."""
NEVER = -1
_BLOCK = 250
_CALIBRATION_SEED, _DELAY_SEED = 11, 99


class Paths(NamedTuple):
    """Independent paths.

    Attributes:
        seed: seed of all paths.
        number: number of paths.
        history: number of events that come before any change.
        rates: failure rate of each later event; the history has the first of them.
    """

    seed: int
    number: int
    history: int
    rates: F64

    def blocks(self) -> Iterator[tuple[int, Bools]]:
        """(number of the block's first event, indicators of shape (events, number)); in the history numbers are < 0."""
        rng = np.random.default_rng(self.seed)
        rates = np.concatenate((np.full(self.history, self.rates[0]), self.rates)).astype(np.float32)
        bounds = [*range(0, self.history, _BLOCK), *range(self.history, len(rates), _BLOCK), len(rates)]
        for low, high in itertools.pairwise(bounds):
            draws = rng.random((high - low, self.number), dtype=np.float32)
            yield low - self.history, draws < rates[low:high, None]


class Delay(NamedTuple):
    """Mean delay in events, its standard error, and the share undetected, of paths without an alarm before the change.

    Undetected paths count with `cap`, so the mean is then a lower bound. `early`: share of paths with an alarm before
    the change.
    """

    mean: float
    error: float
    early: float
    undetected: float
    cap: int


def greatest(start: Start, paths: Paths) -> F64:
    """The greatest statistic of each path after its history."""
    watcher = start(paths.number, 0.0)
    most = np.full(paths.number, -np.inf)
    for first, failed in paths.blocks():
        if first < 0:
            watcher.learn(failed)
            continue
        for row in failed:
            np.maximum(most, watcher.step(row), out=most)
    return most


def first_alarms(start: Start, threshold: float, paths: Paths) -> I64:
    """Number of the event, from 0 after the history, at which each path first exceeds the threshold, or NEVER."""
    watcher = start(paths.number, threshold)
    found = np.full(paths.number, NEVER, np.int64)
    going = np.arange(paths.number)
    for first, failed in paths.blocks():
        if first < 0:
            watcher.learn(failed)
            continue
        _watch(watcher, failed[:, going], first, going, found)
        open_ = np.flatnonzero(found[going] == NEVER)
        if not len(open_):
            break
        if len(open_) < 0.9 * len(going):
            watcher.keep(open_)
            going = going[open_]
    return found


def _watch(watcher: Watcher, failed: Bools, first: int, going: I64, found: I64) -> None:
    for number, row in enumerate(failed, first):
        over = watcher.step(row) > 0
        if over.any():
            alarmed = going[over]
            found[alarmed[found[alarmed] == NEVER]] = number


def calibrated(
    start: Start, failure: float, arl0: int, history: int, count: int, between: tuple[float, float] | None = None
) -> float:
    """The threshold that a share 1 - 1/e of in-control paths exceeds within `arl0` events after the history.

    An exponential distribution with mean `arl0` has this share. `between`: range in which to search.
    """
    paths = Paths(_CALIBRATION_SEED, count, history, np.full(arl0, failure))
    if between is None:
        return float(np.quantile(greatest(start, paths), math.exp(-1)))
    low, high = between
    for _ in range(10):
        middle = (low + high) / 2
        too_often = np.mean(first_alarms(start, middle, paths) != NEVER) > 1 - math.exp(-1)
        low, high = (middle, high) if too_often else (low, middle)
    return high


def changed(failure: float, drop: float, cap: int) -> F64:
    """Failure rates of the events after the history: a step by `drop`; if it is 0, a ramp of 10 points over 2,000."""
    since = np.arange(BEFORE_CHANGE + cap) - BEFORE_CHANGE
    if drop:
        return np.where(since >= 0, failure + drop, failure)
    return failure + 0.1 * np.clip(since / RAMP, 0, 1)


def delay(start: Start, threshold: float, failure: float, drop: float, history: int, count: int, cap: int) -> Delay:
    """Delays of a detector at `threshold`; a drop of 0 is the ramp."""
    return delay_of(
        first_alarms(start, threshold, Paths(_DELAY_SEED, count, history, changed(failure, drop, cap))), cap
    )


def delay_of(alarms: I64, cap: int) -> Delay:
    """Delays computed from first alarms: an alarm at the first changed event has a delay of 1."""
    early = (alarms != NEVER) & (alarms < BEFORE_CHANGE)
    late = alarms[~early]
    if not len(late):
        return Delay(math.nan, math.nan, 1.0, math.nan, cap)
    undetected = late == NEVER
    events = np.where(undetected, cap, late - BEFORE_CHANGE + 1)
    error = float(events.std() / math.sqrt(len(events)))
    return Delay(float(events.mean()), error, float(early.mean()), float(undetected.mean()), cap)
