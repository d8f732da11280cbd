"""Gives rows of early outcomes in the order of their deadlines.

Rows lie unsorted by the hour of their deadline until the first of an hour is wanted. Rows that are used no longer, or
for another outcome, stay until their hour comes, and are passed over. Those that come into an hour that is sorted
already wait in a heap beside it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US
from models.arrays import I32, I64, U64
from models.join.waiting_table import UNUSED, WaitingTable

_NO_HOUR: Final = -(2**63)
_MOST_HOURS: Final = 2**63
_FEW: Final = 1024
_STALE: Final = 1 << 16


class Due(NamedTuple):
    """An outcome and its place in the order: deadline, hash of its call's id, call_id, outcome_id, arrival."""

    deadline: int
    hash: int
    call_id: str
    outcome_id: str
    turn: int
    row: int


class Deadlines:
    """The deadlines of the rows of a table."""

    def __init__(self, table: WaitingTable, hashes: Callable[[I32], U64]) -> None:
        """`hashes`: of the ids of the calls that rows wait for."""
        self._table, self._hashes = table, hashes
        self._hours: dict[int, array[int]] = {}
        self._entries = 0
        self._sorted_to = _NO_HOUR
        """The last hour that is sorted."""
        self._rows: I32 = np.zeros(0, np.int32)
        self._at: I64 = np.zeros(0, np.int64)
        self._hash: U64 = np.zeros(0, np.uint64)
        self._turn: I64 = np.zeros(0, np.int64)
        """Of the outcome for which a row was sorted: it may have another one by now, of the same deadline too."""
        self._next = 0
        self._late: list[Due] = []

    def add(self, row: int, deadline: int) -> None:
        """Add a row whose outcome is new. O(1) on average."""
        hour = deadline // HOUR_US
        if hour > self._sorted_to:
            self._hours.setdefault(hour, array("i")).append(row)
            self._entries += 1
            return
        heappush(self._late, self._due(row, deadline))
        if len(self._late) > max(_FEW, (len(self._rows) - self._next) // 8):
            self._sort(np.array([due.row for due in self._late], np.int32))

    def add_many(self, rows: I32) -> None:
        """Add rows whose outcomes are new."""
        deadlines = self._table.deadlines(rows)
        hours = deadlines // HOUR_US
        for hour in np.unique(hours).tolist():
            here = rows[hours == hour]
            if hour > self._sorted_to:
                self._hours.setdefault(hour, array("i")).frombytes(here.tobytes())
                self._entries += len(here)
            else:
                for row, deadline in zip(here.tolist(), deadlines[hours == hour].tolist(), strict=True):
                    self.add(row, deadline)

    def add_all(self, rows: I32) -> None:
        """Add the rows of a table that has no others here."""
        self._hours, self._sorted_to, self._late, self._next = {}, _NO_HOUR, [], 0
        self._rows, self._at, self._hash, self._turn = self._rows[:0], self._at[:0], self._hash[:0], self._turn[:0]
        self._entries = len(rows)
        if not len(rows):
            return
        hours = self._table.deadlines(rows) // HOUR_US
        order = np.argsort(hours, kind="stable")
        values, starts = np.unique(hours[order], return_index=True)
        for hour, part in zip(values.tolist(), np.split(rows[order], starts[1:]), strict=True):
            self._hours[hour] = array("i", part.tobytes())

    def tidy(self, live: Callable[[], I32]) -> None:
        """Begin again with the rows that are `live`, where most are not."""
        rows = self._entries - _STALE
        if rows > 0 and rows > 2 * len(found := live()):
            self.add_all(found)

    def first(self, before: int | None = None) -> Due | None:
        """The first row; with `before`, None unless its deadline is earlier."""
        last_hour = _MOST_HOURS if before is None else before // HOUR_US
        while (due := self._front()) is None:
            hour = min(self._hours, default=_MOST_HOURS)
            if hour > last_hour or hour == _MOST_HOURS:
                return None
            found = np.frombuffer(self._hours.pop(hour), np.int32)
            self._entries -= len(found)
            self._sorted_to = hour
            self._sort(found)
        return due if before is None or due.deadline < before else None

    def _front(self) -> Due | None:
        """The first of the sorted rows; those that are used no longer are passed over."""
        while self._late and not self._holds(self._late[0].row, self._late[0].turn):
            heappop(self._late)
        rows, turn = self._rows, self._turn
        while self._next < len(rows) and not self._holds(rows.item(self._next), turn.item(self._next)):
            self._next += 1
        late = self._late[0] if self._late else None
        if self._next == len(rows):
            return late
        row, deadline, hash_ = rows.item(self._next), self._at.item(self._next), self._hash.item(self._next)
        if late is not None and late[:2] < (deadline, hash_):
            return late
        due = Due(deadline, hash_, *self._table.order(row), row)
        return late if late is not None and late < due else due

    def _holds(self, row: int, turn: int) -> bool:
        """Whether a row still has the outcome that came then."""
        columns = self._table.columns
        return columns.next.item(row) != UNUSED and columns.turn.item(row) == turn

    def _due(self, row: int, deadline: int) -> Due:
        (hash_,) = self._hashes(np.array([row], np.int32)).tolist()
        return Due(deadline, hash_, *self._table.order(row), row)

    def _sort(self, more: I32) -> None:
        """Sort what is left together with `more`, among them all that came late."""
        rows = np.concatenate((self._rows[self._next :], more))
        rows = np.unique(rows[self._table.used(rows)])
        # A row that has another outcome by now may belong to a later hour, which has it too.
        rows = rows[self._table.deadlines(rows) // HOUR_US <= self._sorted_to]
        at, hashes = self._table.deadlines(rows), self._hashes(rows)
        order = np.lexsort((hashes, at))
        rows, at, hashes = rows[order], at[order], hashes[order]
        (tied,) = ((at[1:] == at[:-1]) & (hashes[1:] == hashes[:-1])).nonzero()
        if len(tied):
            # Outcomes of one call and one time, or of two calls of one hash.
            starts = np.flatnonzero(np.concatenate(([True], (at[1:] != at[:-1]) | (hashes[1:] != hashes[:-1]), [True])))
            for start, end in pairwise(starts.tolist()):
                if end - start > 1:
                    rows[start:end] = sorted(rows[start:end].tolist(), key=self._table.order)
        self._rows, self._at, self._hash, self._next, self._late = rows, at, hashes, 0, []
        self._turn = self._table.columns.turn[rows]
