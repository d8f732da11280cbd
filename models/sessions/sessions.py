"""The session step of one shard: outcomes of sessions become statements on calls (docs/decisions/0023).

Most calls and most outcomes take the fast path, as columns. The others go record by record, under the same rules.
Which path a record takes depends on what else is in its batch; the result does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, ClassVar, Final

import numpy as np

from aftercall.times import MINUTE_US, NEVER
from models.arrays import I32
from models.sessions.batch import Batch
from models.sessions.erasure import erase_call
from models.sessions.lone import LoneOutcomes, keys_of
from models.sessions.members import SessionMembers
from models.sessions.records import Resolved, SessionArrivals
from models.sessions.resolver import Leaving, Moment, Resolver
from models.sessions.rules import SessionRules
from models.sessions.statements import resolved
from models.sessions.tables import LAST
from models.sessions.talk import NO_INSTANT, SaidId, Talk
from models.sessions.words import words_of

MOST_SESSIONS: Final = 5_000_000 // 12
_SPARE: Final = 16
_SWEEPS: Final = 64
"""So often within the longest hold, what is over leaves the tables."""


class Sessions:
    """The sessions of one shard. `process` takes each batch in turn; `state` and `from_state` carry it over a restart.

    Its cost is O(n log n) for n records, and O(calls and outcomes of the session) for each record that does not take
    the fast path; beyond `most` sessions, O(sessions) for each sixteenth of `most` that comes new.
    """

    STATE_VERSION: ClassVar = 1
    MIGRATIONS: ClassVar[Mapping[int, Callable[[Any], Any]]] = {}
    compressible = False
    """Its rows are mostly random bytes: ids and keys."""

    def __init__(
        self, rules: SessionRules, seed: int = 0, most: int = MOST_SESSIONS, *, in_columns: bool = True
    ) -> None:
        """Know nothing.

        Args:
            rules: for calls and outcomes from now on.
            seed: of 64 bits, known only here: without it, ids cannot be chosen that slow the step.
            most: so many sessions may be known after a batch.
            in_columns: whether outcomes may take the fast path.
        """
        self._rules, self._seed, self._most, self._in_columns = rules, seed, most, in_columns
        self._wait, self._give_up_after, self._hold = rules.wait(), rules.give_up_after(), rules.hold()
        self._members, self._lone = SessionMembers(seed), LoneOutcomes(seed)
        self._index = self._members.sessions
        self._packed: dict[int, bytes] = {}
        """By row of a session whose outcomes are not all in `_lone`, its `Talk`."""
        self._next: dict[int, int] = {}
        """By row of a packed session in which something waits: the next instant of it."""
        self._instants: list[tuple[int, int]] = []
        self._unsettled: set[int] = set()
        """Those of `_next` that have changed since all partitions were at their end."""
        self._swept_at = NEVER

    def __len__(self) -> int:
        """How many sessions are known."""
        return len(self._index)

    @property
    def waits(self) -> bool:
        """Whether there is something that the end of all partitions may resolve."""
        return bool(self._unsettled) or self._lone.first != NO_INSTANT

    @property
    def idle_until(self) -> int:
        """Up to this watermark, a batch without records leads to nothing, unless all partitions are at their end."""
        if not len(self):
            return NO_INSTANT
        lone = NO_INSTANT if self._lone.first == NO_INSTANT else self._lone.first + self._wait
        return min(self._instants[0][0] if self._instants else NO_INSTANT, lone, self._sweeps_at() - 1)

    def closes(self, session_id: str, session: int, call_id: str, key: int, at: int) -> int:
        """When the call of this id that is known of a session closes; NEVER where none is.

        In a session that has as many calls as may be known, all that come before the oldest of these are taken to be
        known: they may have been.
        """
        row = self._index.find(session_id, session)
        call_row = LAST if row < 0 else self._members.call_at(row, call_id, key)
        if call_row != LAST:
            return self._members.closes(call_row)
        oldest = LAST if row < 0 else self._members.oldest(row, self._rules.most_calls - 1)
        return NO_INSTANT if oldest != LAST and (at, call_id) < self._members.place_of(oldest) else NEVER

    def sessions_of(self, key: int, call_id: str) -> list[str]:
        """The sessions that know a call. O(calls)."""
        return self._members.sessions_of(key, call_id)

    def has_calls(self, session_id: str, session: int) -> bool:
        """Whether any call of a session is known."""
        row = self._index.find(session_id, session)
        return row >= 0 and self._index.table.count.item(row) > 0

    def process(self, arrivals: SessionArrivals) -> Resolved:
        """Apply one batch, and resolve what its watermark has passed."""
        leaving = Leaving()
        batch = Batch(self._rules, self._members, self._lone, arrivals, leaving, self._unpacked)
        batch.apply_all(in_columns=self._in_columns)
        batch.resolve_lone()
        self._advance(batch, arrivals)
        for row, talk in batch.talks.items():
            self._keep(row, talk)
        self._sweep(arrivals.watermark)
        self._make_room(leaving)
        return resolved(leaving, self._lone.sources.names)

    def _advance(self, batch: Batch, arrivals: SessionArrivals) -> None:
        due = set(batch.talks)
        while self._instants and self._instants[0][0] < arrivals.watermark:
            instant, row = heappop(self._instants)
            if self._next.get(row) == instant:
                due.add(row)
        if arrivals.ended:
            due |= self._unsettled
            self._unsettled = set()
        for row in sorted(due, key=self._index.id_of):
            talk = batch.talk(row, arrivals.watermark)
            if arrivals.ended:
                batch.resolver.settle(row, talk, Moment.on_arrival(arrivals.watermark), ended=True)

    # What was said

    def _unpacked(self, row: int) -> Talk:
        """What was said of a session, which has no lone outcomes from here on."""
        lone = self._lone.chain(self._index.without_lone(row))
        if not lone:
            return Talk.unpack(self._packed.get(row))
        talk = Talk(self._lone.said(lone))
        self._lone.remove(np.array(lone, np.int32))
        return talk

    def _keep(self, row: int, talk: Talk) -> None:
        """Store what was said of a session."""
        newest, until = talk.newest(), talk.ends(self._hold, self._give_up_after)
        if not talk.ids or self._put_back(row, talk.ids):
            self._packed.pop(row, None)
            self._next.pop(row, None)
            self._index.said(row, newest, until, is_packed=False)
            return
        self._packed[row] = talk.pack()
        self._index.said(row, newest, until, is_packed=True)
        instant = talk.next_instant(self._wait, self._give_up_after)
        if instant == NO_INSTANT:
            self._next.pop(row, None)
            return
        self._unsettled.add(row)
        if self._next.get(row) != instant:
            self._next[row] = instant
            heappush(self._instants, (instant, row))

    def _put_back(self, row: int, said: list[SaidId]) -> bool:
        """Put the outcomes of a session into columns, if all may lie there."""
        if not self._in_columns or not all(one.is_lone for one in said):
            return False
        ids = [one.outcome_id for one in said]
        keys = keys_of(np.repeat(self._index.keys(np.array([row])), len(ids)), words_of(ids), ids)
        if len(np.unique(keys)) < len(keys) or self._lone.known(keys).any():
            return False
        self._lone.put_back(row, said, keys, self._index.table.lone)
        self._index.table.lones[row] = len(said)
        return True

    # Forgetting

    def _sweeps_at(self) -> int:
        """The watermark at which what is over next leaves the tables."""
        return self._swept_at + max(MINUTE_US, self._hold // _SWEEPS)

    def _sweep(self, watermark: int) -> None:
        """Now and then, forget what the watermark has passed. O(calls and outcomes)."""
        if watermark < self._sweeps_at():
            return
        self._swept_at = watermark
        self._drop(self._index.over(watermark))
        self._members.prune(watermark)
        self._prune_lone(watermark - self._hold)

    def _prune_lone(self, instant: int) -> None:
        """Forget lone outcomes from before an instant; none of them waits."""
        used, columns = self._lone.used(), self._lone.table.columns
        over = columns.at[used] < instant
        if not over.any():
            return
        touched = np.unique(columns.session[used[over]])
        self._index.unstored.renew(touched.tolist())
        rest = used[~over]
        rest = rest[np.isin(columns.session[rest], touched)]
        self._lone.remove(used[over])
        self._index.relink_lone(touched)
        self._lone.link(rest[np.argsort(columns.turn[rest])], self._index.table.lone)
        np.add.at(self._index.table.lones, columns.session[rest], 1)

    def _make_room(self, leaving: Leaving) -> None:
        """Where too many sessions are known, drop those that would be forgotten first."""
        excess = len(self._index) - self._most
        if excess <= 0:
            return
        rows = self._index.oldest(excess + self._most // _SPARE)
        resolver = Resolver(self._rules, self._members, leaving)
        for row in rows.tolist():
            resolver.abandon(row, self._unpacked(row), "orphan")
        leaving.tally["sessions_dropped"] += len(rows)
        self._drop(rows)

    def _drop(self, rows: I32) -> None:
        for row in rows.tolist():
            self._packed.pop(row, None)
            self._next.pop(row, None)
            self._unsettled.discard(row)
        lone = self._lone.used()
        self._lone.remove(lone[np.isin(self._lone.table.columns.session[lone], rows)])
        self._members.drop(rows)

    # Erasure

    def erase(self, session_id: str, hash_: int) -> Resolved:
        """Forget a session that was erased; what waits becomes dead letters without key and payload. O(calls)."""
        leaving, row = Leaving(), self._index.find(session_id, hash_)
        if row >= 0:
            resolver = Resolver(self._rules, self._members, leaving)
            resolver.abandon(row, self._unpacked(row), "erased")
            self._drop(np.array([row], np.int32))
        self._index.unstored.stop()
        return resolved(leaving, [])

    def erase_calls(self, calls: Iterable[tuple[int, str]]) -> Resolved:
        """Forget calls, given as (xxh3_64 of the id, id), in all sessions. O(calls and outcomes) for each.

        An id of which a record names the call is forgotten; what waits of it becomes a dead letter without key.
        """
        leaving = Leaving()
        resolver = Resolver(self._rules, self._members, leaving)
        for key, call_id in calls:
            self._members.erase_call(key, call_id)
            for row in self._naming(call_id):
                talk = self._unpacked(row)
                erase_call(resolver, row, talk, call_id)
                self._keep(row, talk)
        self._drop(self._empty())
        self._index.unstored.stop()
        return resolved(leaving, [])

    def _empty(self) -> I32:
        """The rows of sessions without a call and an outcome: their ids would stay."""
        rows = self._index.rows()
        rows = rows[self._members.counts(rows) == 0]
        said = np.array([*self._packed, *self._lone.table.columns.session[self._lone.used()].tolist()], np.int32)
        empty: I32 = rows[~np.isin(rows, said)]
        return empty

    def _naming(self, call_id: str) -> list[int]:
        """The rows of the sessions in whose outcomes a call may be named."""
        needle = call_id.encode()
        packed = [row for row, talk in self._packed.items() if needle in talk]
        return sorted({*packed, *self._lone.sessions_of(call_id)})

    # State

    @property
    def unstored(self) -> int:
        """About how many calls and outcomes the next `changes` has; -1 where only `state` will do."""
        noted = self._index.unstored
        return len(noted) if noted.is_on else -1

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays. Changes count from here on."""
        self._index.unstored.begin()
        sessions = self._index.rows()
        return self._state_of(sessions, self._members.rows_stored(sessions), self._lone.used())

    def changes(self) -> dict[str, Any]:
        """What is new or changed since the last `state` or `changes`, for `merged_sessions`. O(changes)."""
        changed = self._index.unstored.take()
        sessions = self._index.known(changed.sessions)
        whole = self._index.known(changed.whole)
        calls, lone = self._members.rows_still(changed.calls), self._lone.rows_still(changed.lone)
        if len(whole):
            calls = np.union1d(calls, self._members.rows_stored(whole))
            lone = np.union1d(lone, self._lone.rows_of(whole))
        state = self._state_of(sessions, calls, lone)
        gone = {"dropped": changed.dropped, "lone_gone": changed.lone_gone}
        return {**state, "whole": self._index.keys(whole), **gone}

    def _state_of(self, sessions: I32, calls: I32, lone: I32) -> dict[str, Any]:
        """Plain values of sessions, ascending, and of some of their calls and outcomes."""
        lone = lone[np.argsort(self._lone.table.columns.turn[lone])]
        lone_of = np.searchsorted(sessions, self._lone.table.columns.session[lone]).astype(np.int32)
        said = [(place, row) for place, row in enumerate(sessions.tolist()) if row in self._packed]
        return {
            **self._index.state_of(sessions),
            **self._members.state_of(calls, sessions),
            "lone": {**self._lone.state_of(lone), "session": lone_of},
            "said": [self._packed[row] for _, row in said],
            "said_of": np.array([place for place, _ in said], np.int32),
            "next": np.array([self._next.get(row, NO_INSTANT) for _, row in said], np.int64),
            "swept_at": self._swept_at,
        }

    @classmethod
    def from_state(
        cls, state: dict[str, Any], rules: SessionRules, seed: int = 0, most: int = MOST_SESSIONS
    ) -> Sessions:
        """The shard as it was; `rules` apply to what comes from now on. `seed` and `most` may differ."""
        sessions = cls(rules, seed, most)
        rows = sessions._index.restore(state)
        sessions._members.restore(state, rows)
        table, lone = sessions._index.table, state["lone"]
        sessions._lone.restore(lone, rows[lone["session"]], table.lone)
        np.add.at(table.lones, rows[lone["session"]], 1)
        packed = rows[state["said_of"]]
        table.is_packed[packed] = True
        sessions._packed = dict(zip(packed.tolist(), state["said"], strict=True))
        instants = zip(packed.tolist(), state["next"].tolist(), strict=True)
        sessions._next = {row: instant for row, instant in instants if instant != NO_INSTANT}
        sessions._instants = [(instant, row) for row, instant in sessions._next.items()]
        heapify(sessions._instants)
        sessions._unsettled = set(sessions._next)
        sessions._swept_at = state["swept_at"]
        sessions._index.unstored.begin()
        return sessions
