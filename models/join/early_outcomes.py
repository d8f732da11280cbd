"""Buffers outcomes that came before their call, until it comes or their wait is over.

They lie in a table of columns. Those of one call follow each other from row to row; where there are many, dictionaries
have them by their ids. Up to `most` may wait; which of them has to go is the owner's decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Self

import numpy as np

from models.arrays import I32, U64, Bools
from models.columns.hash_index import HashIndex
from models.join.deadlines import Deadlines, Due
from models.join.homonyms import Homonyms
from models.join.statements import Deciding, Statement
from models.join.waiting_table import END, EarlyOutcome, Strangers, WaitingTable

__all__ = ["EarlyOutcome", "EarlyOutcomes"]

_MOST_IN_A_CHAIN: Final = 8
_NEVER_DUE: Final = 2**63


class _Many:
    """The outcomes of a call that has many.

    Attributes:
        rows: in the order of arrival.
        by_id: the same by `outcome_id`, and by what decides whether another one is a duplicate.
        first: a lower bound of their deadlines.
    """

    def __init__(self) -> None:
        self.rows: dict[int, None] = {}
        self.by_id: dict[str, dict[Deciding, int]] = {}
        self.first = _NEVER_DUE

    def add(self, row: int, statement: Statement) -> None:
        """Add a row behind the others."""
        self.rows[row] = None
        self.by_id.setdefault(statement.outcome_id, {})[statement.deciding()] = row

    def remove(self, row: int, statement: Statement) -> None:
        """Take a row out."""
        del self.rows[row]
        alike = self.by_id[statement.outcome_id]
        del alike[statement.deciding()]
        if not alike:
            del self.by_id[statement.outcome_id]


class EarlyOutcomes:
    """The early outcomes of one shard, by the key of their call and in the order of their arrival."""

    def __init__(self, homonyms: Homonyms, seed: int) -> None:
        """Buffer none. `homonyms`: the keys that are not the hashes of their ids; `seed`: of the index."""
        self._homonyms, self._seed = homonyms, seed
        self._clear()

    def _clear(self) -> None:
        self._index, self._table = HashIndex(seed=self._seed), WaitingTable()
        self._deadlines = Deadlines(self._table, self._hashes)
        self._many: dict[int, _Many] = {}
        self._count = 0
        self._touched: list[int] | None = None
        """Keys whose outcomes have changed since they were last stored; None before that."""

    def __len__(self) -> int:
        """How many outcomes wait."""
        return self._count

    @property
    def unstored(self) -> int:
        """About how many outcomes the next `changes` has."""
        return 0 if self._touched is None else len(self._touched)

    def find(self, keys: U64) -> I32:
        """For each key, the row of an outcome that waits for its call, or -1."""
        return self._index.find(keys) if self._count else np.full(len(keys), -1, np.int32)

    def are_for(self, rows: I32, words: U64, text: Any) -> Bools:
        """Which of the rows that `find` gave wait for a call with the i-th id, given as in `IdColumn.put_words`."""
        return self._table.call_ids.same(rows, words, text)

    def call_id(self, key: int) -> str | None:
        """The id of the call with this key, if outcomes wait for it."""
        row = self._index.find_one(key)
        return None if row < 0 else self._table.call_ids.get(row)

    def calls_of(self, most: int) -> list[str]:
        """The ids of the calls that outcomes wait for, one for each outcome, those of the first `most` of them."""
        rows = self._in_order(np.sort(self._index.rows())) if self._count else np.zeros(0, np.int32)
        return [self._table.get(row).call_id for row in rows[:most].tolist()]

    def first(self, key: int, outcome_id: str) -> Statement | None:
        """The first outcome with this id, in the order of arrival, that waits for the call."""
        row = next(self._namesakes(key, outcome_id), None)
        return None if row is None else self._table.get(row).statement

    def has(self, key: int, statement: Statement) -> bool:
        """Whether one waits that equals it in its id and all deciding fields. O(1)."""
        deciding = statement.deciding()
        if (many := self._many.get(key)) is not None:
            return deciding in many.by_id.get(statement.outcome_id, ())
        rows = self._namesakes(key, statement.outcome_id)
        return any(self._table.get(row).statement.deciding() == deciding for row in rows)

    def _namesakes(self, key: int, outcome_id: str) -> Iterator[int]:
        """The rows of the outcomes with this id, in the order of arrival."""
        if (many := self._many.get(key)) is not None:
            return iter(many.by_id.get(outcome_id, {}).values())
        ids = self._table.outcome_ids
        return (row for row in self._chain(key) if ids.get(row) == outcome_id)

    def add(
        self, key: int, outcome: EarlyOutcome, call_uuid: tuple[int, int] = (0, 0), uuid: tuple[int, int] = (0, 0)
    ) -> None:
        """Buffer an outcome that `has` does not know. `call_uuid`, `uuid`: its ids as words."""
        row = self._table.put(outcome, call_uuid, uuid)
        self._index.reserve(len(self._table))
        self._link(key, row, outcome)
        self._deadlines.add(row, outcome.deadline)
        self._count += 1
        self._touch(key)

    def add_all(self, strangers: Strangers) -> None:
        """Buffer outcomes that meet no other. O(n)."""
        rows = self._table.put_all(strangers)
        self._index.insert(strangers.keys, rows)
        self._index.reserve(len(self._table))
        self._deadlines.add_many(rows)
        self._count += len(rows)
        if self._touched is not None:
            self._touched += strangers.keys.tolist()

    def pop(self, key: int) -> list[EarlyOutcome]:
        """Remove and return the outcomes that waited for a call."""
        rows = list(self._rows_of(key))
        if not rows:
            return []
        outcomes = list(map(self._table.get, rows))
        self._index.remove_one(key)
        self._many.pop(key, None)
        self._free(key, rows)
        self._deadlines.tidy(self._live)
        return outcomes

    def pop_expired(self, watermark: int, most: int | None = None) -> Iterator[EarlyOutcome]:
        """Remove and return the outcomes whose deadline the watermark has passed, in order; `most`: at most so many."""
        left = self._count if most is None else most
        while left > 0 and (due := self._deadlines.first(watermark)) is not None:
            left -= 1
            yield self._pop_due(due)

    def pop_expired_for(self, key: int, watermark: int) -> list[EarlyOutcome]:
        """The same for one call."""
        many = self._many.get(key)
        if many is not None and many.first >= watermark:
            return []
        rows = list(self._rows_of(key))
        expired = [row for row in rows if self._table.deadline(row) < watermark]
        if many is not None:
            kept = (self._table.deadline(row) for row in rows)
            many.first = min((deadline for deadline in kept if deadline >= watermark), default=_NEVER_DUE)
        outcomes = list(map(self._table.get, expired))
        for row in expired:
            self._unlink(key, row)
        self._free(key, expired)
        return outcomes

    def oldest_at(self) -> int | None:
        """The event time of the outcome whose wait ends first; None without any. Ties by hash of the call, and ids."""
        due = self._deadlines.first()
        return None if due is None else self._table.columns.at.item(due.row)

    def pop_oldest(self) -> EarlyOutcome:
        """Remove and return that outcome; there must be one."""
        due = self._deadlines.first()
        assert due is not None, "an outcome waits"  # noqa: S101
        return self._pop_due(due)

    def state(self) -> dict[str, Any]:
        """As plain values and arrays. Changes count from here on."""
        self._touched = []
        return self._state_of(self._in_order(np.sort(self._index.rows())), whole=True)

    def changes(self) -> dict[str, Any]:
        """As `state`, of the calls whose outcomes have changed since the last of both, with their keys as `touched`."""
        touched = np.unique(np.array(self._touched or [], np.uint64))
        self._touched = []
        rows = self._index.find(touched)
        return {"touched": touched, **self._state_of(self._in_order(rows[rows >= 0]), whole=False)}

    @classmethod
    def from_state(cls, state: dict[str, Any], homonyms: Homonyms, seed: int) -> Self:
        """Read `state`."""
        early = cls(homonyms, seed)
        rows, keys = early._table.restore(state), state["keys"]
        early._index = HashIndex(len(early._table), seed)
        early._count, early._touched = len(rows), []
        order = np.argsort(keys, kind="stable")
        _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
        heads = rows[order[starts]]
        early._index.insert(keys[heads], heads)
        early._index.reserve(len(early._table))
        early._index.row_key[rows] = keys
        for start, count in zip(starts[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
            early._restore_chain(rows[order[start : start + count]])
        early._deadlines.add_all(rows)
        return early

    def _restore_chain(self, rows: I32) -> None:
        """Link the rows of one call, in order; its first is in the index."""
        if len(rows) <= _MOST_IN_A_CHAIN:
            self._table.columns.next[rows[:-1]] = rows[1:]
        else:
            self._gather(self._index.row_key.item(rows.item(0)), rows.tolist())

    def _state_of(self, rows: I32, *, whole: bool) -> dict[str, Any]:
        return {"keys": self._index.row_key[rows], **self._table.state_of(rows, whole=whole)}

    def _in_order(self, heads: I32) -> I32:
        """The rows of the calls whose first rows these are; those of one call in the order of their arrival."""
        found = []
        while len(heads):
            found.append(heads)
            following = self._table.columns.next[heads]
            heads = following[following >= 0]
        if self._many:
            keys = self._index.row_key[found[0]].tolist() if found else []
            many = [row for key in keys if key in self._many for row in [*self._many[key].rows][1:]]
            found.append(np.array(many, np.int32))
        return np.concatenate(found) if found else np.zeros(0, np.int32)

    def _pop_due(self, due: Due) -> EarlyOutcome:
        key, outcome = self._index.row_key.item(due.row), self._table.get(due.row)
        self._unlink(key, due.row)
        self._free(key, [due.row])
        return outcome

    def _rows_of(self, key: int) -> Iterator[int]:
        many = self._many.get(key)
        return self._chain(key) if many is None else iter(many.rows)

    def _chain(self, key: int) -> Iterator[int]:
        row = self._index.find_one(key)
        while row >= 0:
            yield row
            row = self._table.columns.next.item(row)

    def _link(self, key: int, row: int, outcome: EarlyOutcome) -> None:
        """Put a row behind the others of its call."""
        self._index.row_key[row] = key
        many = self._many.get(key)
        if many is None:
            rows = list(self._chain(key))
            if not rows:
                self._index.insert_one(key, row)
            elif len(rows) < _MOST_IN_A_CHAIN:
                self._table.columns.next[rows[-1]] = row
            else:
                self._gather(key, [*rows, row])
        else:
            many.add(row, outcome.statement)
            many.first = min(many.first, outcome.deadline)

    def _gather(self, key: int, rows: list[int]) -> None:
        many = self._many[key] = _Many()
        for row in rows:
            many.add(row, self._table.get(row).statement)
        many.first = min(map(self._table.deadline, rows))
        self._table.columns.next[rows] = END

    def _unlink(self, key: int, row: int) -> None:
        """Take a row out of those of its call."""
        many = self._many.get(key)
        if many is not None:
            many.remove(row, self._table.get(row).statement)
            head, following = self._index.find_one(key), next(iter(many.rows), END)
            if not many.rows:
                del self._many[key]
        else:
            rows = list(self._chain(key))
            at, head = rows.index(row), rows[0]
            following = self._table.columns.next.item(row)
            if at > 0:
                self._table.columns.next[rows[at - 1]] = following
        if row == head:
            if following == END:
                self._index.remove_one(key)
            else:
                self._index.replace_one(key, following)

    def _free(self, key: int, rows: list[int]) -> None:
        for row in rows:
            self._table.drop(row)
        self._count -= len(rows)
        if rows:
            self._touch(key)

    def _live(self) -> I32:
        return self._in_order(np.sort(self._index.rows()))

    def _hashes(self, rows: I32) -> U64:
        return self._homonyms.hashes(self._index.row_key[rows])

    def _touch(self, key: int) -> None:
        if self._touched is not None:
            self._touched.append(key)
