"""Runs river's detectors on many paths at once, step by step.

Statistics and first alarms equal river's (tests compare them). An alarm in the history resets none of them. ADWIN is
river's own class, one object per path.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from benchmarks.detection.watcher import Start, Watcher
from models.arrays import F64, I64, Bools

if TYPE_CHECKING:
    from river.drift import ADWIN


class PageHinkley(Watcher):
    """`river.drift.PageHinkley` (Page 1954); `up`: mode "up" with delta .01 and alpha 1, instead of its defaults."""

    def __init__(self, paths: int, threshold: float, *, up: bool = False) -> None:
        self._threshold, self._n, self._both = threshold, 0, not up
        self._alpha, self._delta = (1.0, 0.01) if up else (1 - 0.0001, 0.005)
        self._mean, self._up, self._down = np.zeros(paths), np.zeros(paths), np.zeros(paths)
        self._least, self._most = np.full(paths, np.inf), np.full(paths, -1.0)

    def step(self, failed: Bools) -> F64:
        """See `Watcher.step`; no alarm in the first 30 events."""
        self._n += 1
        self._mean += (failed - self._mean) / self._n
        off = failed - self._mean
        self._up = self._alpha * self._up + off - self._delta
        self._down = self._alpha * self._down + off + self._delta
        self._least = np.minimum(self._least, self._up)
        self._most = np.maximum(self._most, self._down)
        if self._n < 30:
            return np.full(len(failed), -np.inf)
        rise = self._up - self._least
        statistic: F64 = np.maximum(rise, self._most - self._down) if self._both else rise
        return statistic - self._threshold


class Ddm(Watcher):
    """`river.drift.binary.DDM` (Gama et al. 2004); the threshold is `drift_threshold`, `warm` its `warm_start`."""

    def __init__(self, paths: int, threshold: float, *, warm: int = 30) -> None:
        self._threshold, self._warm, self._n = threshold, warm, 0
        self._p, self._p_min, self._s_min = np.zeros(paths), np.zeros(paths), np.full(paths, np.inf)

    def step(self, failed: Bools) -> F64:
        """See `Watcher.step`; in standard deviations of the least rate so far; no alarm in the first `warm` events."""
        self._n += 1
        self._p += (failed - self._p) / self._n
        s = np.sqrt(self._p * (1 - self._p) / self._n)
        if self._n <= self._warm:
            return np.full(len(failed), -np.inf)
        lower = self._p + s <= self._p_min + self._s_min
        self._p_min = np.where(lower, self._p, self._p_min)
        self._s_min = np.where(lower, s, self._s_min)
        above = self._p + s - self._p_min
        some = self._s_min > 0
        statistic = np.where(some, above / np.where(some, self._s_min, 1.0), np.where(above > 0, np.inf, 0.0))
        return statistic - self._threshold


class Eddm(Watcher):
    """`river.drift.binary.EDDM` (Baena-Garcia et al. 2006); the threshold is minus `beta`."""

    def __init__(self, paths: int, threshold: float) -> None:
        self._threshold, self._n = threshold, 0
        self._last, self._errors = np.zeros(paths), np.zeros(paths)
        self._mean, self._squares, self._most = np.zeros(paths), np.zeros(paths), np.full(paths, -1.0)

    def step(self, failed: Bools) -> F64:
        """See `Watcher.step`; an event that is no failure raises no alarm."""
        self._n += 1
        excess = np.full(len(failed), -np.inf)
        at = np.flatnonzero(failed)
        distance = self._n - self._last[at]
        self._last[at] = self._n
        self._errors[at] += 1
        errors = self._errors[at]
        off = distance - self._mean[at]
        self._mean[at] += off / errors
        self._squares[at] += off * (distance - self._mean[at])
        if self._n > 30:
            spread = np.sqrt(self._squares[at] / np.maximum(errors - 1, 1))
            level = self._mean[at] + 2 * spread
            most = self._most[at]
            self._most[at] = np.maximum(most, level)
            tested = (level <= most) & (errors > 30)
            excess[at[tested]] = -level[tested] / most[tested] - self._threshold
        return excess


class HddmA(Watcher):
    """`river.drift.binary.HDDMA` (Frias-Blanco et al. 2015); the threshold is -ln `drift_confidence`."""

    def __init__(self, paths: int, threshold: float) -> None:
        self._minus_log, self._n = threshold, 0
        self._sum, self._least_n, self._least_sum = np.zeros(paths), np.zeros(paths), np.zeros(paths)

    def step(self, failed: Bools) -> F64:
        """1 where it alarms, else -1."""
        self._n += 1
        self._sum += failed
        n, log = self._n, self._minus_log
        fresh = self._least_n == 0
        least_n = np.where(fresh, n, self._least_n)
        least = np.where(fresh, self._sum, self._least_sum) / least_n
        lower = fresh | (least + np.sqrt(log / (2 * least_n)) >= self._sum / n + math.sqrt(log / (2 * n)))
        self._least_n = np.where(lower, n, self._least_n)
        self._least_sum = np.where(lower, self._sum, self._least_sum)
        m = (n - self._least_n) / self._least_n / n
        bound = np.sqrt(m / 2 * (math.log(2) + log))
        alarm = (self._least_n != n) & (self._sum / n - self._least_sum / self._least_n >= bound)
        return np.where(alarm, 1.0, -1.0)


class HddmW(Watcher):
    """`river.drift.binary.HDDMW`, lambda .05; the threshold is -ln `drift_confidence`."""

    def __init__(self, paths: int, threshold: float) -> None:
        self._minus_log, self._n, self._all_bound = threshold, 0, 1.0
        self._all, self._cut = np.zeros(paths), np.full(paths, np.inf)
        self._before, self._before_bound = np.zeros(paths), np.ones(paths)
        self._since, self._since_bound, self._since_n = np.zeros(paths), np.ones(paths), np.zeros(paths)

    def step(self, failed: Bools) -> F64:
        """1 where it alarms, else -1."""
        weight, rest = 0.05, 0.95
        self._all = weight * failed + rest * self._all if self._n else failed.astype(np.float64)
        self._n += 1
        self._all_bound = weight**2 + rest**2 * self._all_bound
        upper = self._all + math.sqrt(self._all_bound * self._minus_log / 2)
        lower = upper < self._cut
        self._cut = np.where(lower, upper, self._cut)
        self._before = np.where(lower, self._all, self._before)
        self._before_bound = np.where(lower, self._all_bound, self._before_bound)
        first = self._since_n == 0
        since = np.where(first, failed, weight * failed + rest * self._since)
        self._since = np.where(lower, 0.0, since)
        self._since_bound = np.where(lower, 1.0, weight**2 + rest**2 * self._since_bound)
        self._since_n = np.where(lower, 0, self._since_n + 1)
        bound = np.sqrt((self._before_bound + self._since_bound) * self._minus_log / 2)
        return np.where((self._since_n > 0) & (self._since - self._before > bound), 1.0, -1.0)


class Kswin(Watcher):
    """`river.drift.KSWIN` (Raab et al. 2020), window 100, 30 newest against 30 drawn from the 70 before them.

    For values 0 and 1 the Kolmogorov-Smirnov distance is the difference of the rates; the number of failures drawn is
    hypergeometric. An alarm does not clear the window.
    """

    WINDOW: Final = 100
    NEWEST: Final = 30

    def __init__(self, paths: int, threshold: float) -> None:
        self._threshold, self._n = threshold, 0
        self._window = np.zeros((paths, self.WINDOW), np.bool_)
        self._new, self._old = np.zeros(paths, np.int64), np.zeros(paths, np.int64)
        self._rng = np.random.default_rng(5)

    def step(self, failed: Bools) -> F64:
        """See `Watcher.step`; no alarm until the window is full."""
        leaving = self._window[:, (self._n - self.NEWEST) % self.WINDOW]
        self._old += leaving.astype(np.int64) - self._window[:, self._n % self.WINDOW]
        self._new += failed.astype(np.int64) - leaving
        self._window[:, self._n % self.WINDOW] = failed
        self._n += 1
        if self._n < self.WINDOW:
            return np.full(len(failed), -np.inf)
        drawn = self._rng.hypergeometric(self._old, self.WINDOW - self.NEWEST - self._old, self.NEWEST)
        distance: F64 = np.abs(drawn - self._new) / self.NEWEST
        return distance - self._threshold


class Adwin(Watcher):
    """`river.drift.ADWIN` (Bifet & Gavalda 2007); the threshold is -ln `delta`."""

    def __init__(self, paths: int, threshold: float) -> None:
        from river.drift import ADWIN

        self._detectors: list[ADWIN] = [ADWIN(delta=math.exp(-threshold)) for _ in range(paths)]

    def step(self, failed: Bools) -> F64:
        """1 where it alarms, else -1."""
        excess = []
        for detector, failure in zip(self._detectors, failed.tolist(), strict=True):
            detector.update(failure)
            excess.append(1.0 if detector.drift_detected else -1.0)
        return np.array(excess)

    def keep(self, kept: I64) -> None:
        """Continue with these paths only."""
        self._detectors = [self._detectors[path] for path in kept.tolist()]


class Peer(NamedTuple):
    """A detector of river.

    Attributes:
        name: river's name.
        start: creates its watcher.
        default: the threshold that river's defaults amount to; nan if other parameters differ from the defaults.
        between: range in which to search the threshold if it is part of the statistic; None if it only ends the watch.
        slow: whether it gets fewer paths.
    """

    name: str
    start: Start
    default: float
    between: tuple[float, float] | None = None
    slow: bool = False


def kswin_default() -> float:
    """The threshold for KSWIN's default, p <= .005: between the greatest distance it accepts and the least rejected."""
    from scipy.stats import ks_2samp

    newest = Kswin.NEWEST

    def rejects(count: int) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # as river does
            found: Any = ks_2samp([0] * newest, [1] * count + [0] * (newest - count), method="auto")
        return bool(found.pvalue <= 0.005)

    return (next(count for count in range(newest) if rejects(count)) - 0.5) / newest


PEERS: Final = (
    Peer("ADWIN", Adwin, -math.log(0.002), (-2.0, 25.0), slow=True),
    Peer("PageHinkley", PageHinkley, 50.0),
    Peer("DDM", Ddm, 3.0),
    Peer("EDDM", Eddm, -0.9),
    Peer("HDDM_A", HddmA, -math.log(0.001), (0.5, 60.0)),
    Peer("HDDM_W", HddmW, -math.log(0.001), (0.5, 60.0)),
    Peer("KSWIN", Kswin, kswin_default(), slow=True),
)
"""River's detectors with their default parameters."""
CALIBRATED: Final = (
    *PEERS,
    Peer("PageHinkley up, delta .01, alpha 1", partial(PageHinkley, up=True), math.nan),
    Peer("DDM, warm start 1,000", partial(Ddm, warm=1000), math.nan),
)
"""The detectors whose thresholds are calibrated; PageHinkley and DDM also with parameters that suit failure rates."""
