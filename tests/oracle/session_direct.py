"""Feeds histories of sessions to the step, in batches, and to the oracle, record by record."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.times import NEVER
from models import plain
from models.sessions import SessionArrivals, SessionCalls, SessionOutcomes, SessionRules, Sessions
from models.sessions.merged import merged_sessions
from models.sessions.records import Resolved, SessionStatement
from oracle.order import Read, watermarks
from oracle.records import MINUTE_US, Call, Rules
from oracle.session import Erase, Said, Statement
from oracle.sessions import Sessions as SlowSessions

UUID = re.compile("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(slots=True)
class CallOf:
    """A decoded call, as far as the step reads it."""

    call_id: str
    session_id: str
    parent_call_id: str | None


@dataclass(slots=True)
class OutcomeOf:
    """A decoded outcome of a session."""

    outcome_id: str
    session_id: str
    call_id: str | None
    scope: str | None
    source: str | None
    author: str | None
    success: bool | None
    score: float | None
    retract: bool
    retracts: str | None
    reason: str | None
    scorer: str | None


def rules_of(rules: Rules) -> SessionRules:
    """The oracle's rules as the step's."""
    return SessionRules(
        horizon_us=rules.horizon_us,
        allowed_lateness_us=rules.allowed_lateness_us,
        orphan_wait_us=rules.orphan_wait_us,
        session_wait_us=rules.session_wait_us,
        task_horizon_us=dict(rules.task_horizon_us),
        revises=rules.revises,
        most_reached=rules.most_reached,
        most_ids=rules.most_ids,
        most_calls=rules.most_calls,
    )


def objects(values: Sequence[Any]) -> Any:
    """A column of objects."""
    return np.fromiter(values, np.object_, len(values))


def hash_of(text: str) -> int:
    """The hash of an id."""
    return xxh3_64_intdigest(text.encode())


def words_of(text: str) -> tuple[int, int]:
    """An id as two words where it is a UUID."""
    number = int(text.replace("-", ""), 16) if UUID.fullmatch(text) else 0
    return number >> 64, number & (2**64 - 1)


def calls_of(entries: Sequence[tuple[int, Call, int]], tasks: list[str]) -> SessionCalls:
    """Columns of (position, call, watermark)."""
    calls = [call for _, call, _ in entries]
    return SessionCalls(
        pos=np.array([pos for pos, _, _ in entries], np.int64),
        session=np.array([hash_of(call.session_id or "") for call in calls], np.uint64),
        key=np.array([hash_of(call.call_id) for call in calls], np.uint64),
        at=np.array([call.at for call in calls], np.int64),
        task=np.array([tasks.index(call.task_type) for call in calls], np.int32),
        uuid=np.array([words_of(call.call_id) for call in calls], np.uint64).reshape(-1, 2),
        records=objects([CallOf(call.call_id, call.session_id or "", call.parent_call_id) for call in calls]),
        wm=np.array([wm for _, _, wm in entries], np.int64),
    )


def outcomes_of(entries: Sequence[tuple[int, Said, int]], sources: list[str]) -> SessionOutcomes:
    """Columns of (position, outcome, watermark)."""
    said = [one for _, one, _ in entries]
    return SessionOutcomes(
        pos=np.array([pos for pos, _, _ in entries], np.int64),
        session=np.array([hash_of(one.session_id) for one in said], np.uint64),
        at=np.array([one.at for one in said], np.int64),
        call_at=np.array([NEVER if o.outcome.call_at is None else o.outcome.call_at for o in said], np.int64),
        uuid=np.array([words_of(one.outcome.outcome_id) for one in said], np.uint64).reshape(-1, 2),
        source=np.array([sources.index(one.outcome.source) for one in said], np.int32),
        success=np.array([-1 if o.outcome.success is None else o.outcome.success for o in said], np.int8),
        score=np.array([np.nan if o.outcome.score is None else o.outcome.score for o in said], np.float64),
        retract=np.array([not one.asserts for one in said], np.bool_),
        records=objects([_record(one) for one in said]),
        raw=objects([repr(one).encode() for one in said]),
        partition=np.zeros(len(said), np.int32),
        offset=np.array([pos for pos, _, _ in entries], np.int64),
        wm=np.array([wm for _, _, wm in entries], np.int64),
    )


def _record(said: Said) -> OutcomeOf:
    outcome, scope = said.outcome, None if said.scope == "last" and said.at % 2 else said.scope
    return OutcomeOf(
        outcome.outcome_id, said.session_id, outcome.call_id or None, scope, outcome.source, outcome.author,
        outcome.success, outcome.score, outcome.action == "retract", outcome.retracts, outcome.reason,
        outcome.scorer,
    )  # fmt: skip


def arrivals(entries: Sequence[tuple[int, Any, int]], watermark: int, *, ended: bool = False) -> SessionArrivals:
    """One batch of (position, record, watermark before it); `watermark`: the one after it."""
    calls = [one for one in entries if isinstance(one[1], Call) and one[1].session_id is not None]
    tasks = sorted({call.task_type for _, call, _ in calls})
    said = [one for one in entries if isinstance(one[1], Said)]
    sources = sorted({one.outcome.source for _, one, _ in said})
    of_minutes = {wm // MINUTE_US: wm for wm in sorted([*(wm for _, _, wm in entries), watermark])}
    return SessionArrivals(
        tasks=tasks,
        partitions=["outcomes/0"],
        sources=sources,
        calls=calls_of(calls, tasks),
        outcomes=outcomes_of(said, sources),
        passed=np.array(sorted(of_minutes.values()), np.int64),
        watermark=watermark,
        ended=ended,
    )


@dataclass
class Run:
    """What a history led to."""

    statements: Counter[Any]
    refused: Counter[Any]
    tally: Counter[str]

    @classmethod
    def nothing(cls) -> Run:
        """Of a history that has not begun."""
        return cls(Counter(), Counter(), Counter())


class Stream(NamedTuple):
    """Records with the watermark before each, the one after the last, and how they are cut.

    `cuts`: where batches end; `ended`: after which of them, in turn, all partitions are at their end.
    """

    records: Sequence[Any]
    before: Sequence[int]
    last: int
    cuts: Sequence[int]
    ended: Sequence[bool]

    def arrivals(self, places: range, after: int, *, ended: bool = False) -> SessionArrivals:
        """Some records as a batch, after which the watermark is `after`."""
        return arrivals([(pos, self.records[pos], self.before[pos]) for pos in places], after, ended=ended)

    def batches(self) -> Iterator[tuple[range, int, bool]]:
        """Places of the records, the watermark after them, and whether all partitions are at their end then."""
        count = len(self.records)
        for at, (start, end) in enumerate(pairwise(bounds(self.cuts, count))):
            after = self.before[end] if end < count else self.last
            yield range(start, end), after, end == count or self.ended[at % len(self.ended)]


class How(NamedTuple):
    """How the step is driven.

    Attributes:
        resume_every: after so many batches it is put together from what was stored.
        whole_every: after so many batches its state is stored whole, after others what has changed.
        in_columns: whether outcomes may take the fast path, until the first resume.
    """

    resume_every: int = 1000
    whole_every: int = 1000
    in_columns: bool = True


def read_stream(order: Sequence[Read], partitions: int, cuts: Sequence[int], ended: Sequence[bool]) -> Stream:
    """What was read, with the naive watermark."""
    before, last = watermarks(order, partitions)
    return Stream([read.record for read in order], before, last, cuts, ended)


def fast(rules: Rules, stream: Stream, how: How) -> Run:
    """What the step makes of it."""
    sessions = Sessions(rules_of(rules), seed=7, in_columns=how.in_columns)
    run, stored = Run.nothing(), [plain.pack(sessions.state())]
    for at, (places, after, is_over) in enumerate(stream.batches()):
        start = places.start
        for pos in places:
            if isinstance(erase := stream.records[pos], Erase):
                add(run, sessions.process(stream.arrivals(range(start, pos), stream.before[pos])))
                erased(run, sessions, erase)
                start = pos + 1
        add(run, sessions.process(stream.arrivals(range(start, places.stop), after, ended=is_over)))
        if sessions.unstored < 0 or (at + 1) % how.whole_every == 0:
            stored.clear()
        stored.append(plain.pack(sessions.changes() if stored else sessions.state()))
        if (at + 1) % how.resume_every == 0:
            state, *changes = map(plain.unpack, stored)
            sessions = Sessions.from_state(merged_sessions(state, changes), rules_of(rules), seed=at)
    return run


def erased(run: Run, sessions: Sessions, erase: Erase) -> None:
    """Erase, and add what left."""
    if erase.session_id is not None:
        add(run, sessions.erase(erase.session_id, hash_of(erase.session_id)))
    if erase.call_id is not None:
        add(run, sessions.erase_calls([(hash_of(erase.call_id), erase.call_id)]))


def bounds(cuts: Sequence[int], count: int) -> list[int]:
    """Where batches begin and end; one at least."""
    return sorted({0, *(min(cut, count) for cut in cuts), count})


def add(run: Run, resolved: Resolved) -> None:
    """Add what left with a batch."""
    run.statements.update(one._replace(pos=-1) for one in resolved.statements)
    run.refused.update((one.reason, one.session_id, one.outcome_id) for one in resolved.refused)
    run.tally.update(resolved.tally)
    check_columns(resolved)


def check_columns(resolved: Resolved) -> None:
    """The columns of statements say what the tuples say."""
    columns, sources = resolved.columns, resolved.sources
    assert {len(column) for column in columns} == {len(resolved.statements)}
    for at, one in enumerate(resolved.statements):
        found = {name: column[at].tolist() for name, column in columns._asdict().items()}
        assert found == {
            "key": hash_of(one.call_id),
            "call_uuid": list(words_of(one.call_id)),
            "at": one.at,
            "source": -1 if one.source is None else sources.index(one.source),
            "success": -1 if one.success is None else int(one.success),
            "score": found["score"] if one.score is None and np.isnan(found["score"]) else one.score,
            "retract": one.retract or (one.success is None and one.score is None),
            "author": 0 if one.author is None else hash_of(one.author),
            "minute": one.minute,
            "passed": one.passed,
            "pos": one.pos,
        }


def slow(rules: Rules, stream: Stream) -> Run:
    """What the oracle makes of it; cuts matter to it only where all partitions are at their end."""
    sessions, statements = SlowSessions(rules), list[Statement]()
    for places, after, is_over in stream.batches():
        for pos in places:
            record = stream.records[pos]
            statements += sessions.advance(stream.before[pos])
            if isinstance(record, Said):
                statements += sessions.outcome(record)
            elif isinstance(record, Erase):
                sessions.erase(record)
            elif isinstance(record, Call) and record.session_id is not None:
                statements += sessions.call(record)
        if is_over:
            statements += sessions.advance(after, ended=True)
    refused = Counter(
        (one.reason, *(("", "") if one.reason == "erased" else (one.said.session_id, one.said.outcome.outcome_id)))
        for one in sessions.refused
    )
    reasons = Counter(one.reason for one in sessions.refused)
    tally = Counter(sessions.counts) + Counter(
        waiting=len(sessions.waiting()),
        dead_letters=len(sessions.refused),
        orphans=reasons["orphan"],
        conflicts=reasons["conflict"],
        late=reasons["late"],
        no_verdict=reasons["no_verdict"],
        erased=reasons["erased"],
    )
    return Run(Counter(map(as_fast, statements)), refused, +tally)


def as_fast(statement: Statement) -> SessionStatement:
    """A statement of the oracle as the step's."""
    o = statement.outcome
    said = o.at, o.source, o.author, o.success, o.score, o.action == "retract", o.retracts, o.reason
    placed = o.scorer, statement.minute, statement.passed
    return SessionStatement(o.call_id, statement.session_id, o.outcome_id, *said, *placed)
