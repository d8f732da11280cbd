"""Holds events that wait to be built: bounded in number and bytes, and without a wait on the response path."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from aftercall.emitter.limits import Limits
from aftercall.emitter.tally import Tally

Build = Callable[[], dict[str, Any] | None]


class Item(NamedTuple):
    """An event that is not built yet; `size` is an estimate in bytes of what it holds, `place` the user's line."""

    kind: Literal["calls", "outcomes"]
    key: str
    build: Build
    size: int
    place: str | None = None


class Batch(NamedTuple):
    """Items that were taken together, and the ordinal of the first."""

    first: int
    items: list[Item]


class Queue:
    """First in, first out. Full, it refuses the newest, whatever they hold: a loss must not bias a rate."""

    def __init__(self, limits: Limits, tally: Tally) -> None:
        self._most, self._most_bytes = limits.queue_events, limits.queue_bytes
        self._tally = tally
        self._items: deque[Item] = deque()
        self._append = self._items.append
        self._taken = 0
        self._active: set[int] = set()

    def put(self, item: Item) -> bool:
        """Take one in, unless the bounds are reached. Cost: under a microsecond.

        Whether there is room does not depend on the size of the event, so the bytes exceed their bound by at most one.
        """
        tally = self._tally
        with tally.lock:  # as `admit`, without its call: this is the response path
            if tally.memory_events >= self._most or tally.memory_bytes >= self._most_bytes:
                return False
            tally.queued += 1
            tally.waiting += 1
            tally.memory_events += 1
            tally.memory_bytes += item[3]
            self._append(item)
        return True

    def admit(self, item: Item) -> bool:
        """Count one as waiting, without a place in the queue, unless the bounds are reached."""
        tally = self._tally
        with tally.lock:
            if tally.memory_events >= self._most or tally.memory_bytes >= self._most_bytes:
                return False
            tally.passed += 1
            tally.waiting += 1
            tally.memory_events += 1
            tally.memory_bytes += item.size
        return True

    def __len__(self) -> int:
        return len(self._items)

    def take(self, most: int) -> Batch | None:
        """Up to so many of the oldest. They count as waiting until each is settled, and `done` must follow."""
        with self._tally.lock:
            if not self._items:
                return None
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            batch = Batch(self._taken, taken)
            self._active.add(batch.first)
            self._taken += len(taken)
        return batch

    def done(self, batch: Batch) -> None:
        """All of a batch are settled."""
        with self._tally.lock:
            self._active.discard(batch.first)

    @property
    def put_so_far(self) -> int:
        """How many were put in."""
        return self._tally.queued

    @property
    def settled(self) -> int:
        """All events before this ordinal have left the queue and its batches."""
        with self._tally.lock:
            return min(self._active, default=self._taken)
