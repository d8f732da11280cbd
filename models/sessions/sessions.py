"""The session step of one shard: outcomes of sessions become statements on calls (docs/decisions/0023).

Most calls take the fast path, as columns: nothing was said of their session that could be about them. The others, and
all outcomes, go record by record. Which path a record takes depends on what else is in its batch; the result does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, ClassVar, Final

import numpy as np

from aftercall.times import MINUTE_US, NEVER
from models.arrays import I32
from models.columns.names import Names
from models.sessions.batch import Batch
from models.sessions.members import SessionMembers
from models.sessions.records import Resolved, SessionArrivals
from models.sessions.resolver import Leaving, Moment, Resolver
from models.sessions.rules import SessionRules
from models.sessions.statements import columns_of
from models.sessions.tables import NOTHING
from models.sessions.talk import NO_INSTANT, Talk

MOST_SESSIONS: Final = 5_000_000 // 12
_SPARE: Final = 16
_SWEEPS: Final = 64
"""So often within the longest hold, what is over leaves the tables."""


class Sessions:
    """The sessions of one shard. `process` takes each batch in turn; `state` and `from_state` carry it over a restart.

    Its cost is O(n) for n calls and O(calls of the session) for each outcome; beyond `most` sessions, O(sessions) for
    each sixteenth of `most` that comes new.
    """

    STATE_VERSION: ClassVar = 1
    MIGRATIONS: ClassVar[Mapping[int, Callable[[Any], Any]]] = {}
    compressible = False
    """Its rows are mostly random bytes: ids and keys."""

    def __init__(self, rules: SessionRules, seed: int = 0, most: int = MOST_SESSIONS) -> None:
        """Know nothing.

        Args:
            rules: for calls and outcomes from now on.
            seed: of 64 bits, known only here: without it, ids cannot be chosen that slow the step.
            most: so many sessions may be known after a batch.
        """
        self._rules, self._seed, self._most = rules, seed, most
        self._wait, self._give_up_after, self._hold = rules.wait(), rules.give_up_after(), rules.hold()
        self._members = SessionMembers(seed)
        self._packed: dict[int, bytes] = {}
        """By row of a session, its `Talk`."""
        self._next: dict[int, int] = {}
        """By row of a session in which something waits: the next instant of it."""
        self._instants: list[tuple[int, int]] = []
        self._unsettled: set[int] = set()
        """Those of `_next` that have changed since all partitions were at their end."""
        self._swept_at = NEVER

    def __len__(self) -> int:
        """How many sessions are known."""
        return len(self._members)

    def process(self, arrivals: SessionArrivals) -> Resolved:
        """Apply one batch, and resolve what its watermark has passed."""
        leaving = Leaving()
        batch = Batch(self._rules, self._members, arrivals, leaving, self._unpacked)
        batch.apply_all()
        self._advance(batch, arrivals)
        for row, talk in batch.talks.items():
            self._keep(row, talk)
        self._sweep(arrivals.watermark)
        self._make_room(leaving)
        return _resolved(leaving)

    def _advance(self, batch: Batch, arrivals: SessionArrivals) -> None:
        due = set(batch.talks)
        while self._instants and self._instants[0][0] < arrivals.watermark:
            instant, row = heappop(self._instants)
            if self._next.get(row) == instant:
                due.add(row)
        if arrivals.ended:
            due |= self._unsettled
            self._unsettled = set()
        for row in sorted(due, key=self._members.id_of):
            talk = batch.talk(row, arrivals.watermark)
            if arrivals.ended:
                batch.resolver.settle(row, talk, Moment.on_arrival(arrivals.watermark), ended=True)

    def _sweep(self, watermark: int) -> None:
        """Now and then, forget what the watermark has passed. O(calls)."""
        if watermark < self._swept_at + max(MINUTE_US, self._hold // _SWEEPS):
            return
        self._swept_at = watermark
        self._drop(self._members.over(watermark))
        self._members.prune(watermark)

    def _make_room(self, leaving: Leaving) -> None:
        """Where too many sessions are known, drop those that would be forgotten first."""
        excess = len(self._members) - self._most
        if excess <= 0:
            return
        rows = self._members.oldest_sessions(excess + self._most // _SPARE)
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
        self._members.drop(rows)

    def erase(self, session_id: str, hash_: int) -> Resolved:
        """Forget a session that was erased; what waits becomes dead letters without key and payload. O(calls)."""
        leaving, row = Leaving(), self._members.find(session_id, hash_)
        if row >= 0:
            resolver = Resolver(self._rules, self._members, leaving)
            resolver.abandon(row, self._unpacked(row), "erased")
            self._drop(np.array([row], np.int32))
        return _resolved(leaving)

    def _keep(self, row: int, talk: Talk) -> None:
        """Store what was said of a session."""
        if not talk.ids:
            self._packed.pop(row, None)
            self._next.pop(row, None)
            self._members.said(row, NOTHING, NOTHING)
            return
        self._packed[row] = talk.pack()
        self._members.said(row, talk.newest(), talk.ends(self._hold, self._give_up_after))
        instant = talk.next_instant(self._wait, self._give_up_after)
        if instant == NO_INSTANT:
            self._next.pop(row, None)
            return
        self._unsettled.add(row)
        if self._next.get(row) != instant:
            self._next[row] = instant
            heappush(self._instants, (instant, row))

    def _unpacked(self, row: int) -> Talk:
        """What was said of a session."""
        return Talk.unpack(self._packed.get(row))

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays."""
        members, rows = self._members.state()
        said = [(place, self._packed[row]) for place, row in enumerate(rows.tolist()) if row in self._packed]
        waits = [place for place, row in enumerate(rows.tolist()) if row in self._next]
        return {
            "members": members,
            "said": [packed for _, packed in said],
            "said_of": np.array([place for place, _ in said], np.int32),
            "waits": np.array(waits, np.int32),
            "next": np.array([self._next[rows.item(place)] for place in waits], np.int64),
            "swept_at": self._swept_at,
        }

    @classmethod
    def from_state(
        cls, state: dict[str, Any], rules: SessionRules, seed: int = 0, most: int = MOST_SESSIONS
    ) -> Sessions:
        """The shard as it was; `rules` apply to what comes from now on. `seed` and `most` may differ."""
        sessions = cls(rules, seed, most)
        sessions._members, stored = SessionMembers.from_state(state["members"], seed)
        sessions._packed = dict(zip(stored[state["said_of"]].tolist(), state["said"], strict=True))
        sessions._next = dict(zip(stored[state["waits"]].tolist(), state["next"].tolist(), strict=True))
        sessions._instants = [(instant, row) for row, instant in sessions._next.items()]
        heapify(sessions._instants)
        sessions._unsettled = set(sessions._next)
        sessions._swept_at = state["swept_at"]
        return sessions


def _resolved(leaving: Leaving) -> Resolved:
    sources, tally = Names[str](), {name: n for name, n in leaving.tally.items() if n}
    columns = columns_of(leaving.statements, sources)
    return Resolved(leaving.statements, columns, sources.names, leaving.refused, tally)
