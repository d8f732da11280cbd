"""The session step of one shard among the lanes: whatever a session shard is sent, with the watermark over all lanes.

The join takes a batch once it has the answer of every session shard to it, and nearly all answers are empty: where
nothing in the batch is about a session of this shard and nothing is due, that costs a few comparisons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.times import NEVER
from models.arrays import I64
from models.messages import Erased, Group
from models.sessions.checks import SessionChecks
from models.sessions.records import (
    JudgedInSession,
    Resolved,
    SessionArrivals,
    SessionBook,
    SessionCalls,
    SessionOutcomes,
)
from models.sessions.rules import SessionRules
from models.sessions.sessions import MOST_SESSIONS, Sessions
from models.watermark import LaneClock, LaneClocks


class SessionPart(NamedTuple):
    """Split -> sessions: the records of one batch of one lane in one shard.

    `clock`: the lane's after the batch; `ended`: all its partitions are at their end then; `lanes`: their number;
    `tasks`, `groups`: what the calls' codes mean. `passed`: of the watermarks in the lane before its records the
    greatest in each minute, ascending. The columns `wm` are those of the lane, too.
    """

    shard: str
    lane: str
    lanes: int
    clock: LaneClock
    ended: bool
    tasks: list[str]
    partitions: list[str]
    sources: list[str]
    calls: SessionCalls
    outcomes: SessionOutcomes
    passed: I64
    groups: Sequence[Group] = ()


class SessionErasure(NamedTuple):
    """Split -> sessions: what a shard must drop on behalf of a request, as (hash, id)."""

    request: str
    shard: str
    sessions: tuple[tuple[int, str], ...]
    calls: tuple[tuple[int, str], ...]


class Resolving(NamedTuple):
    """Sessions -> join and sinks: what one message led to; `resolved` is None where nothing came of it.

    `number`: of the batch in its lane, from 1; 0: an erasure, which needs no answer. `taken`: how many batches of each
    lane the shard had taken by then: the statements and checks may be about a call of any of them.
    """

    lane: str
    number: int
    taken: Mapping[str, int]
    resolved: Resolved | None
    erased: Erased | None = None
    crowded: int = NEVER
    """The watermark at which this shard had more sessions than may be for the first time, else NEVER."""
    checks: tuple[JudgedInSession, ...] = ()
    """What rules over sessions found."""


_NO_BATCHES: Final[Mapping[str, int]] = {}


class SessionShard:
    """The sessions of one shard. `process` takes what each lane sends in turn; `state` carries it over a restart."""

    STATE_VERSION: ClassVar = 1
    MIGRATIONS: ClassVar[Mapping[int, Callable[[Any], Any]]] = {}
    compressible = Sessions.compressible

    def __init__(
        self, rules: SessionRules, seed: int = 0, most: int = MOST_SESSIONS, book: SessionBook | None = None
    ) -> None:
        """Know nothing; see `Sessions`. `book`: the rules over sessions of contracts, None: there are none."""
        self.sessions = Sessions(rules, seed, most)
        self.checks = None if book is None else SessionChecks(book, rules, most)
        self.watermark = NEVER
        self._lanes, self._ended = LaneClocks(), dict[str, bool]()
        self._taken: Counter[str] = Counter()
        """Batches of each lane since this process began; the join counts from there, too."""
        self._dropped = False

    def process(self, part: SessionPart) -> Resolving:
        """Apply one batch, and resolve what its watermark has passed. See `Sessions.process` for the cost."""
        self._taken[part.lane] += 1
        number, before = self._taken[part.lane], self.watermark
        others = self._lanes.others(part.lane, part.lanes)
        self._lanes.observe(part.lane, part.clock)
        self.watermark = max(before, self._lanes.watermark(part.lanes))
        self._ended[part.lane] = part.ended
        ended = len(self._ended) == part.lanes and all(self._ended.values())
        parts: list[Sessions | SessionChecks] = [self.sessions]
        parts += [] if self.checks is None else [self.checks]
        is_due = any(self.watermark > one.idle_until or (ended and one.waits) for one in parts)
        if not (len(part.calls.key) or len(part.outcomes.at) or is_due):
            return Resolving(part.lane, number, _NO_BATCHES, None)

        def met(wm: I64) -> I64:
            return np.maximum(np.minimum(wm, others), before)

        arrivals = SessionArrivals(
            tasks=part.tasks,
            partitions=part.partitions,
            sources=part.sources,
            calls=part.calls._replace(wm=met(part.calls.wm)),
            outcomes=part.outcomes._replace(wm=met(part.outcomes.wm)),
            passed=np.append(met(part.passed), self.watermark),
            watermark=self.watermark,
            ended=ended,
            groups=part.groups,
        )
        checks = () if self.checks is None else self.checks.process(arrivals, self.sessions)
        resolved = self.sessions.process(arrivals)
        taken = dict(self._taken) if resolved.statements or checks else _NO_BATCHES
        crowded = NEVER
        if not self._dropped and resolved.tally.get("sessions_dropped"):
            self._dropped, crowded = True, self.watermark
        return Resolving(part.lane, number, taken, resolved, crowded=crowded, checks=checks)

    def erase(self, erasure: SessionErasure) -> Resolving:
        """Forget sessions and calls that were erased; what waits for a session becomes dead letters without key."""
        named = self._erase_checks(erasure)
        parts = [self.sessions.erase(session_id, hash_) for hash_, session_id in erasure.sessions]
        parts.append(self.sessions.erase_calls(erasure.calls))
        self._forget_empty(named)
        refused, tally = [one for part in parts for one in part.refused], Counter[str]()
        for part in parts:
            tally.update(part.tally)
        gone = tuple(session_id for _, session_id in erasure.sessions)
        erased = Erased(erasure.request, (), 0, len(refused), gone)
        return Resolving("", 0, _NO_BATCHES, parts[-1]._replace(refused=refused, tally=dict(tally)), erased)

    def _erase_checks(self, erasure: SessionErasure) -> set[str]:
        """Erase what rules remember, before the calls are forgotten that it is about; the sessions of these."""
        named = set[str]()
        if self.checks is None:
            return named
        for _, session_id in erasure.sessions:
            self.checks.erase(session_id)
        for key, call_id in erasure.calls:
            sessions = self.sessions.sessions_of(key, call_id)
            self.checks.erase_call(call_id, sessions)
            named.update(sessions)
        return named

    def _forget_empty(self, named: set[str]) -> None:
        """Rules remember nothing of a session of which no call is left: its id would stay."""
        for session_id in sorted(named):
            hash_ = xxh3_64_intdigest(session_id.encode()) or 1
            if self.checks is not None and not self.sessions.has_calls(session_id, hash_):
                self.checks.erase(session_id)

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays."""
        checks = {} if self.checks is None else {"checks": self.checks.state()}
        return self._with_clocks(self.sessions.state() | checks)

    def changes(self) -> dict[str, Any]:
        """What is new or changed since the last `state` or `changes`, for `merged_sessions`."""
        checks = {} if self.checks is None else {"checks": self.checks.changes()}
        return self._with_clocks(self.sessions.changes() | checks)

    @property
    def unstored(self) -> int:
        """About how many rows the next `changes` has; -1 where only `state` will do."""
        rows = self.sessions.unstored
        return rows if rows < 0 or self.checks is None else rows + self.checks.unstored

    def _with_clocks(self, state: dict[str, Any]) -> dict[str, Any]:
        ours = {"lanes": self._lanes.state(), "ended": dict(self._ended), "crowded": self._dropped}
        return {**state, **ours, "watermark": self.watermark}

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        rules: SessionRules,
        seed: int = 0,
        most: int = MOST_SESSIONS,
        book: SessionBook | None = None,
    ) -> SessionShard:
        """The shard as it was; `rules` and `book` apply to what comes from now on. `seed` and `most` may differ."""
        shard = cls(rules, seed, most, book)
        if "checks" in state:
            shard.checks = SessionChecks(book, rules, most)
            shard.checks.restore(state["checks"])
        shard.sessions = Sessions.from_state(state, rules, seed, most)
        shard.watermark, shard._ended, shard._dropped = state["watermark"], dict(state["ended"]), state["crowded"]
        shard._lanes = LaneClocks.from_state(state["lanes"])
        return shard
