"""The sessions of one shard, by their ids, and what is known of each beside its calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from models.arrays import I32, I64, U64, Bools
from models.columns.hash_index import HashIndex
from models.sessions.tables import LAST, SessionRows, SessionTable, without_calls
from models.sessions.unstored import Unstored

_STORED = ("calls_until", "said_until", "said_at", "settled_at")


class SessionIndex:
    """The sessions of one shard.

    Attributes:
        table: one row per session.
        unstored: what has changed.
    """

    def __init__(self, seed: int) -> None:
        """`seed`: of the index, as in the join; nothing that leaves depends on it."""
        self._seed = seed
        self.table = SessionTable()
        self.unstored = Unstored()
        self._index = HashIndex(seed=seed)
        self._own_keys: dict[str, int] = {}
        """Of sessions whose hash is that of another one."""

    def __len__(self) -> int:
        """How many sessions are known."""
        return len(self._index)

    def rows_of(self, ids: list[str], hashes: U64) -> I32:
        """The rows of sessions, given once each with the hash of the id; those that are not known are made. O(n)."""
        rows = self._index.find(hashes)
        (known,) = (rows >= 0).nonzero()
        texts = self.table.ids.texts(rows[known])
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
        return row if row >= 0 and self.table.ids.get(row) == session_id else -1

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
        rows = self.table.take_rows(len(ids))
        self.table.put(rows, without_calls(len(ids)))
        self.table.ids.put(rows, ids)
        self._index.insert(keys, rows)
        return rows

    def id_of(self, row: int) -> str:
        """The id of a session."""
        return self.table.ids.get(row)

    def keys(self, rows: I32) -> U64:
        """The keys of sessions: the hashes of their ids, but for those whose hash another one has."""
        return self._index.row_key[rows]

    def rows(self) -> I32:
        """All sessions, ascending. O(n log n)."""
        return np.sort(self._index.rows())

    def known(self, rows: I32) -> I32:
        """Those of some rows at which there is a session."""
        return rows[self.table.ids.known(rows)]

    # What was said

    def said(self, row: int, newest: int, until: int, *, is_packed: bool) -> None:
        """Note the newest time of what was said that looks for calls, and how long it has to be kept."""
        table = self.table
        table.said_at[row] = table.settled_at[row] = newest
        table.said_until[row] = until
        table.is_packed[row] = is_packed
        self.unstored.renew([row])

    def lone_came(self, rows: I32, at: I64, hold: int, lone: I32) -> None:
        """Note outcomes of these times that wait, those at the rows `lone` of another table."""
        table = self.table
        np.maximum.at(table.said_at, rows, at)
        np.maximum.at(table.said_until, rows, at + hold)
        np.add.at(table.lones, rows, 1)
        self.unstored.touch(rows, lone=lone)

    def lone_settled(self, rows: I32, at: I64, lone: I32) -> None:
        """Note that they have reached their calls."""
        np.maximum.at(self.table.settled_at, rows, at)
        self.unstored.touch(rows, lone=lone)

    def without_lone(self, row: int) -> int:
        """Note that a session has no lone outcomes any longer; the row of the newest one, or LAST."""
        table = self.table
        head = table.lone.item(row)
        table.lone[row], table.lones[row] = LAST, 0
        return head

    def relink_lone(self, rows: I32) -> None:
        """Note that the lone outcomes of sessions will be linked from the beginning."""
        self.table.lone[rows], self.table.lones[rows] = LAST, 0

    def is_spoken_of(self, rows: I32) -> Bools:
        """Of which sessions something is remembered that was said."""
        spoken_of: Bools = self.table.is_packed[rows] | (self.table.lones[rows] > 0)
        return spoken_of

    # Forgetting

    def over(self, instant: int) -> I32:
        """The rows of the sessions to be forgotten once the watermark has passed `instant`. O(sessions)."""
        rows = self._index.rows()
        return rows[self._until(rows) < instant]

    def _until(self, rows: I32) -> I64:
        """Until when sessions are known."""
        until: I64 = np.maximum(self.table.calls_until[rows], self.table.said_until[rows])
        return until

    def oldest(self, count: int) -> I32:
        """The rows of the sessions that would be forgotten first; ties by id. O(n log n)."""
        rows = self._index.rows()
        until = self._until(rows)
        rows = rows[until <= np.partition(until, count - 1)[count - 1]]
        times, ids = self._until(rows).tolist(), self.table.ids.texts(rows)
        return np.array([row for _, _, row in sorted(zip(times, ids, rows.tolist(), strict=True))[:count]], np.int32)

    def drop(self, rows: I32) -> None:
        """Forget sessions; their calls and outcomes are the owner's."""
        for session_id in self.table.ids.texts(rows) if self._own_keys else ():
            self._own_keys.pop(session_id, None)
        keys = self._index.row_key[rows]
        self.unstored.drop(keys)
        self._index.remove(keys)
        self.table.give_back(rows)

    # State

    def state_of(self, rows: I32) -> dict[str, Any]:
        """Plain values of sessions."""
        columns = {name: getattr(self.table, name)[rows] for name in _STORED}
        sessions = {**columns, "ids": self.table.ids.state_of(rows)}
        return {"keys": self._index.row_key[rows], "sessions": sessions, "own_keys": dict(self._own_keys)}

    def restore(self, state: dict[str, Any]) -> I32:
        """Fill an empty index from `state_of`; the rows, in order."""
        keys, sessions = state["keys"], state["sessions"]
        rows = self.table.take_rows(len(keys))
        stored: dict[str, Any] = {name: sessions[name] for name in _STORED}
        columns: SessionRows = without_calls(len(keys))._replace(**stored)
        self.table.put(rows, columns)
        self.table.ids.put_state(rows, sessions["ids"])
        self._index.insert(keys, rows)
        self._own_keys = dict(state["own_keys"])
        return rows
