"""Outcomes that came before their call, until it comes or their wait is over."""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

import numpy as np

from models.arrays import U64, Bools
from models.join.ledger import Statement


class Waiting(NamedTuple):
    """An outcome without a held call. Its bytes are not kept: `size` and `sha256` point to them."""

    statement: Statement
    call_id: str
    deadline: int
    partition: str
    offset: int
    size: int
    sha256: str


class WaitingOutcomes:
    """All that wait in one shard, by the key of their call and in the order of their arrival."""

    def __init__(self) -> None:
        self._of: dict[int, dict[str, Waiting]] = {}
        self._first: dict[int, int] = {}
        """The earliest deadline by key, so that most look-ups end there."""
        # The keys as they were at the last `reindex`, sorted.
        self._keys: U64 = np.zeros(0, np.uint64)
        self._changed = False
        self._deadlines: list[tuple[int, int]] = []

    def any_for(self, keys: U64) -> Bools:
        """For each key, whether something waited for its call at the last `reindex`."""
        if not len(self._keys):
            return np.zeros(len(keys), np.bool_)
        at = np.searchsorted(self._keys, keys)
        at[at == len(self._keys)] = 0
        found: Bools = self._keys[at] == keys
        return found

    def reindex(self) -> None:
        """Bring `any_for` up to date. O(n log n) for n calls waited for, where anything has changed."""
        if self._changed:
            self._keys = np.sort(np.fromiter(self._of, np.uint64, len(self._of)))
            self._changed = False

    def owner(self, key: int, outcome_id: str) -> Waiting | None:
        """The outcome with this id that waits for a call."""
        return self._of.get(key, {}).get(outcome_id)

    def add(self, key: int, waiting: Waiting) -> None:
        """Let an outcome wait whose id nobody who waits for this call has."""
        if key not in self._of:
            self._of[key] = {}
            self._changed = True
        self._of[key][waiting.statement.outcome_id] = waiting
        self._first[key] = min(waiting.deadline, self._first.get(key, waiting.deadline))
        heapq.heappush(self._deadlines, (waiting.deadline, key))

    def take(self, key: int) -> list[Waiting]:
        """What waited for a call, which waits no longer."""
        waiting = self._of.pop(key, {})
        self._first.pop(key, None)
        self._changed = self._changed or bool(waiting)
        return list(waiting.values())

    def expire(self, watermark: int) -> list[Waiting]:
        """Takes those whose wait the watermark has ended."""
        over = []
        while self._deadlines and self._deadlines[0][0] < watermark:
            _, key = heapq.heappop(self._deadlines)
            over += self.expire_of(key, watermark)
        return over

    def expire_of(self, key: int, watermark: int) -> list[Waiting]:
        """The same for one call."""
        first = self._first.get(key)
        if first is None or first >= watermark:
            return []
        over = [w for w in self._of[key].values() if w.deadline < watermark]
        for waited in over:
            del self._of[key][waited.statement.outcome_id]
        if self._of[key]:
            self._first[key] = min(w.deadline for w in self._of[key].values())
        else:
            self.take(key)
            self._changed = True
        return over

    def state(self) -> list[tuple[int, list[tuple[Any, ...]]]]:
        """Plain values."""
        return [(key, [(tuple(w.statement), *w[1:]) for w in kept.values()]) for key, kept in self._of.items()]

    def restore(self, state: list[tuple[int, list[tuple[Any, ...]]]]) -> None:
        """Read `state`."""
        for key, kept in state:
            for statement, *rest in kept:
                self.add(key, Waiting(Statement(*statement), *rest))
        self.reindex()
