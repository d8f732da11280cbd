"""Accounts for every event: at each moment, all that were emitted are in exactly one place."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple

Place = Literal["waiting", "held", "spooled", "handed"]
"""In the queue; in memory behind it, where there is no spool on disk; in the spool; handed over to the transport."""
Loss = Literal[
    "queue_full", "spool_full", "invalid", "too_large", "refused_by_broker", "shutdown", "damaged_spool", "internal"
]


class Stats(NamedTuple):
    """Counts of events since the process (after a fork: the child) began.

    `emitted + adopted = acknowledged + in_memory + in_spool + handed_over + skipped + sum(dropped)`, at every moment.
    `adopted` are those found in spools that dead processes left; `skipped` those of which their builder made nothing.
    """

    emitted: int
    adopted: int
    acknowledged: int
    in_memory: int
    in_spool: int
    handed_over: int
    skipped: int
    dropped: Mapping[Loss, int]
    memory_bytes: int

    @property
    def balanced(self) -> bool:
        """Whether the equation holds."""
        places = self.acknowledged + self.in_memory + self.in_spool + self.handed_over + self.skipped
        return self.emitted + self.adopted == places + sum(self.dropped.values())


class Tally:
    """Counts behind one lock.

    The lock is reentrant and every region under it short and plain: a finalizer that emits may interrupt one.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.queued = self.passed = 0
        """Emitted through the queue, and past it."""
        self.adopted = self.acknowledged = self.skipped = 0
        self.waiting = self.held = self.spooled = self.handed = 0
        """How many are in each place."""
        self.dropped: Counter[Loss] = Counter()
        self.memory_events = self.memory_bytes = 0
        """What the bounds of the queue are for: events waiting, and those of a spool in memory."""
        self._unreported = 0

    def move(self, source: Place, to: Place, count: int) -> None:
        """So many events are in another place now."""
        with self.lock:
            self._add(source, -count)
            self._add(to, count)

    def _add(self, place: Place, count: int) -> None:
        match place:
            case "waiting":
                self.waiting += count
            case "held":
                self.held += count
            case "spooled":
                self.spooled += count
            case "handed":
                self.handed += count

    @property
    def unsettled(self) -> int:
        """How many are in any place."""
        with self.lock:
            return self.waiting + self.held + self.spooled + self.handed

    def acknowledge(self, count: int) -> None:
        """So many that were handed over are there for good."""
        with self.lock:
            self.handed -= count
            self.acknowledged += count

    def skip(self) -> None:
        """One that waited turned out to be nothing."""
        with self.lock:
            self.waiting -= 1
            self.skipped += 1

    def adopt(self, count: int) -> None:
        """So many were found in the spool of a dead process."""
        with self.lock:
            self.adopted += count
            self.spooled += count

    def refuse(self, reason: Loss) -> None:
        """One was emitted, and admitted to no place."""
        with self.lock:
            self.passed += 1
            self.dropped[reason] += 1
            self._unreported += 1

    def pass_by(self, *, acknowledged: int = 0, skipped: int = 0) -> None:
        """So many were emitted, and delivered (or nothing) on the spot."""
        with self.lock:
            self.passed += acknowledged + skipped
            self.acknowledged += acknowledged
            self.skipped += skipped

    def drop(self, reason: Loss, count: int, source: Place) -> None:
        """So many that were in this place are lost."""
        with self.lock:
            self._add(source, -count)
            self.dropped[reason] += count
            self._unreported += count

    def free(self, events: int, size: int) -> None:
        """So many events, and bytes, are no longer in memory."""
        with self.lock:
            self.memory_events -= events
            self.memory_bytes -= size

    def take_unreported(self) -> int:
        """How many were dropped since this was asked last; the caller reports them, or gives them back."""
        with self.lock:
            count, self._unreported = self._unreported, 0
        return count

    def give_back(self, unreported: int) -> None:
        """These could not be reported."""
        with self.lock:
            self._unreported += unreported

    @property
    def losses(self) -> int:
        """How many were dropped."""
        with self.lock:
            return sum(self.dropped.values())

    def stats(self) -> Stats:
        """All counts of one moment."""
        with self.lock:
            return Stats(
                self.queued + self.passed,
                self.adopted,
                self.acknowledged,
                self.waiting + self.held,
                self.spooled,
                self.handed,
                self.skipped,
                dict(self.dropped),
                self.memory_bytes,
            )
