"""The sessions of one shard and their calls.

The calls of a session follow each other from row to row, the newest to arrive first. Where there are many, an object
has them by id and in order, at some 300 bytes a call: a chain of thousands is no index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from xxhash import xxh3_64_intdigest

from models.arrays import I32, I64, U64, Bools
from models.columns.hash_index import HashIndex
from models.columns.names import Names
from models.sessions.scopes import Candidate
from models.sessions.tables import LAST, CallRows, CallSpan, Crowd, MemberTable, NewCalls, SessionTable, without_calls

MOST_IN_A_CHAIN: Final = 64


class SessionMembers:
    """The sessions of one shard and their calls."""

    def __init__(self, seed: int) -> None:
        """`seed`: of the index, as in the join; nothing that leaves depends on it."""
        self._seed = seed
        self._calls, self._sessions = MemberTable(), SessionTable()
        self._index = HashIndex(seed=seed)
        self._spans = Names[CallSpan]()
        self._crowds: dict[int, Crowd] = {}
        self._own_keys: dict[str, int] = {}
        """Of sessions whose hash is that of another one."""

    def __len__(self) -> int:
        """How many sessions are known."""
        return len(self._index)

    # Sessions

    def rows_of(self, ids: list[str], hashes: U64) -> I32:
        """The rows of sessions, given once each with the hash of the id; those that are not known are made. O(n)."""
        rows = self._index.find(hashes)
        (known,) = (rows >= 0).nonzero()
        texts = self._sessions.ids.texts(rows[known])
        doubtful = {i for i, text in zip(known.tolist(), texts, strict=True) if text != ids[i]}
        if self._own_keys:
            doubtful |= {i for i, one in enumerate(ids) if one in self._own_keys}
        (fresh,) = (rows < 0).nonzero()
        _, firsts = np.unique(hashes[fresh], return_index=True)
        doubtful |= set(np.delete(fresh, firsts).tolist())
        clear = fresh[np.sort(firsts)]
        clear = clear[[i not in doubtful for i in clear.tolist()]] if doubtful else clear
        rows[clear] = self._made([ids[i] for i in clear.tolist()], hashes[clear])
        for i in sorted(doubtful):
            rows[i] = self._row_of(ids[i], hashes.item(i))
        return rows

    def find(self, session_id: str, hash_: int) -> int:
        """The row of a session, -1 if it is not known."""
        key = self._own_keys.get(session_id, hash_)
        row = self._index.find_one(key)
        return row if row >= 0 and self._sessions.ids.get(row) == session_id else -1

    def _row_of(self, session_id: str, hash_: int) -> int:
        row = self.find(session_id, hash_)
        if row < 0:
            key, salt = hash_, 0
            while self._index.find_one(key) >= 0:
                salt += 1
                key = xxh3_64_intdigest(f"{salt} {session_id}".encode(), self._seed & (2**64 - 1))
            if salt:
                self._own_keys[session_id] = key
            row = self._made([session_id], np.array([key], np.uint64)).item(0)
        return row

    def _made(self, ids: list[str], keys: U64) -> I32:
        rows = self._sessions.take_rows(len(ids))
        self._sessions.put(rows, without_calls(len(ids)))
        self._sessions.ids.put(rows, ids)
        self._index.insert(keys, rows)
        return rows

    def id_of(self, row: int) -> str:
        """The id of a session."""
        return self._sessions.ids.get(row)

    def said_at(self, rows: I32) -> I64:
        """Of sessions, the latest time of which something was said that looks for calls."""
        return self._sessions.said_at[rows]

    def said(self, row: int, newest: int, until: int) -> None:
        """Note the time of what was said, and how long it has to be kept."""
        self._sessions.said_at[row] = newest
        self._sessions.until[row] = max(self._sessions.until.item(row), until)

    def is_crowd(self, rows: I32) -> Bools:
        """Which sessions have many calls: those take one at a time."""
        many: Bools = np.isin(rows, np.array([*self._crowds], np.int32))
        return many

    def counts(self, rows: I32) -> I32:
        """How many calls of sessions are known."""
        return self._sessions.count[rows]

    # Calls

    def span_code(self, span: CallSpan) -> int:
        """The code of a span."""
        return self._spans.code(span)

    def call_at(self, row: int, call_id: str, key: int) -> int:
        """The row of a call of a session, or LAST."""
        if (crowd := self._crowds.get(row)) is not None:
            return crowd.rows.get(call_id, LAST)
        calls, at = self._calls, self._sessions.head.item(row)
        while at != LAST and not (calls.key.item(at) == key and calls.ids.get(at) == call_id):
            at = calls.next.item(at)
        return at

    def calls_at(self, sessions: I32, keys: U64, ids: list[str]) -> I32:
        """The same for many calls of sessions that are no crowds. O(n) for each link of the longest chain."""
        calls = self._calls
        found, at = np.full(len(sessions), LAST, np.int32), self._sessions.head[sessions]
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
        np.maximum.at(self._sessions.until, new.session, new.at + self._keeps()[new.span])
        self._link(rows)

    def remove(self, row: int, call_row: int) -> None:
        """Take a call out of its session. O(calls of the session)."""
        calls = self._calls
        if (crowd := self._crowds.get(row)) is not None:
            crowd.remove(calls.at.item(call_row), calls.ids.get(call_row), call_row)
            self._sessions.count[row] -= 1
        else:
            rest = [at for at in self._chain(row) if at != call_row]
            self._sessions.head[row], self._sessions.count[row] = LAST, 0
            self._link(np.array(rest, np.int32))
        calls.give_back(np.array([call_row], np.int32))

    def candidates(self, row: int, at: int, instant: int) -> list[Candidate]:
        """Those calls of a session, kept at `instant`, that an outcome of time `at` may be about, oldest first."""
        found = []
        for call_at, call_id, call_row in self._up_to(row, at):
            span = self._spans.names[self._calls.span.item(call_row)]
            if at <= call_at + span.longest and call_at + span.longest + span.lateness >= instant:
                known = self._calls.parents.known(np.array([call_row], np.int32))[0]
                parent = self._calls.parents.get(call_row) if known else None
                end = call_at + span.horizon
                found.append(Candidate(call_at, call_id, parent, end, end + span.lateness))
        return found

    def oldest(self, row: int, most: int) -> int:
        """The row of the oldest call of a session that has more than `most`, else LAST."""
        if self._sessions.count.item(row) <= most:
            return LAST
        crowd = self._crowds.get(row)
        return (crowd.ordered if crowd is not None else self._up_to(row, 2**63 - 1))[0][2]

    def _up_to(self, row: int, at: int) -> list[tuple[int, str, int]]:
        """(at, call_id, row) of the calls of a session up to a time, in order."""
        if (crowd := self._crowds.get(row)) is not None:
            return crowd.up_to(at)
        calls = self._calls
        return sorted((calls.at.item(i), calls.ids.get(i), i) for i in self._chain(row) if calls.at.item(i) <= at)

    def _chain(self, row: int) -> Iterator[int]:
        at = self._sessions.head.item(row)
        while at != LAST:
            yield at
            at = self._calls.next.item(at)

    def _link(self, rows: I32) -> None:
        """Put calls, which are in no chain, before the others of their sessions."""
        calls, sessions = self._calls, self._sessions
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
        self._sessions.head[row] = LAST

    def _keeps(self) -> I64:
        """By code of a span, how long a call is kept."""
        return np.array([span.longest + span.lateness for span in self._spans.names] or [0], np.int64)

    # Forgetting

    def over(self, instant: int) -> I32:
        """The rows of the sessions to be forgotten once the watermark has passed `instant`. O(sessions)."""
        rows = self._index.rows()
        return rows[self._sessions.until[rows] < instant]

    def oldest_sessions(self, count: int) -> I32:
        """The rows of the sessions that would be forgotten first; ties by id. O(n log n)."""
        rows = self._index.rows()
        bound = np.partition(self._sessions.until[rows], count - 1)[count - 1]
        rows = rows[self._sessions.until[rows] <= bound]
        until, ids = self._sessions.until[rows].tolist(), self._sessions.ids.texts(rows)
        return np.array([row for _, _, row in sorted(zip(until, ids, rows.tolist(), strict=True))[:count]], np.int32)

    def drop(self, rows: I32) -> None:
        """Forget sessions with their calls."""
        if not len(rows):
            return
        for session_id in self._sessions.ids.texts(rows) if self._own_keys else ():
            self._own_keys.pop(session_id, None)
        for row in rows.tolist() if self._crowds else ():
            self._crowds.pop(row, None)
        used = self._used()
        self._calls.give_back(used[np.isin(self._calls.session[used], rows)])
        self._index.remove(self._index.row_key[rows])
        self._sessions.give_back(rows)

    def prune(self, instant: int) -> None:
        """Forget the calls whose time in the index is over. O(calls)."""
        used = self._used()
        over = self._calls.at[used] + self._keeps()[self._calls.span[used]] < instant
        if not over.any():
            return
        touched = np.unique(self._calls.session[used[over]])
        rest = used[~over]
        rest = rest[np.isin(self._calls.session[rest], touched)]
        for row in touched.tolist() if self._crowds else ():
            self._crowds.pop(row, None)
        self._calls.give_back(used[over])
        self._sessions.head[touched], self._sessions.count[touched] = LAST, 0
        self._link(rest)

    def _used(self) -> I32:
        rows = np.arange(len(self._calls.key), dtype=np.int32)
        return rows[self._calls.ids.known(rows)]

    # State

    def state(self) -> tuple[dict[str, Any], I32]:
        """As plain values and arrays, and the rows of the sessions in the order in which they are stored."""
        rows = np.sort(self._index.rows())
        place = np.zeros(len(self._sessions.head), np.int32)
        place[rows] = np.arange(len(rows))
        used = self._used()
        calls = self._calls.state_of(used)
        del calls["next"]
        sessions = {name: getattr(self._sessions, name)[rows] for name in ("until", "said_at")}
        return {
            "keys": self._index.row_key[rows],
            "sessions": {**sessions, "ids": self._sessions.ids.state_of(rows)},
            "calls": {**calls, "session": place[calls["session"]], "parents": self._calls.parents.state_of(used)},
            "spans": [tuple(span) for span in self._spans.names],
            "own_keys": dict(self._own_keys),
        }, rows

    @classmethod
    def from_state(cls, state: dict[str, Any], seed: int) -> tuple[SessionMembers, I32]:
        """Read `state`; the rows of the sessions in the order in which they were stored."""
        members = cls(seed)
        keys, sessions, calls = state["keys"], state["sessions"], state["calls"]
        rows = members._sessions.take_rows(len(keys))
        stored = {name: sessions[name] for name in ("until", "said_at")}
        members._sessions.put(rows, without_calls(len(keys))._replace(**stored))
        members._sessions.ids.put_state(rows, sessions["ids"])
        members._index.insert(keys, rows)
        members._spans = Names(CallSpan(*span) for span in state["spans"])
        members._own_keys = dict(state["own_keys"])
        taken = members._calls.take_rows(len(calls["key"]))
        columns = {**calls, "next": np.full(len(taken), LAST, np.int32), "session": rows[calls["session"]]}
        members._calls.put_state(taken, columns)
        members._calls.parents.put_state(taken, calls["parents"])
        members._link(taken)
        return members, rows
