"""The sessions of one shard and their calls.

The calls of a session follow each other from row to row, the newest to arrive first. Where there are many, an object
has them by id and in order, at some 300 bytes a call: a chain of thousands is no index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from models.arrays import I32, I64, U64, Bools
from models.columns.names import Names
from models.sessions.scopes import Candidate
from models.sessions.session_index import SessionIndex
from models.sessions.tables import LAST, CallRows, CallSpan, Crowd, MemberTable, NewCalls
from models.sessions.words import words_of

MOST_IN_A_CHAIN: Final = 64


class SessionMembers:
    """The sessions of one shard and their calls.

    Attributes:
        sessions: the index of the sessions.
    """

    def __init__(self, seed: int) -> None:
        """`seed`: of the index of sessions."""
        self.sessions = SessionIndex(seed)
        self._calls, self._unstored = MemberTable(), self.sessions.unstored
        self._spans = Names[CallSpan]()
        self._crowds: dict[int, Crowd] = {}
        """By row of a session that has many calls."""

    def is_crowd(self, rows: I32) -> Bools:
        """Which sessions have many calls."""
        many: Bools = np.isin(rows, np.array([*self._crowds], np.int32)) if self._crowds else np.zeros(len(rows), bool)
        return many

    def counts(self, rows: I32) -> I32:
        """How many calls of sessions are known."""
        return self.sessions.table.count[rows]

    # Calls

    def span_code(self, span: CallSpan) -> int:
        """The code of a span."""
        return self._spans.code(span)

    def call_at(self, row: int, call_id: str, key: int) -> int:
        """The row of a call of a session, or LAST."""
        if (crowd := self._crowds.get(row)) is not None:
            return crowd.rows.get(call_id, LAST)
        calls, at = self._calls, self.sessions.table.head.item(row)
        while at != LAST and not (calls.key.item(at) == key and calls.ids.get(at) == call_id):
            at = calls.next.item(at)
        return at

    def calls_at(self, sessions: I32, keys: U64, ids: list[str]) -> I32:
        """The same for many calls. O(n) for each link of the longest chain."""
        calls = self._calls
        found, at = np.full(len(sessions), LAST, np.int32), self.sessions.table.head[sessions]
        for i in np.flatnonzero(self.is_crowd(sessions)).tolist():
            found[i] = self._crowds[sessions.item(i)].rows.get(ids[i], LAST)
        (going,) = (at != LAST).nonzero()
        while len(going):
            here = at[going]
            for i in going[calls.key[here] == keys[going]].tolist():
                if calls.ids.get(at.item(i)) == ids[i]:
                    found[i] = at[i]
            at[going] = calls.next[here]
            going = going[(at[going] != LAST) & (found[going] == LAST)]
        return found

    def closes(self, row: int) -> int:
        """When the call at a row closes."""
        span = self._spans.names[self._calls.span.item(row)]
        return self._calls.at.item(row) + span.horizon + span.lateness

    def keeps(self, row: int) -> int:
        """Until when the call at a row is known."""
        span = self._spans.names[self._calls.span.item(row)]
        return self._calls.at.item(row) + span.longest + span.lateness

    def add(self, new: NewCalls) -> None:
        """Take in calls. O(n)."""
        rows = self._calls.take_rows(len(new.key))
        self._calls.put(rows, CallRows(new.key, new.at, np.full(len(rows), LAST, np.int32), new.session, new.span))
        self._calls.ids.put_words(rows, new.uuid, new.ids.__getitem__)
        if (count := new.parents.count(None)) < len(rows):
            named = [i for i, parent in enumerate(new.parents) if parent] if count else range(len(rows))
            self._calls.parents.put(rows[list(named)], [new.parents[i] or "" for i in named])
        np.maximum.at(self.sessions.table.calls_until, new.session, new.at + self._keeps()[new.span])
        self._link(rows)
        self._unstored.touch(new.session, rows)

    def remove(self, row: int, call_row: int) -> None:
        """Take a call out of its session. O(calls of the session)."""
        calls = self._calls
        self._unstored.renew([row])
        if (crowd := self._crowds.get(row)) is not None:
            crowd.remove(calls.at.item(call_row), calls.ids.get(call_row), call_row)
            self.sessions.table.count[row] -= 1
        else:
            rest = [at for at in self._chain(row) if at != call_row]
            self.sessions.table.head[row], self.sessions.table.count[row] = LAST, 0
            self._link(np.array(rest, np.int32))
        calls.give_back(np.array([call_row], np.int32))

    def candidates(self, row: int, at: int, instant: int) -> list[Candidate]:
        """Those calls of a session, kept at `instant`, that an outcome of time `at` may be about, oldest first."""
        found = []
        for call_at, _, call_row in self._up_to(row, at):
            span = self._spans.names[self._calls.span.item(call_row)]
            if at <= call_at + span.longest and call_at + span.longest + span.lateness >= instant:
                found.append(self._candidate(call_row))
        return found

    def last_calls(self, sessions: I32, at: I64, instants: I64) -> I32:
        """The newest of the `candidates` of each outcome, LAST where there is none. O(n) for each link of a chain.

        Args:
            sessions: its session.
            at: its time.
            instants: the call must be kept then.
        """
        calls, last = self._calls, np.full(len(sessions), LAST, np.int32)
        longest, keeps = self._longest(), self._keeps()
        for i in np.flatnonzero(self.is_crowd(sessions)).tolist():
            last[i] = self._last_of_crowd(self._crowds[sessions.item(i)], at.item(i), instants.item(i))
        here = self.sessions.table.head[sessions]
        (going,) = (here != LAST).nonzero()
        while len(going):
            row, best = here[going], last[going]
            time, span = calls.at[row], calls.span[row]
            fits = (time <= at[going]) & (time + longest[span] >= at[going]) & (time + keeps[span] >= instants[going])
            newer = fits & ((best == LAST) | (time > calls.at[best]))
            for i in np.flatnonzero(fits & ~newer & (time == calls.at[best])).tolist():
                newer[i] = calls.ids.get(row.item(i)) > calls.ids.get(best.item(i))
            last[going[newer]] = row[newer]
            here[going] = calls.next[row]
            going = going[here[going] != LAST]
        return last

    def _last_of_crowd(self, crowd: Crowd, at: int, instant: int) -> int:
        for place in range(crowd.place_after(at) - 1, -1, -1):
            time, _, row = crowd.ordered[place]
            span = self._spans.names[self._calls.span.item(row)]
            if at <= time + span.longest and time + span.longest + span.lateness >= instant:
                return row
        return LAST

    def takes_part(self, rows: I32, at: I64, passed: I64) -> Bools:
        """Whether outcomes of these times lie within the horizon of their calls, which are open at `passed`."""
        ends, lateness = (np.array(one or [0], np.int64) for one in self._ends())
        span = self._calls.span[rows]
        end = self._calls.at[rows] + ends[span]
        there: Bools = (at <= end) & (end + lateness[span] >= passed)
        return there

    def call_ids(self, rows: I32) -> tuple[U64, U64, list[str]]:
        """Of calls: hashes, ids as words (zeros for those that are no UUIDs), and ids."""
        return self._calls.key[rows], self._calls.ids.words(rows), self._calls.ids.texts(rows)

    def last_candidate(self, row: int, at: int, instant: int) -> list[Candidate]:
        """The newest of the `candidates`, if there is one. O(log n) for n calls of a session that has many."""
        last = self.last_calls(np.array([row]), np.array([at]), np.array([instant])).item(0)
        return [] if last == LAST else [self._candidate(last)]

    def _candidate(self, row: int) -> Candidate:
        span, at = self._spans.names[self._calls.span.item(row)], self._calls.at.item(row)
        known = self._calls.parents.known(np.array([row], np.int32))[0]
        parent = self._calls.parents.get(row) if known else None
        return Candidate(at, self._calls.ids.get(row), parent, at + span.horizon, at + span.horizon + span.lateness)

    def oldest(self, row: int, most: int) -> int:
        """The row of the oldest call of a session that has more than `most`, else LAST."""
        if self.sessions.table.count.item(row) <= most:
            return LAST
        crowd = self._crowds.get(row)
        return (crowd.ordered if crowd is not None else self._up_to(row, 2**63 - 1))[0][2]

    def place_of(self, row: int) -> tuple[int, str]:
        """Time and id of the call at a row, by which those of a session are in order."""
        return self._calls.at.item(row), self._calls.ids.get(row)

    def _up_to(self, row: int, at: int) -> list[tuple[int, str, int]]:
        """(at, call_id, row) of the calls of a session up to a time, in order."""
        if (crowd := self._crowds.get(row)) is not None:
            return crowd.up_to(at)
        calls = self._calls
        return sorted((calls.at.item(i), calls.ids.get(i), i) for i in self._chain(row) if calls.at.item(i) <= at)

    def _chain(self, row: int) -> Iterator[int]:
        at = self.sessions.table.head.item(row)
        while at != LAST:
            yield at
            at = self._calls.next.item(at)

    def _link(self, rows: I32) -> None:
        """Put calls, which are in no chain, before the others of their sessions."""
        calls, sessions = self._calls, self.sessions.table
        if self._crowds:
            crowded = np.isin(calls.session[rows], np.array([*self._crowds], np.int32))
            for row in rows[crowded].tolist():
                self._crowds[calls.session.item(row)].add(calls.at.item(row), calls.ids.get(row), row)
                sessions.count[calls.session.item(row)] += 1
            rows = rows[~crowded]
        if not len(rows):
            return
        rows = rows[np.argsort(calls.session[rows], kind="stable")]
        session = calls.session[rows]
        begins = np.concatenate(([True], session[1:] != session[:-1]))
        ends = np.concatenate((begins[1:], [True]))
        calls.next[rows[1:]] = rows[:-1]
        calls.next[rows[begins]] = sessions.head[session[begins]]
        sessions.head[session[ends]] = rows[ends]
        np.add.at(sessions.count, session, 1)
        for row in session[ends][sessions.count[session[ends]] > MOST_IN_A_CHAIN].tolist():
            self._gather(row)

    def _gather(self, row: int) -> None:
        calls = self._calls
        self._crowds[row] = Crowd([(calls.at.item(i), calls.ids.get(i), i) for i in self._chain(row)])
        self.sessions.table.head[row] = LAST

    def _longest(self) -> I64:
        return np.array([span.longest for span in self._spans.names] or [0], np.int64)

    def _ends(self) -> tuple[list[int], list[int]]:
        return [span.horizon for span in self._spans.names], [span.lateness for span in self._spans.names]

    def _keeps(self) -> I64:
        """By code of a span, how long a call is kept."""
        return np.array([span.longest + span.lateness for span in self._spans.names] or [0], np.int64)

    # Forgetting

    def drop(self, rows: I32) -> None:
        """Forget sessions with their calls."""
        if not len(rows):
            return
        for row in rows.tolist() if self._crowds else ():
            self._crowds.pop(row, None)
        used = self._used()
        self._calls.give_back(used[np.isin(self._calls.session[used], rows)])
        self.sessions.drop(rows)

    def prune(self, instant: int) -> None:
        """Forget the calls whose time in the index is over. O(calls)."""
        used = self._used()
        over = self._calls.at[used] + self._keeps()[self._calls.span[used]] < instant
        if not over.any():
            return
        touched = np.unique(self._calls.session[used[over]])
        self._unstored.renew(touched.tolist())
        rest = used[~over]
        rest = rest[np.isin(self._calls.session[rest], touched)]
        for row in touched.tolist() if self._crowds else ():
            self._crowds.pop(row, None)
        self._calls.give_back(used[over])
        self.sessions.table.head[touched], self.sessions.table.count[touched] = LAST, 0
        self._link(rest)

    # Erasure

    def erase_call(self, key: int, call_id: str) -> None:
        """Take a call out of its sessions, and as a parent. O(calls)."""
        calls = self._calls
        for row in self._rows_of(key, call_id):
            self.remove(calls.session.item(row), row)
        parents = self._used()
        parents = parents[calls.parents.known(parents)]
        words = np.repeat(words_of([call_id]), len(parents), 0)
        calls.parents.drop(parents[calls.parents.same(parents, words, lambda _: call_id)])

    def sessions_of(self, key: int, call_id: str) -> list[str]:
        """The ids of the sessions that know a call. O(calls)."""
        return [self.sessions.id_of(self._calls.session.item(row)) for row in self._rows_of(key, call_id)]

    def _rows_of(self, key: int, call_id: str) -> list[int]:
        used = self._used()
        same: list[int] = used[self._calls.key[used] == np.uint64(key)].tolist()
        return [row for row in same if self._calls.ids.get(row) == call_id]

    def _used(self) -> I32:
        rows = np.arange(len(self._calls.key), dtype=np.int32)
        return rows[self._calls.ids.known(rows)]

    # State

    def rows_stored(self, sessions: I32) -> I32:
        """The rows of all calls of some sessions, ascending. O(calls)."""
        used = self._used()
        return used[np.isin(self._calls.session[used], sessions)]

    def rows_still(self, rows: I32) -> I32:
        """Those of some rows at which there is a call."""
        return rows[self._calls.ids.known(rows)]

    def state_of(self, rows: I32, sessions: I32) -> dict[str, Any]:
        """Plain values of calls; `sessions` are the ascending rows of sessions that theirs are numbered by."""
        calls = self._calls.state_of(rows)
        place = np.searchsorted(sessions, calls["session"]).astype(np.int32)
        calls |= {"session": place, "parents": self._calls.parents.state_of(rows)}
        return {"calls": calls, "spans": [tuple(span) for span in self._spans.names]}

    def restore(self, state: dict[str, Any], sessions: I32) -> None:
        """Fill empty tables from `state_of`; `sessions`: the rows of its sessions."""
        calls = state["calls"]
        self._spans = Names(CallSpan(*span) for span in state["spans"])
        rows = self._calls.take_rows(len(calls["key"]))
        self._calls.put_state(rows, {**calls, "session": sessions[calls["session"]]})
        self._calls.parents.put_state(rows, calls["parents"])
        self._link(rows)
