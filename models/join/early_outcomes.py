"""Buffers outcomes that came before their call, until it comes or their wait is over."""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple, Self

import numpy as np

from models.arrays import U64, Bools
from models.join.ledger import Statement


class EarlyOutcome(NamedTuple):
    """An outcome without a held call. Its bytes are not kept: `size` and `sha256` refer to them."""

    statement: Statement
    call_id: str
    deadline: int
    partition: str
    offset: int
    size: int
    sha256: str


class EarlyOutcomes:
    """The early outcomes of one shard, by the key of their call and in the order of their arrival."""

    def __init__(self) -> None:
        self._by_key: dict[int, dict[str, EarlyOutcome]] = {}
        self._next_deadline: dict[int, int] = {}
        """The earliest deadline by key, so that most look-ups end there."""
        # The keys as they were at the last `reindex`, sorted.
        self._keys: U64 = np.zeros(0, np.uint64)
        self._changed = False
        self._deadlines: list[tuple[int, int]] = []
        self._touched: set[int] | None = None
        """Keys whose outcomes have changed since they were last stored; None before that."""

    def any_for(self, keys: U64) -> Bools:
        """For each key, whether an outcome waited for its call at the last `reindex`."""
        if not len(self._keys):
            return np.zeros(len(keys), np.bool_)
        at = np.searchsorted(self._keys, keys)
        at[at == len(self._keys)] = 0
        found: Bools = self._keys[at] == keys
        return found

    def reindex(self) -> None:
        """Bring `any_for` up to date. O(n log n) for n calls waited for, where anything has changed."""
        if self._changed:
            self._keys = np.sort(np.fromiter(self._by_key, np.uint64, len(self._by_key)))
            self._changed = False

    def __len__(self) -> int:
        """How many calls are waited for."""
        return len(self._by_key)

    def call_ids(self, keys: U64) -> list[str]:
        """The ids of calls that outcomes wait for, by their keys."""
        return [next(iter(self._by_key[key].values())).call_id for key in keys.tolist()]

    def owner(self, key: int, outcome_id: str) -> EarlyOutcome | None:
        """The outcome with this id that waits for the call."""
        return self._by_key.get(key, {}).get(outcome_id)

    def add(self, key: int, outcome: EarlyOutcome) -> None:
        """Buffer an outcome; no other one of its call may have its id."""
        if key not in self._by_key:
            self._by_key[key] = {}
            self._changed = True
        self._touch(key)
        self._by_key[key][outcome.statement.outcome_id] = outcome
        self._next_deadline[key] = min(outcome.deadline, self._next_deadline.get(key, outcome.deadline))
        heapq.heappush(self._deadlines, (outcome.deadline, key))

    def pop(self, key: int) -> list[EarlyOutcome]:
        """Remove and return the outcomes that waited for a call."""
        outcomes = self._by_key.pop(key, {})
        self._next_deadline.pop(key, None)
        if outcomes:
            self._changed = True
            self._touch(key)
        return list(outcomes.values())

    def pop_expired(self, watermark: int) -> list[EarlyOutcome]:
        """Remove and return the outcomes whose deadline the watermark has passed."""
        expired = []
        while self._deadlines and self._deadlines[0][0] < watermark:
            _, key = heapq.heappop(self._deadlines)
            expired += self.pop_expired_for(key, watermark)
        return expired

    def pop_expired_for(self, key: int, watermark: int) -> list[EarlyOutcome]:
        """The same for one call."""
        first = self._next_deadline.get(key)
        if first is None or first >= watermark:
            return []
        outcomes = self._by_key[key]
        expired = [outcome for outcome in outcomes.values() if outcome.deadline < watermark]
        for outcome in expired:
            del outcomes[outcome.statement.outcome_id]
        self._touch(key)
        if outcomes:
            self._next_deadline[key] = min(outcome.deadline for outcome in outcomes.values())
        else:
            self.pop(key)
            self._changed = True
        return expired

    def state(self) -> list[tuple[int, list[tuple[Any, ...]]]]:
        """As plain values. Changes count from here on."""
        self._touched = set()
        return [(key, self._plain(key)) for key in self._by_key]

    def changes(self) -> list[tuple[int, list[tuple[Any, ...]]]]:
        """As `state`, of the keys that have changed since the last of both; an empty list where none waits any more."""
        touched, self._touched = self._touched or set(), set()
        return [(key, self._plain(key)) for key in sorted(touched)]

    def _plain(self, key: int) -> list[tuple[Any, ...]]:
        return [(tuple(outcome.statement), *outcome[1:]) for outcome in self._by_key.get(key, {}).values()]

    def _touch(self, key: int) -> None:
        if self._touched is not None:
            self._touched.add(key)

    @classmethod
    def from_state(cls, state: list[tuple[int, list[tuple[Any, ...]]]]) -> Self:
        """Read `state`."""
        early = cls()
        for key, outcomes in state:
            for statement, *rest in outcomes:
                early.add(key, EarlyOutcome(Statement(*statement), *rest))
        early.reindex()
        early._touched = set()
        return early
