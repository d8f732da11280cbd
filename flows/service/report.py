"""Reports the course of a process: a log line for each stage, and on a terminal one line that is updated in place.

Each process of a run logs what it reads; what concerns the whole run is logged by the one process that does it, or by
process 0. docs/operations.md has a table of the lines.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock
from typing import Final

from connectors.background import OnDefect, background
from connectors.kafka.lane_settings import Place
from connectors.metrics import METRICS
from connectors.pauses import PAUSES
from flows.dataflow.letter_log import LETTER_LOG
from flows.service import logs
from flows.service.status_line import StatusLine

PUBLISHED_EVERY_S: Final = timedelta(hours=1).total_seconds()
"""Seconds between two lines about published snapshots, at least."""
_TICK_S: Final = 1.0
_log = logging.getLogger("aftercall.run")


class Report:
    """What a process has logged so far. Any thread may call its methods."""

    def __init__(self, out: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`out`: folder of the run; `monotonic` gives seconds."""
        self._out, self._monotonic = out, monotonic
        self._began_s = monotonic()
        self._partitions: dict[str, Mapping[Place, tuple[int, int]]] = {}
        self._behind: set[str] = set()
        """Lanes of this process that are not caught up."""
        self._unread: set[str] = set()
        """Lanes of this process whose partitions are not known."""
        self._published_s: float | None = None
        self._lock = Lock()

    def expects_lane(self, name: str) -> None:
        """Record that a lane of this process was built."""
        with self._lock:
            self._behind.add(name)
            self._unread.add(name)

    def loaded(self, took_s: float) -> None:
        """Log that the state is loaded, which took `took_s` seconds."""
        calls = METRICS.figures().pending
        held = "" if calls is None else f": {calls:,.0f} calls without a verdict"
        _log.info("state loaded in %.1f s%s", took_s, held)

    def partitions(self, lane: str, partitions: Mapping[Place, tuple[int, int]]) -> None:
        """Log, once that is known of all lanes, where they begin to read, and how much there is to read.

        Args:
            lane: its name.
            partitions: of each of its partitions, the next offset and the number of records left.
        """
        with self._lock:
            if lane not in self._unread:
                return
            self._unread.discard(lane)
            self._partitions[lane] = partitions
            if self._unread:
                return
            read = {place: at for each in self._partitions.values() for place, at in each.items()}
        _log.info("reading %s", _described(read))

    def caught_up(self, lane: str) -> None:
        """Log, once that is so for all lanes, that each partition was read to its end."""
        with self._lock:
            self._behind.discard(lane)
            if self._behind:
                return
        took_s = self._monotonic() - self._began_s
        _log.info("caught up: each partition was read to its end; %.0f s after the start", took_s)

    def published(self, took_s: float) -> None:
        """Log that a snapshot was published: the first one, then one an hour. `took_s` is 0 where nothing was new."""
        now = self._monotonic()
        if not took_s or (self._published_s is not None and now - self._published_s < PUBLISHED_EVERY_S):
            return
        self._published_s = now
        with suppress(OSError):
            _log.info("snapshot published in %.1f s: %s", took_s, (self._out / "outcomes.duckdb").readlink())


@contextmanager
def reporting(process: int, processes: int, on_defect: OnDefect) -> Iterator[None]:
    """While the block runs, log in time that pauses are over and which dead letters there were; show the status line.

    Process 0 of `processes` alone has one: the terminal has a single last line. `on_defect` is called where a defect
    has ended that.
    """
    ended = Event()
    line = StatusLine(processes) if process == 0 and logs.has_status() else None

    def run() -> None:
        while not ended.wait(_TICK_S):
            PAUSES.settle()
            LETTER_LOG.log()
            if line is not None:
                logs.show_status(line.text(METRICS.figures(), PAUSES.names()))

    thread = background("aftercall-report", run, on_defect)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        logs.show_status("")
        LETTER_LOG.log(at_once=True)


def _described(partitions: Mapping[Place, tuple[int, int]]) -> str:
    """Each topic with its partitions, the offsets to read next, and how many records are left."""
    topics = []
    for topic in dict.fromkeys(place[0] for place in sorted(partitions)):
        offsets, left = zip(*(at for place, at in partitions.items() if place[0] == topic), strict=True)
        first, last = min(offsets), max(offsets)
        at = f"offset {first}" if first == last else f"offsets {first} to {last}"
        plural = "" if len(offsets) == 1 else "s"
        topics.append(f"{topic} ({len(offsets)} partition{plural}, from {at}, {sum(left):,} records behind)")
    return " and ".join(topics) or "no partitions"
