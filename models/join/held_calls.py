"""Holds the calls of one shard until they close, as numpy columns.

A call takes about 113 bytes where every second one has a statement, 8 more where calls have sessions, and 4 where they
have facets. Statements lie in a pool beside them; `head` leads to those of a call. Calls are grouped by the hour in
which they close, so closing never scans what is not due and never needs a timer per call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US, NEVER
from models.arrays import I8, I32, I64, U8, U32, U64
from models.columns.hash_index import HashIndex
from models.columns.id_pool import IdPool
from models.join.facets import HeldFacets
from models.join.homonyms import Homonyms
from models.join.statement_pool import NO_STATEMENT, StatementPool, at_places
from models.join.units import HeldUnits

PENDING, FAILURE, SUCCESS = -1, 0, 1
HAS_ERROR, IS_MIXED, IS_LONG, IS_VOICED = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
"""Traits of a call: an `error`, statements that are not read in columns, very many; some of which are not plain."""
BY_RECORD: Final = HAS_ERROR | IS_MIXED | IS_LONG
"""Traits of calls that are read record by record."""
MOST_IN_COLUMNS: Final = 64
"""Statements of one call beyond which each batch would gather a long chain step by step."""


class _CallColumns(NamedTuple):
    """Names and types are those of the stored state."""

    at: I64
    group: I32
    minute: I32
    verdict: I8
    rules: U8
    digest: U32
    """Of the names as they were sent; of a call that a state of before brought, of all that decided then."""
    traits: U8
    head: I32
    """The row of its newest statement, or `NO_STATEMENT`."""
    filled: U32
    """As in `models.join.contents`; without KNOWN of a call that a state of before brought."""
    segment: U32
    session: U32
    error: U32


class CallTable(IdPool[_CallColumns]):
    """One row per held call.

    `ids` holds the calls' ids; states of earlier versions had none of calls with a single statement.
    """

    UNSTORED: ClassVar = frozenset({"head"})

    def __init__(self) -> None:
        super().__init__(
            _CallColumns(
                at=np.zeros(1, np.int64),
                group=np.zeros(1, np.int32),
                minute=np.zeros(1, np.int32),
                verdict=np.zeros(1, np.int8),
                rules=np.zeros(1, np.uint8),
                digest=np.zeros(1, np.uint32),
                traits=np.zeros(1, np.uint8),
                head=np.full(1, NO_STATEMENT, np.int32),
                filled=np.zeros(1, np.uint32),
                segment=np.zeros(1, np.uint32),
                session=np.zeros(1, np.uint32),
                error=np.zeros(1, np.uint32),
            )
        )

    def _bind(self, columns: _CallColumns) -> None:
        super()._bind(columns)
        self.at, self.group, self.minute, self.verdict, self.rules, self.digest, self.traits, self.head = columns[:8]
        self.filled, self.segment, self.session, self.error = columns[8:]


class RowLog(NamedTuple):
    """What has changed since the state was last stored: rows, which may repeat, and keys of calls that are gone."""

    rows: list[I32]
    gone: list[U64]


class HeldCalls:
    """All calls of a shard that have not closed."""

    def __init__(self, closing_times: Callable[[I32], I64], homonyms: Homonyms, seed: int) -> None:
        """Hold nothing.

        Args:
            closing_times: computes when the calls at some rows close: the rules belong to the owner.
            homonyms: the keys of calls that are not the hashes of their ids.
            seed: of the index.
        """
        self._closing_times, self._homonyms, self._seed = closing_times, homonyms, seed
        self.index = HashIndex(seed=seed)
        self.calls = CallTable()
        self.statements = StatementPool()
        self.errors: dict[int, str] = {}
        """What calls report of themselves, by their row."""
        self.error_minutes: dict[int, int] = {}
        """The minutes from which on that is known, of those where it did not come with the call."""
        self.units, self.facets = HeldUnits(), HeldFacets()
        self._changed: RowLog | None = None
        self._hours: dict[int, list[I32]] = {}
        self._due: I32 = np.zeros(0, np.int32)
        self._due_close: I64 = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.index)

    def add(self, keys: U64, closes: I64) -> I32:
        """Rows for new calls with these distinct, absent keys, which close once the watermark is past `closes`.

        They have no statements; their other columns and ids are left to the caller.
        """
        rows = self.calls.take_rows(len(keys))
        self.calls.traits[rows], self.calls.head[rows] = 0, NO_STATEMENT
        self.index.insert(keys, rows)
        self._schedule(rows, closes)
        self.touch(rows)
        return rows

    def enter(self, rows: I32, statements: I32) -> None:
        """Add statements, as rows of their pool, to the calls at `rows`; those of one call stand together, in order."""
        if not len(rows):
            return
        calls, pool = self.calls, self.statements
        first = np.ones(len(rows), np.bool_)
        first[1:] = rows[1:] != rows[:-1]
        before = np.empty_like(statements)
        before[1:] = statements[:-1]
        before[first] = calls.head[rows[first]]
        pool.next[statements] = before
        last = np.append(first[1:], True)
        calls.head[rows[last]] = statements[last]
        self.touch(rows[last])

    def note(self, trait: np.uint8, rows: I32) -> None:
        """Give the calls at `rows` a trait."""
        self.calls.traits[rows] |= trait

    def note_lengths(self, rows: I32, lengths: I32 | I64) -> None:
        """Take note of how many statements the calls at `rows`, which are distinct, have now."""
        (long,) = (lengths > MOST_IN_COLUMNS).nonzero()
        if len(long):
            self.calls.traits[rows[long]] |= IS_LONG

    def set_error(self, row: int, error: str, minute: int | None = None) -> None:
        """Set what a call reports of itself; `minute`: from which on, None where it came with the call."""
        self.errors[row] = error
        if minute is not None:
            self.error_minutes[row] = minute
        self.calls.traits[row] |= HAS_ERROR

    def touch(self, rows: I32) -> None:
        """Note that the columns, ids or ledgers of `rows` change, so that the next `changes` has these calls."""
        if self._changed is not None:
            self._changed.rows.append(rows)

    def remove(self, keys: U64) -> None:
        """Take calls out of the index; their rows stay scheduled."""
        self.index.remove(keys)
        if self._changed is not None:
            self._changed.gone.append(keys)

    def due(self, watermark: int) -> I32:
        """Pop the rows whose closing time the watermark has passed from the schedule, in order of (time, hash)."""
        if watermark == NEVER:
            return self._due[:0]
        self._bring_forward(watermark // HOUR_US)
        count = int(np.searchsorted(self._due_close, watermark, side="left"))
        rows = self._due[:count]
        self._due, self._due_close = self._due[count:], self._due_close[count:]
        return rows

    def release(self, rows: I32) -> None:
        """Drop calls that `due` returned; those still in the index are removed from it."""
        if not len(rows):
            return
        keys = self.index.row_key[rows]
        present = self.index.find(keys) == rows
        self.remove(keys[present])
        self._forget_statements(rows)
        self.calls.give_back(rows)

    def erase(self, rows: I32) -> None:
        """Erase held calls from index and columns. Their rows, now empty, stay scheduled until their hour comes due."""
        self.remove(self.index.row_key[rows])
        self._forget_statements(rows)
        self.calls.ids.drop(rows)

    def state(self) -> dict[str, Any]:
        """As plain values and arrays. The owner stores what the codes mean. Changes count from here on."""
        self._changed = RowLog([], [])
        return self._state_of(np.sort(self.index.rows()))

    def changes(self) -> dict[str, Any]:
        """The `state` of calls that are new or changed since the last `state` or `changes`, and keys that are `gone`.

        Keys of calls that went and came again are in both. O(changes).
        """
        log, self._changed = self._changed or RowLog([], []), RowLog([], [])
        rows = np.unique(np.concatenate((np.zeros(0, np.int32), *log.rows)))
        rows = rows[self.index.find(self.index.row_key[rows]) == rows]
        return {"gone": np.concatenate((np.zeros(0, np.uint64), *log.gone)), **self._state_of(rows)}

    def forget_changes(self) -> None:
        """Only `state` will do next: what was stored before must be replaced."""
        self._changed = None

    @property
    def unstored(self) -> int:
        """About how many calls the next `changes` has; -1 where only `state` will do."""
        return -1 if self._changed is None else sum(map(len, self._changed.rows))

    def _state_of(self, rows: I32) -> dict[str, Any]:
        """Of the calls at `rows`, ascending."""
        statements, places = self.statements.chains(self.calls.head[rows])
        return {
            "keys": self.index.row_key[rows],
            "calls": self.calls.state_of(rows),
            **self.units.state_of(rows),
            **self.facets.state_of(rows),
            "errors": at_places(self.errors, rows),
            "error_minutes": at_places(self.error_minutes, rows),
            "owners": places.astype(np.int32),
            "statements": self.statements.state_of(statements),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Fill an empty table from `state`, and with the `changes` that came after it, where it has some."""
        changes = state.get("changes")
        self.index = HashIndex(len(state["keys"]) + (0 if changes is None else len(changes["keys"])), self._seed)
        self._put(state)
        if changes is not None:
            gone = self.index.find(np.unique(changes["gone"]))
            self.erase(gone[gone >= 0])
            self._put(changes)
        self._changed = RowLog([], [])

    def _put(self, state: dict[str, Any]) -> None:
        """Hold the calls of a `state`, in place of those with the same keys."""
        rows = self.index.find(state["keys"])
        new = rows < 0
        held = rows[~new]
        self._forget_statements(held)
        self.calls.ids.drop(held)
        rows[new] = self.calls.take_rows(int(np.count_nonzero(new)))
        self.index.insert(state["keys"][new], rows[new])
        self.calls.put_state(rows, state["calls"])
        self.units.put_state(rows, state)
        self.facets.put_state(rows, state)
        self.calls.head[rows] = NO_STATEMENT
        self.errors |= {rows.item(place): error for place, error in state["errors"].items()}
        self.error_minutes |= {rows.item(place): minute for place, minute in state["error_minutes"].items()}
        owners = state["owners"]
        statements = self.statements.take_rows(len(owners))
        self.statements.put_state(statements, state["statements"])
        self.enter(rows[owners], statements)
        self._schedule(rows[new], self._closing_times(rows[new]))

    def _forget_statements(self, rows: I32) -> None:
        """Drop what is stated on the calls at `rows`."""
        statements, _ = self.statements.loose_chains(self.calls.head[rows])
        self.statements.give_back(statements)
        for row in rows[self.calls.traits[rows] & HAS_ERROR != 0].tolist():
            self.errors.pop(row, None)
            self.error_minutes.pop(row, None)
        self.calls.traits[rows], self.calls.head[rows] = 0, NO_STATEMENT

    def _schedule(self, rows: I32, closes: I64) -> None:
        hours = closes // HOUR_US
        if not len(hours):
            return
        if (hours == hours[0]).all():
            self._put_in_hour(int(hours[0]), rows)
        else:
            by_hour = np.argsort(hours, kind="stable")
            values, starts = np.unique(hours[by_hour], return_index=True)
            for hour, part in zip(values.tolist(), np.split(rows[by_hour], starts[1:]), strict=True):
                self._put_in_hour(hour, part)

    def _put_in_hour(self, hour: int, rows: I32) -> None:
        # Merged as a binary counter carries: many small arrays would lie scattered and keep the memory between them.
        parts = self._hours.setdefault(hour, [])
        while parts and len(parts[-1]) <= len(rows):
            rows = np.concatenate((parts.pop(), rows))
        parts.append(rows)

    def _bring_forward(self, hour: int) -> None:
        arrived = sorted(h for h in self._hours if h <= hour)
        if not arrived:
            return
        rows = np.concatenate([part for h in arrived for part in self._hours.pop(h)])
        closes = self._closing_times(rows)
        rows = np.concatenate((self._due, rows))
        closes = np.concatenate((self._due_close, closes))
        by_time = np.lexsort((self._homonyms.hashes(self.index.row_key[rows]), closes))
        self._due, self._due_close = rows[by_time], closes[by_time]


def _texts_at(texts: dict[int, str], singles: I32) -> dict[int, str]:
    """Texts of the single statements at these rows, by place."""
    if not texts:
        return {}
    found = map(texts.get, singles.tolist())
    return {place: text for place, text in enumerate(found) if text is not None}


def fold_digest(digest: Any) -> Any:
    """Half of a 64-bit digest, or of each: enough to tell a conflict from a duplicate among records of one id."""
    return (digest ^ (digest >> 32)) & 0xFFFFFFFF
