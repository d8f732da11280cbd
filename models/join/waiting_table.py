"""Stores early outcomes as numpy columns: at most 168 bytes for one whose ids are UUIDs and that has no reason."""

from __future__ import annotations

from array import array
from typing import Any, Final, NamedTuple

import numpy as np

from models.arrays import F64, I8, I32, I64, U64, Bools, Objects
from models.columns.id_column import IdColumn
from models.columns.names import Names
from models.columns.struct_of_arrays import StructOfArrays
from models.columns.text_column import TextColumn
from models.join.statements import Statement

END: Final = -1
"""In `next`: no outcome of the same call comes after this one."""
UNUSED: Final = -2
"""In `next`: there is no outcome in this row."""
_NO_SOURCE: Final = -1
_ABSENT, _RETRACTS = -1, 2
_FEWEST_ROWS: Final = 64
_GROWTH: Final = 16
"""One row in so many is spare."""


class EarlyOutcome(NamedTuple):
    """An outcome without a held call. Its bytes are not kept: `size` and `sha256` refer to them."""

    statement: Statement
    call_id: str
    deadline: int
    partition: str
    offset: int
    size: int
    sha256: str


class _Columns(NamedTuple):
    """Names and types are those of the stored state, but for `next` and `turn`."""

    at: I64
    ends: I64
    """When its wait ends, us."""
    minute: I32
    source: I32
    given: I8
    """0, 1, -1 where absent; of a retraction 2."""
    score: F64
    partition: I32
    offset: I64
    size: I32
    hash: U64
    """SHA-256, shape (n, 4)."""
    next: I32
    """The row of the next outcome of the same call, `END` or `UNUSED`."""
    turn: I64
    """Ascends in the order of arrival of the outcomes of a call."""


_UNSTORED: Final = ("next", "turn")


class Strangers(NamedTuple):
    """Early outcomes that assert something, unsigned, each of another call that no other outcome waits for.

    `source` indexes `sources`, `partition` indexes `partitions`; `hash` is SHA-256, shape (n, 4); `ends`: when their
    waits end.
    """

    keys: U64
    at: I64
    ends: I64
    minute: I32
    source: I32
    given: I8
    score: F64
    partition: I32
    offset: I64
    size: I32
    hash: U64
    call_uuid: U64
    uuid: U64
    records: Objects
    reasons: list[str | None]
    scorers: list[str | None]
    sources: list[str]
    partitions: list[str]


class WaitingTable:
    """One row per early outcome. `retracts` and `author`, by row, are rare."""

    def __init__(self) -> None:
        nothing = _Columns(
            at=np.zeros(0, np.int64),
            ends=np.zeros(0, np.int64),
            minute=np.zeros(0, np.int32),
            source=np.zeros(0, np.int32),
            given=np.zeros(0, np.int8),
            score=np.zeros(0),
            partition=np.zeros(0, np.int32),
            offset=np.zeros(0, np.int64),
            size=np.zeros(0, np.int32),
            hash=np.zeros((0, 4), np.uint64),
            next=np.zeros(0, np.int32),
            turn=np.zeros(0, np.int64),
        )
        blank = _Columns._make(np.zeros(column.shape[1:], column.dtype) for column in nothing)
        self._blank = blank._replace(next=np.array(UNUSED, np.int32))
        self._rows = StructOfArrays(nothing, 1 / _GROWTH)
        self.columns = nothing
        self.call_ids, self.outcome_ids = IdColumn(), IdColumn()
        self._reasons, self._scorers = TextColumn(), TextColumn()
        self._retracts: dict[int, str] = {}
        self._authors: dict[int, str] = {}
        self._turn = 0
        self._sources, self._partitions = Names[str](), Names[str]()
        self._stored = (0, 0)
        """How many names of each kind are stored already."""
        self._free = array("i")

    def __len__(self) -> int:
        """How many rows there are, used or not."""
        return len(self._rows)

    def put(self, outcome: EarlyOutcome, call_uuid: tuple[int, int], uuid: tuple[int, int]) -> int:
        """Store the last outcome of its call so far; its row. Its ids are given as words too."""
        if not self._free:
            self._grow(max(_FEWEST_ROWS, len(self._rows) // _GROWTH))
        row, c, s = self._free.pop(), self.columns, outcome.statement
        c.at[row], c.minute[row], c.next[row], c.turn[row] = s.at, s.minute, END, self._turn
        self._turn += 1
        c.ends[row] = outcome.deadline
        c.source[row] = _NO_SOURCE if s.source is None else self._sources.code(s.source)
        c.given[row] = _RETRACTS if s.retract else _ABSENT if s.given is None else int(s.given)
        c.score[row] = np.nan if s.score is None else s.score
        c.partition[row], c.offset[row], c.size[row] = (
            self._partitions.code(outcome.partition), outcome.offset, outcome.size
        )  # fmt: skip
        c.hash[row] = np.frombuffer(bytes.fromhex(outcome.sha256), np.uint64)
        self.call_ids.put_one(row, outcome.call_id, call_uuid)
        self.outcome_ids.put_one(row, s.outcome_id, uuid)
        self._reasons.put(row, s.reason)
        self._scorers.put(row, s.scorer)
        if s.retracts is not None:
            self._retracts[row] = s.retracts
        if s.author is not None:
            self._authors[row] = s.author
        return row

    def put_all(self, strangers: Strangers) -> I32:
        """Store outcomes, none of which another one of its call follows; their rows."""
        s, count = strangers, len(strangers.keys)
        if len(self._free) < count:
            self._grow(max(_FEWEST_ROWS, count, len(self._rows) // _GROWTH))
        rows = np.array(self._free[-count:][::-1], np.int32)
        del self._free[-count:]
        values = _Columns(
            at=s.at,
            ends=s.ends,
            minute=s.minute,
            source=_recoded(s.source, s.sources, self._sources),
            given=s.given,
            score=s.score,
            partition=_recoded(s.partition, s.partitions, self._partitions),
            offset=s.offset,
            size=s.size,
            hash=s.hash,
            next=np.array(END, np.int32),
            turn=np.array(self._turn, np.int64),
        )
        self._turn += 1
        self._rows.fill(rows, values)
        self.call_ids.put_words(rows, s.call_uuid, lambda i: s.records[i].call_id)
        self.outcome_ids.put_words(rows, s.uuid, lambda i: s.records[i].outcome_id)
        for column, texts in ((self._reasons, s.reasons), (self._scorers, s.scorers)):
            if texts.count(None) < count:
                for row, text in zip(rows.tolist(), texts, strict=True):
                    column.put(row, text)
        return rows

    def get(self, row: int) -> EarlyOutcome:
        """The outcome in a row."""
        c = self.columns
        at, source, given, score = c.at.item(row), c.source.item(row), c.given.item(row), c.score.item(row)
        statement = Statement(
            at,
            self.outcome_ids.get(row),
            None if source == _NO_SOURCE else self._sources.names[source],
            bool(given) if given in {0, 1} else None,
            None if score != score else score,  # noqa: PLR0124 (nan: absent)
            given == _RETRACTS,
            self._retracts.get(row),
            self._reasons.get(row),
            c.minute.item(row),
            self._authors.get(row),
            scorer=self._scorers.get(row),
        )
        return EarlyOutcome(
            statement,
            self.call_ids.get(row),
            self.deadline(row),
            self._partitions.names[c.partition.item(row)],
            c.offset.item(row),
            c.size.item(row),
            c.hash[row].tobytes().hex(),
        )

    def drop(self, row: int) -> None:
        """Free a row."""
        self.columns.next[row] = UNUSED
        self.call_ids.drop_one(row)
        self.outcome_ids.drop_one(row)
        self._reasons.drop(row)
        self._scorers.drop(row)
        self._retracts.pop(row, None)
        self._authors.pop(row, None)
        self._free.append(row)

    def deadline(self, row: int) -> int:
        """Until when the outcome in a row waits, us."""
        return self.columns.ends.item(row)

    def deadlines(self, rows: I32) -> I64:
        """The same for many rows."""
        return self.columns.ends[rows]

    def order(self, row: int) -> tuple[str, str, int]:
        """By what outcomes of one deadline are ordered: call_id, outcome_id, and when it came."""
        return self.call_ids.get(row), self.outcome_ids.get(row), self.columns.turn.item(row)

    def used(self, rows: I32) -> Bools:
        """In which rows there is an outcome."""
        used: Bools = self.columns.next[rows] != UNUSED
        return used

    def state_of(self, rows: I32, *, whole: bool) -> dict[str, Any]:
        """Plain values of `rows`, in that order. Forgets unused names first where it is `whole`, which has all rows."""
        if whole:
            self._forget_names(rows)
        stored, self._stored = self._stored, (len(self._sources), len(self._partitions))
        columns = {name: c for name, c in self._rows.copied(rows)._asdict().items() if name not in _UNSTORED}
        sources, partitions = stored
        return {
            **columns,
            "call_ids": self.call_ids.state_of(rows),
            "outcome_ids": self.outcome_ids.state_of(rows),
            "reasons": self._reasons.state_of(rows),
            "scorers": self._scorers.state_of(rows),
            "retracts": _by_place(self._retracts, rows),
            "authors": _by_place(self._authors, rows),
            "sources": self._sources.names[sources:],
            "partitions": self._partitions.names[partitions:],
        }

    def restore(self, state: dict[str, Any]) -> I32:
        """Fill an empty table from `state_of` whole; the rows, in order."""
        count = len(state["at"])
        self._grow(count)
        rows = np.arange(count, dtype=np.int32)
        self._free = array("i")
        stored = {name: state[name] for name in _Columns._fields if name not in _UNSTORED}
        turns = np.arange(count, dtype=np.int64)
        self._rows.fill(rows, _Columns(**stored, next=np.full(count, END, np.int32), turn=turns))
        self._turn = count
        self.call_ids.put_state(rows, state["call_ids"])
        self.outcome_ids.put_state(rows, state["outcome_ids"])
        self._reasons.put_state(rows, state["reasons"])
        if "scorers" in state:  # a state of before has none
            self._scorers.put_state(rows, state["scorers"])
        self._retracts = dict(state["retracts"])
        self._authors = dict(state.get("authors", {}))  # versions up to 5 had none
        self._sources, self._partitions = Names(state["sources"]), Names(state["partitions"])
        self._stored = (len(self._sources), len(self._partitions))
        return rows

    def _grow(self, count: int) -> None:
        first = len(self._rows)
        self._rows.append(count, self._blank)
        self.columns = self._rows.columns
        for column in (self.call_ids, self.outcome_ids, self._reasons, self._scorers):
            column.resize(len(self._rows))
        # The first of them is taken first.
        self._free = array("i", range(first + count - 1, first - 1, -1)) + self._free

    def _forget_names(self, rows: I32) -> None:
        c = self.columns
        named = rows[c.source[rows] != _NO_SOURCE]
        c.source[named] = self._sources.compacted(c.source[named])
        c.partition[rows] = self._partitions.compacted(c.partition[rows])
        self._stored = (0, 0)


def _by_place(values: dict[int, str], rows: I32) -> dict[int, str]:
    """The values that some of `rows` have, by place in them."""
    if not values:
        return {}
    found = enumerate(map(values.get, rows.tolist()))
    return {place: value for place, value in found if value is not None}


def _recoded(codes: I32, names: list[str], into: Names[str]) -> I32:
    """The codes in `into` of names that are coded as places in a list."""
    used, place = np.unique(codes, return_inverse=True)
    return np.array([into.code(names[code]) for code in used.tolist()], np.int32)[place]
