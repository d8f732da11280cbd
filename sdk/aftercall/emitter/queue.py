"""Holds events that wait to be built: bounded in number and bytes, and without a wait on the response path."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, cast

from aftercall.emitter.limits import Limits
from aftercall.emitter.tally import Tally

Build = Callable[[], dict[str, Any] | None]
"""What makes an event. One with a method `is_ready` waits in memory until that is so: see `Ripens`."""


class Ripens(Protocol):
    """A `Build` of an event that others are still at work on, such as the guard."""

    def is_ready(self) -> bool:
        """Whether it may be built. Called often, never raises; within seconds it must be so, whatever happens."""


class Item(NamedTuple):
    """An event that is not built yet; `size` is an estimate in bytes of what it holds, `place` the user's line."""

    kind: Literal["calls", "outcomes"]
    key: str
    build: Build
    size: int
    place: str | None = None


class Batch(NamedTuple):
    """Items that were taken together, and their ordinals, in order."""

    ordinals: Sequence[int]
    items: list[Item]


def is_ready(item: Item) -> bool:
    """Whether an event may be built now."""
    return not hasattr(item.build, "is_ready") or cast("Ripens", item.build).is_ready()


class Queue:
    """First in, first out. Full, it refuses the newest, whatever they hold: a loss must not bias a rate."""

    def __init__(self, limits: Limits, tally: Tally) -> None:
        self._most, self._most_bytes = limits.queue_events, limits.queue_bytes
        self._tally = tally
        self._items: deque[Item] = deque()
        self._append = self._items.append
        self._taken = 0
        self._active: set[int] = set()
        """The first ordinals of batches that are not done."""
        self._unripe: dict[int, Item] = {}

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
            batch = Batch(range(self._taken, self._taken + len(taken)), taken)
            self._active.add(self._taken)
            self._taken += len(taken)
        return batch

    def put_aside(self, ordinal: int, item: Item) -> None:
        """One of a batch is not ready; it goes on waiting, and holds up none behind it."""
        with self._tally.lock:
            self._unripe[ordinal] = item

    def take_ripe(self, most: int, *, unripe_too: bool = False) -> Batch | None:
        """Up to so many that were put aside and are ready now; as `take`."""
        ripe = [pair for pair in list(self._unripe.items()) if unripe_too or is_ready(pair[1])]
        with self._tally.lock:
            taken = {at: item for at, item in ripe[:most] if self._unripe.pop(at, None) is not None}
            if not taken:
                return None
            batch = Batch(list(taken), list(taken.values()))
            self._active.add(batch.ordinals[0])
        return batch

    def done(self, batch: Batch) -> None:
        """All of a batch are settled, or put aside."""
        with self._tally.lock:
            self._active.discard(batch.ordinals[0])

    @property
    def put_so_far(self) -> int:
        """How many were put in."""
        return self._tally.queued

    @property
    def settled(self) -> int:
        """All events before this ordinal have left the queue and its batches."""
        with self._tally.lock:
            return min((*self._active, *self._unripe, self._taken))
