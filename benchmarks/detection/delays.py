"""Measures detection delays of CT-SR, of river's detectors and of the oracle, event by event."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.detection import oracle, ours, runs
from benchmarks.detection.peers import CALIBRATED, PEERS, Peer
from benchmarks.detection.runs import Delay
from benchmarks.detection.watcher import Start

RAMP: Final = 0.0
"""The value among drops that stands for the ramp."""
ORACLE: Final = "oracle CUSUM"
FORMULA: Final = "CT-SR formula"
SHIPPED: Final = "CT-SR shipped"
MARGINED: Final = "CT-SR shipped, margin .01"


@dataclass(frozen=True)
class Setting:
    """One cell of the protocol; rates are success rates."""

    p0: float
    arl0: int
    history: int
    drop: float

    @property
    def failure(self) -> float:
        """Failure rate before the change."""
        return round(1 - self.p0, 6)

    @property
    def bound(self) -> float:
        """ln(ARL0) over the information per event: the limit of the delay for large ARL0."""
        drop = self.drop or 0.1
        return math.log(self.arl0) / oracle.information(self.failure + drop, self.failure)

    @property
    def cap(self) -> int:
        """Number of events after which a path counts as undetected."""
        return int(min(60_000, max(15_000, 40 * self.bound))) if self.drop else 20_000


@dataclass(frozen=True)
class Size:
    """The settings to run, and the numbers of paths.

    Attributes:
        fast, peers, slow: paths to calibrate at ARL0 1e4, at 1e5, and to measure: for CT-SR and the oracle, for river's
            detectors, for river's slow detectors. 0: not run.
        precise: paths to measure CT-SR and the oracle at p0 .9, ARL0 1e4, after 10,000 events, drops of 5 points and
            more.
        peers_at: (ARL0, history) at which river's detectors are run.
    """

    p0: tuple[float, ...]
    arl0: tuple[int, ...]
    histories: tuple[int, ...]
    drops: tuple[float, ...]
    fast: tuple[int, int, int]
    peers: tuple[int, int, int]
    slow: tuple[int, int, int]
    precise: int
    peers_at: tuple[tuple[int, int], ...]


CI: Final = Size(
    p0=(0.9,),
    arl0=(10_000,),
    histories=(10_000,),
    drops=(0.05, 0.1, 0.2),
    fast=(1500, 500, 1000),
    peers=(150, 0, 150),
    slow=(40, 0, 60),
    precise=10_000,
    peers_at=((10_000, 10_000),),
)
FULL: Final = Size(
    p0=(0.9, 0.6),
    arl0=(10_000, 100_000),
    histories=(1_000, 10_000),
    drops=(0.02, 0.05, 0.1, 0.2, RAMP),
    fast=(1500, 500, 1000),
    peers=(400, 150, 300),
    slow=(150, 0, 150),
    precise=10_000,
    peers_at=((10_000, 1_000), (10_000, 10_000), (100_000, 10_000)),
)


class Method(NamedTuple):
    """A detector with its threshold, and the number of paths to measure it; `precise`: the number for precise cells."""

    name: str
    start: Start
    threshold: float
    paths: int
    precise: int = 0


def table(size: Size) -> list[dict[str, Any]]:
    """A row per method and setting."""
    rows: list[dict[str, Any]] = []
    for p0, arl0, history in itertools.product(size.p0, size.arl0, size.histories):
        settings = [Setting(p0, arl0, history, drop) for drop in size.drops]
        best = [_row(_oracle(size, at), at) for at in settings]
        cells = [_row(method, at) for method in _methods(size, settings[0]) for at in settings]
        best_mean = {row["drop"]: row["mean"] for row in best}
        rows += [row | {"over_oracle": row["mean"] / best_mean[row["drop"]]} for row in (*best, *cells)]
        print(f"delays: p0 {p0:g}, ARL0 {arl0:,}, history {history:,}", file=sys.stderr, flush=True)
    return rows


def _methods(size: Size, at: Setting) -> Iterator[Method]:
    """The detectors for one ARL0, p0 and history."""
    calibrate, count = _counts(size.fast, at)
    threshold = runs.calibrated(ours.Formula, at.failure, at.arl0, at.history, calibrate)
    yield Method(FORMULA, ours.Formula, threshold, count, size.precise)
    if at.arl0 <= 10_000:
        # The shipped detector is not calibrated: its threshold is the one for a user who sets this ARL0.
        yield Method(SHIPPED, ours.Shipped, ours.promised(at.arl0), count // 3, size.precise)
        wide = partial(ours.Shipped, config=ours.MARGIN)
        yield Method(MARGINED, wide, ours.promised(at.arl0), count // 3, size.precise)
    if (at.arl0, at.history) not in size.peers_at:
        return
    for peer in CALIBRATED:
        calibrate, count = _counts(size.slow if peer.slow else size.peers, at)
        if calibrate:
            threshold = runs.calibrated(peer.start, at.failure, at.arl0, at.history, calibrate, peer.between)
            yield Method(peer.name, peer.start, threshold, count)


def _counts(counts: tuple[int, int, int], at: Setting) -> tuple[int, int]:
    short, long, measure = counts
    return (short if at.arl0 <= 10_000 else long), measure


def _oracle(size: Size, at: Setting) -> Method:
    # The oracle knows the size of the change at the end of the ramp.
    start = oracle.oracle(at.failure, at.failure + (at.drop or 0.1))
    calibrate, count = _counts(size.fast, at)
    threshold = runs.calibrated(start, at.failure, at.arl0, 0, calibrate)
    return Method(ORACLE, start, threshold, count, size.precise)


def _row(method: Method, at: Setting) -> dict[str, Any]:
    precisely = method.precise and at.p0 == 0.9 and at.arl0 <= 10_000 and at.history >= 10_000 and at.drop >= 0.05
    count = method.precise if precisely else method.paths
    delay = runs.delay(method.start, method.threshold, at.failure, at.drop, at.history, count, at.cap)
    named = {"method": method.name, "threshold": method.threshold, "paths": count, "bound": at.bound}
    return vars(at) | named | delay._asdict()


# --- the default promise --------------------------------------------------------------------------------------------


def at_default_promise(
    drops: tuple[float, ...], count: int, p0: float = 0.9, history: int = 10_000
) -> list[dict[str, Any]]:
    """Delays of the shipped detector at its default threshold, over those of an oracle with the same ARL0.

    The oracle's threshold is computed, not simulated.
    """
    rows = []
    arl0 = round(ours.DEFAULTS.threshold / 2 * ours.EVENTS_PER_WEEK)
    for drop in drops:
        at = Setting(p0, arl0, history, drop)
        start = oracle.oracle(at.failure, at.failure + drop)
        best = _row(Method(ORACLE, start, oracle.threshold_for(at.failure, at.failure + drop, arl0), count), at)
        shipped = _row(Method(SHIPPED, ours.Shipped, ours.DEFAULTS.threshold, count), at)
        rows += [row | {"over_oracle": row["mean"] / best["mean"]} for row in (best, shipped)]
    return rows


# --- river's defaults -----------------------------------------------------------------------------------------------


def defaults(p0s: tuple[float, ...], counts: tuple[int, int], events: int = 10_000) -> list[dict[str, Any]]:
    """River's defaults: shares of paths with a false alarm within 1,000 and within all `events`; delay at 10 points.

    The drop comes after 1,000 events of history and 1,000 more. `counts`: paths of a fast and of a slow detector.
    """
    return [_default(peer, p0, counts[peer.slow], events) for p0 in p0s for peer in PEERS]


def _default(peer: Peer, p0: float, count: int, events: int) -> dict[str, Any]:
    failure = round(1 - p0, 6)
    alarms = runs.first_alarms(peer.start, peer.default, runs.Paths(5, count, 0, np.full(events, failure)))
    delay: Delay = runs.delay(peer.start, peer.default, failure, 0.1, 1000, count, 15_000)
    return {
        "method": peer.name,
        "p0": p0,
        "paths": count,
        "within_1000": float(np.mean((alarms != runs.NEVER) & (alarms < 1000))),
        "within_all": float(np.mean(alarms != runs.NEVER)),
        "delay_drop10": delay.mean,
        "early": delay.early,
        "undetected": delay.undetected,
    }
