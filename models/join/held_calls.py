"""Holds the calls of one shard until they close, as numpy columns.

A call takes about 106 bytes where every second one has a statement. The common call has no statement or one, which lies
in the table `singles` beside the columns. The few calls with more statements, or with an `error`, have a `StoredLedger`
(a Python object) in `ledgers`. Calls are grouped by the hour in which they close, so closing never scans what is not
due and never needs a timer per call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from sys import intern
from typing import Any, NamedTuple

import numpy as np

from aftercall.times import HOUR_US, NEVER
from models.arrays import F64, I8, I32, I64, U8, U32, U64
from models.columns.hash_index import HashIndex
from models.columns.id_pool import IdPool
from models.join.homonyms import Homonyms
from models.join.ledger import Statement

NO_STATEMENT = -1
HAS_LEDGER = -2
PENDING, FAILURE, SUCCESS = -1, 0, 1


class _CallColumns(NamedTuple):
    """Names and types are those of the stored state."""

    at: I64
    group: I32
    minute: I32
    verdict: I8
    rules: U8
    digest: U32
    """Of the names as they were sent; of a call that a state of before brought, of all that decided then."""
    single: I32
    """Row in `singles`, NO_STATEMENT or HAS_LEDGER."""
    filled: U32
    """As in `models.join.contents`; without KNOWN of a call that a state of before brought."""
    segment: U32
    session: U32
    error: U32


class _SingleColumns(NamedTuple):
    """Names and types are those of the stored state."""

    at: I64
    source: I32
    """The shard's code."""
    given: I8
    """-1 if absent."""
    score: F64
    minute: I32


@dataclass(slots=True)
class StoredLedger:
    """The ledger of a call that does not fit the columns. `error` is the call's own, None where it has none.

    `error_minute`: the minute from which on that is known, None where it came with the call.
    """

    call_id: str
    error: str | None
    statements: list[Statement] = field(default_factory=list)
    error_minute: int | None = None


class CallTable(IdPool[_CallColumns]):
    """One row per held call.

    `ids` holds the calls' ids; states of earlier versions had none of calls with a single statement.
    """

    def __init__(self) -> None:
        super().__init__(
            _CallColumns(
                at=np.zeros(1, np.int64),
                group=np.zeros(1, np.int32),
                minute=np.zeros(1, np.int32),
                verdict=np.zeros(1, np.int8),
                rules=np.zeros(1, np.uint8),
                digest=np.zeros(1, np.uint32),
                single=np.zeros(1, np.int32),
                filled=np.zeros(1, np.uint32),
                segment=np.zeros(1, np.uint32),
                session=np.zeros(1, np.uint32),
                error=np.zeros(1, np.uint32),
            )
        )

    def _bind(self, columns: _CallColumns) -> None:
        super()._bind(columns)
        self.at, self.group, self.minute, self.verdict, self.rules, self.digest, self.single = columns[:7]
        self.filled, self.segment, self.session, self.error = columns[7:]


class SingleTable(IdPool[_SingleColumns]):
    """One row per call with exactly one statement, an assertion; `ids` holds the `outcome_id`."""

    def __init__(self) -> None:
        super().__init__(
            _SingleColumns(
                at=np.zeros(1, np.int64),
                source=np.zeros(1, np.int32),
                given=np.zeros(1, np.int8),
                score=np.zeros(1),
                minute=np.zeros(1, np.int32),
            )
        )

    def _bind(self, columns: _SingleColumns) -> None:
        super()._bind(columns)
        self.at, self.source, self.given, self.score, self.minute = columns


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
        self.singles = SingleTable()
        self.ledgers: dict[int, StoredLedger] = {}
        self.reasons: dict[int, str] = {}
        """Reasons of single statements, by their row in `singles`."""
        self.scorers: dict[int, str] = {}
        """Likewise; interned, as many statements have the same."""
        self._changed: RowLog | None = None
        self._hours: dict[int, list[I32]] = {}
        self._due: I32 = np.zeros(0, np.int32)
        self._due_close: I64 = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.index)

    def add(self, keys: U64, closes: I64) -> I32:
        """Rows for new calls with these distinct, absent keys, which close once the watermark is past `closes`.

        Their columns and ids are left to the caller.
        """
        rows = self.calls.take_rows(len(keys))
        self.index.insert(keys, rows)
        self._schedule(rows, closes)
        self.touch(rows)
        return rows

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
        self.forget_singles(rows)
        for row in rows[self.calls.single[rows] == HAS_LEDGER].tolist():
            self.ledgers.pop(row, None)
        self.calls.give_back(rows)

    def erase(self, rows: I32) -> None:
        """Erase held calls from index and columns. Their rows, now empty, stay scheduled until their hour comes due."""
        self.remove(self.index.row_key[rows])
        self._forget_statements(rows)
        self.calls.ids.drop(rows)

    def forget_singles(self, rows: I32) -> None:
        """Drop the single statements of `rows`: their ledgers are gone, or stored again."""
        single = self.calls.single[rows]
        held = single[single >= 0]
        if not len(held):
            return
        for texts in (self.reasons, self.scorers):
            if texts:
                for row in held.tolist():
                    texts.pop(row, None)
        self.singles.give_back(held)
        self.calls.single[rows[single >= 0]] = NO_STATEMENT

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
        single = self.calls.single[rows]
        has_single = np.flatnonzero(single >= 0)
        single_rows = single[has_single]
        cases = [(at, self.ledgers[rows.item(at)]) for at in np.flatnonzero(single == HAS_LEDGER).tolist()]
        return {
            "keys": self.index.row_key[rows],
            "calls": self.calls.state_of(rows),
            "has_single": has_single.astype(np.int32),
            "singles": self.singles.state_of(single_rows),
            "reasons": _texts_at(self.reasons, single_rows),
            "scorers": _texts_at(self.scorers, single_rows),
            "cases": {
                at: (case.call_id, case.error, [tuple(s) for s in case.statements], case.error_minute)
                for at, case in cases
            },
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
        single = self.singles.take_rows(len(state["has_single"]))
        self.singles.put_state(single, state["singles"])
        self.calls.single[rows] = np.minimum(self.calls.single[rows], NO_STATEMENT)
        self.calls.single[rows[state["has_single"]]] = single
        self.reasons |= {single.item(place): reason for place, reason in state["reasons"].items()}
        # A state of before has none.
        self.scorers |= {single.item(place): intern(text) for place, text in state.get("scorers", {}).items()}
        self.ledgers |= {
            rows.item(at): StoredLedger(call_id, error, [Statement(*s) for s in kept], *late)
            for at, (call_id, error, kept, *late) in state["cases"].items()
        }
        self._schedule(rows[new], self._closing_times(rows[new]))

    def _forget_statements(self, rows: I32) -> None:
        """Drop what is stated on the calls at `rows`."""
        self.forget_singles(rows)
        for row in rows[self.calls.single[rows] == HAS_LEDGER].tolist():
            del self.ledgers[row]
        self.calls.single[rows] = NO_STATEMENT

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
