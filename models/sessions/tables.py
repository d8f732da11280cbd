"""Stores sessions and their calls as numpy columns: some 60 bytes for a session and 60 for each of its calls."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Final, NamedTuple

import numpy as np

from models.arrays import I32, I64, U8, U64, Bools
from models.columns.id_column import IdColumn
from models.columns.id_pool import IdPool

LAST: Final = -1
"""In `next` and `head`: no call of the session comes after."""


class CallSpan(NamedTuple):
    """The settings under which a call was taken in, us: see `docs/decisions/0023-sessions-have-one-owner.md`."""

    horizon: int
    lateness: int
    longest: int


NOTHING: Final = -(2**63)


class NewCalls(NamedTuple):
    """Calls that their sessions do not know, each once. `session`: rows of sessions; `span`: codes."""

    session: I32
    key: U64
    at: I64
    span: U8
    uuid: U64
    ids: list[str]
    parents: list[str | None]


class CallRows(NamedTuple):
    """Names and types are those of the stored state, but for `next` and `session`."""

    key: U64
    at: I64
    next: I32
    session: I32
    span: U8


class SessionRows(NamedTuple):
    """`calls_until`, `said_until`: how long its calls and its outcomes are kept; then it is forgotten.

    `head`: the row of a call, or LAST; `count`: of calls. `said_at`: the newest time of what was said that looks for
    calls; `settled_at`: of that part of it which a call that comes later may concern at once. `lone`: the row of the
    newest lone outcome, or LAST; `lones`: their number. `is_packed`: whether there are others.
    """

    head: I32
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples
    calls_until: I64
    said_until: I64
    said_at: I64
    settled_at: I64
    lone: I32
    lones: I32
    is_packed: Bools


def without_calls(count: int) -> SessionRows:
    """Sessions of which nothing is known."""
    return SessionRows(
        head=np.full(count, LAST, np.int32),
        count=np.zeros(count, np.int32),
        calls_until=np.full(count, NOTHING, np.int64),
        said_until=np.full(count, NOTHING, np.int64),
        said_at=np.full(count, NOTHING, np.int64),
        settled_at=np.full(count, NOTHING, np.int64),
        lone=np.full(count, LAST, np.int32),
        lones=np.zeros(count, np.int32),
        is_packed=np.zeros(count, np.bool_),
    )


class MemberTable(IdPool[CallRows]):
    """One row per call of a session; `parents` has the ids of the calls above."""

    UNSTORED = frozenset({"next"})

    def __init__(self) -> None:
        self.parents = IdColumn()
        super().__init__(
            CallRows(
                key=np.zeros(1, np.uint64),
                at=np.zeros(1, np.int64),
                next=np.full(1, LAST, np.int32),
                session=np.zeros(1, np.int32),
                span=np.zeros(1, np.uint8),
            )
        )

    def give_back(self, rows: I32) -> None:
        """Free rows that are used no longer."""
        self.parents.drop(rows)
        super().give_back(rows)

    def _bind(self, columns: CallRows) -> None:
        super()._bind(columns)
        self.parents.resize(len(columns[0]))
        self.key, self.at, self.next, self.session, self.span = columns


class SessionTable(IdPool[SessionRows]):
    """One row per session; `ids` has their ids."""

    def __init__(self) -> None:
        super().__init__(without_calls(1))

    def _bind(self, columns: SessionRows) -> None:
        super()._bind(columns)
        self.head, self.count, self.calls_until, self.said_until = columns[:4]
        self.said_at, self.settled_at, self.lone, self.lones, self.is_packed = columns[4:]


class Crowd:
    """The calls of a session that has many: rows by id, and (at, call_id, row) in order."""

    __slots__ = ("ordered", "rows")

    def __init__(self, calls: list[tuple[int, str, int]]) -> None:
        self.ordered = sorted(calls)
        self.rows = {call_id: row for _, call_id, row in calls}

    def add(self, at: int, call_id: str, row: int) -> None:
        """Add a call."""
        insort(self.ordered, (at, call_id, row))
        self.rows[call_id] = row

    def remove(self, at: int, call_id: str, row: int) -> None:
        """Take a call out."""
        del self.ordered[bisect_left(self.ordered, (at, call_id, row))], self.rows[call_id]

    def place_after(self, at: int) -> int:
        """The place in `ordered` after those up to a time."""
        return bisect_right(self.ordered, at, key=_time)

    def up_to(self, at: int) -> list[tuple[int, str, int]]:
        """Those up to a time, in order."""
        return self.ordered[: self.place_after(at)]


def _time(entry: tuple[int, str, int]) -> int:
    return entry[0]
