"""Outcomes that came before their call, until it comes or their wait is over."""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

import numpy as np

from models.ledger import Statement
from models.streams import U64, Bools
from models.table import HashIndex


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
        self._of: dict[int, list[Waiting]] = {}
        # Only answers "does anything wait for these keys?", vectorised; its rows carry nothing.
        self._index = HashIndex()
        self._free_rows: list[int] = []
        self._deadlines: list[tuple[int, int]] = []

    def any_for(self, keys: U64) -> Bools:
        """For each key, whether something waits for its call."""
        return self._index.find(keys) >= 0

    def of(self, key: int) -> list[Waiting]:
        """What waits for a call."""
        return self._of.get(key, [])

    def add(self, key: int, waiting: Waiting) -> None:
        """Let an outcome wait."""
        if key not in self._of:
            self._of[key] = []
            row = self._free_rows.pop() if self._free_rows else len(self._index)
            self._index.insert(np.array([key], np.uint64), np.array([row], np.int32))
        self._of[key].append(waiting)
        heapq.heappush(self._deadlines, (waiting.deadline, key))

    def take(self, key: int) -> list[Waiting]:
        """What waited for a call, which waits no longer."""
        waiting = self._of.pop(key, [])
        if waiting:
            keys = np.array([key], np.uint64)
            self._free_rows.append(int(self._index.find(keys)[0]))
            self._index.remove(keys)
        return waiting

    def expire(self, watermark: int) -> list[Waiting]:
        """Takes those whose wait the watermark has ended."""
        over = []
        while self._deadlines and self._deadlines[0][0] < watermark:
            _, key = heapq.heappop(self._deadlines)
            over += self.expire_of(key, watermark)
        return over

    def expire_of(self, key: int, watermark: int) -> list[Waiting]:
        """The same for one call."""
        waiting = self._of.get(key, [])
        over = [w for w in waiting if w.deadline < watermark]
        if over:
            kept = [w for w in waiting if w.deadline >= watermark]
            self.take(key)
            for waited in kept:
                self.add(key, waited)
        return over

    def state(self) -> list[tuple[int, list[tuple[Any, ...]]]]:
        """Plain values."""
        return [(key, [(tuple(w.statement), *w[1:]) for w in kept]) for key, kept in self._of.items()]

    def restore(self, state: list[tuple[int, list[tuple[Any, ...]]]]) -> None:
        """Read `state`."""
        for key, kept in state:
            for statement, *rest in kept:
                self.add(key, Waiting(Statement(*statement), *rest))
