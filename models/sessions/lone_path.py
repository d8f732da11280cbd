"""The fast path of outcomes: those that are alone in their id and ask for the last call, as columns.

An outcome takes it while its session has none that does not, and nothing in its batch concerns it but the passing of
the watermark. Where it finds no call, or comes too late for it, all of its session goes record by record from there on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.times import MINUTE_US, NEVER
from models.arrays import I32, I64, U64, Bools
from models.sessions.again import again
from models.sessions.lone import NO_TEXTS, LoneOutcomes, LoneTexts, NewLone, keys_of
from models.sessions.members import SessionMembers
from models.sessions.records import SessionArrivals, SessionOutcomeRecord, SessionStatement, StatementColumns
from models.sessions.rules import SessionRules
from models.sessions.tables import LAST
from models.sessions.talk import PREFIX

_FAR: Final = 2**63 - 1
_GIVEN: Final = (False, True, None)


class Made(NamedTuple):
    """Statements as tuples and as columns; sources are those of `LoneOutcomes`."""

    statements: list[SessionStatement]
    columns: StatementColumns


class Rest(NamedTuple):
    """An outcome for which the slow path has to see; `pos` and `wm` of one that was due when it came, else -1."""

    session: int
    outcome_id: str
    pos: int
    wm: int


class Arrived(NamedTuple):
    """Outcomes that were due when they came, ascending: their rows, and place and watermark of each."""

    rows: I32
    pos: I64
    wm: I64


class _Moments(NamedTuple):
    """When outcomes are resolved: see `SessionStatement`; `order`: of two in one session the lesser comes first."""

    passed: I64
    minute: I64
    pos: I64
    order: I64


class LonePath:
    """The path of one batch."""

    def __init__(
        self, rules: SessionRules, members: SessionMembers, lone: LoneOutcomes, arrivals: SessionArrivals, rows: I32
    ) -> None:
        """`rows`: of the sessions of the outcomes."""
        self._rules, self._members, self._lone, self._arrivals = rules, members, lone, arrivals
        self._rows, self._wait = rows, rules.wait()
        records = arrivals.outcomes.records
        self._ids = [record.outcome_id for record in records]
        self._keys = keys_of(members.sessions.keys(rows), arrivals.outcomes.uuid, self._ids)
        self._again = np.zeros(len(rows), np.bool_)
        self._over: dict[int, I32] = {}
        """By row of a session that gets too many, the outcomes that go."""
        self._arrived = Arrived(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))

    def simple(self) -> Bools:
        """Which outcomes could take this path, as far as they themselves go. O(n log n)."""
        outcomes = self._arrivals.outcomes
        last = [record.scope in {None, "last"} and not record.call_id for record in outcomes.records]
        asserts = np.array(last, np.bool_) & ~outcomes.retract & (outcomes.source >= 0)
        found = again(self._rules, self._lone, self._arrivals, self._keys, self._ids, asserts)
        # Where it does not repeat a record its id may be over; the slow path sees to that.
        self._again = found.repeats
        simple: Bools = asserts & ~found.known & (outcomes.at + self._rules.give_up_after() >= outcomes.wm)
        return (simple | self._again) & ~self._is_crowded()

    def _is_crowded(self) -> Bools:
        """Which outcomes are of sessions that get too many, where those that go cannot be known before."""
        sessions, place = np.unique(self._rows, return_inverse=True)
        new, repeated = np.bincount(place[~self._again], minlength=len(sessions)), place[self._again]
        excess = self._members.sessions.table.lones[sessions] + new - self._rules.most_ids
        crowded = np.zeros(len(sessions), np.bool_)
        # One that goes may be the one that is repeated.
        crowded[repeated[excess[repeated] > 0]] = True
        for at in np.flatnonzero((excess > 0) & ~crowded).tolist():
            row, since = sessions.item(at), self._arrivals.outcomes.at[place == at].min()
            over = self._lone.oldest(self._members.sessions.table.lone.item(row), excess.item(at), since)
            crowded[at] = over is None
            if over is not None:
                self._over[row] = over
        is_crowded: Bools = crowded[place]
        return is_crowded

    def add(self, chosen: I64, tally: Counter[str]) -> None:
        """Buffer some outcomes, ascending, but for those that repeat one; counted in `tally`. O(n)."""
        repeated = self._again[chosen]
        tally["duplicates"] += int(np.count_nonzero(repeated))
        chosen = chosen[~repeated]
        tally["waiting"] += len(chosen)
        if not len(chosen):
            return
        for row in set(self._rows[chosen].tolist()) & self._over.keys():
            self._members.sessions.table.lones[row] -= len(self._over[row])
            gone = self._lone.forget(row, self._over[row], self._members.sessions.table.lone)
            self._members.sessions.unstored.forget_lone(np.array([row], np.int32), gone)
        new, table = self._new(chosen), self._members.sessions.table
        rows = self._lone.add(new, table.lone)
        self._members.sessions.lone_came(new.session, new.at, self._rules.hold(), rows)
        wm = self._arrivals.outcomes.wm[chosen]
        (due,) = (new.at + self._wait < wm).nonzero()
        order = np.argsort(rows[due])
        due = due[order]
        self._arrived = Arrived(rows[due], self._arrivals.outcomes.pos[chosen[due]], wm[due])

    def _new(self, chosen: I64) -> NewLone:
        arrivals, outcomes, lone = self._arrivals, self._arrivals.outcomes, self._lone
        raw = outcomes.raw[chosen].tolist()
        revises = np.array([name in self._rules.revises for name in arrivals.sources], np.bool_)
        sources = np.array([lone.sources.code(name) for name in arrivals.sources], np.int32)
        partitions = np.array([lone.partitions.code(name) for name in arrivals.partitions], np.int32)
        source = outcomes.source[chosen]
        return NewLone(
            key=self._keys[chosen],
            session=self._rows[chosen],
            at=outcomes.at[chosen],
            source=sources[source],
            given=outcomes.success[chosen],
            score=outcomes.score[chosen],
            revises=revises[source],
            partition=partitions[outcomes.partition[chosen]],
            offset=outcomes.offset[chosen],
            size=np.fromiter(map(len, raw), np.int32, len(raw)),
            hash=np.frombuffer(b"".join([sha256(one).digest() for one in raw]), np.uint64).reshape(-1, 4),
            uuid=outcomes.uuid[chosen],
            ids=[self._ids[i] for i in chosen.tolist()],
            texts=_texts(outcomes.records[chosen].tolist()),
        )

    def resolve(self) -> tuple[Made, list[Rest]]:
        """Resolve what is due after the batch; also those of which it is not clear.

        O(n log n) for n outcomes that wait, in sessions of few calls; O(1) where nothing is due.
        """
        arrivals, lone = self._arrivals, self._lone
        due = lone.due(_FAR if arrivals.ended else arrivals.watermark - self._wait)
        columns = lone.table.columns
        at, sessions = columns.at[due], columns.session[due]
        moments = self._moments(due, at)
        calls = self._members.last_calls(sessions, at, moments.passed)
        (found,) = (calls != LAST).nonzero()
        found = found[self._members.takes_part(calls[found], at[found], moments.passed[found])]
        rest = np.delete(due, found)
        unresolved = self._rest(rest, columns.session[rest])
        found = found[np.argsort(moments.order[found], kind="stable")]
        rows = due[found]
        made = self._made(rows, calls[found], _Moments(*(column[found] for column in moments)))
        if len(rows):
            lone.has_reached(rows, made.columns.call_uuid, [one.call_id for one in made.statements])
            self._members.sessions.lone_settled(sessions[found], at[found], rows)
        return made, unresolved

    def _rest(self, rows: I32, sessions: I32) -> list[Rest]:
        arrived = {row: (pos, wm) for row, pos, wm in zip(*(one.tolist() for one in self._arrived), strict=True)}
        ids = self._lone.table.ids.texts(rows)
        named = zip(sessions.tolist(), ids, rows.tolist(), strict=True)
        return [Rest(session, outcome_id, *arrived.get(row, (-1, -1))) for session, outcome_id, row in named]

    def minute_of(self, instants: I64) -> I64:
        """The minutes of the first watermarks after some instants, which the watermark has passed."""
        passed = self._arrivals.passed
        minutes: I64 = passed[np.searchsorted(passed, instants, side="right")] // MINUTE_US
        return minutes

    def _moments(self, rows: I32, at: I64) -> _Moments:
        watermark, instant = self._arrivals.watermark, at + self._wait
        is_due = instant < watermark
        passed = np.where(is_due, instant, watermark)
        minute, order = at // MINUTE_US, 2 * instant + 1
        if watermark != NEVER:
            minute = np.maximum(minute, watermark // MINUTE_US)
        minute[is_due] = np.maximum(at[is_due] // MINUTE_US, self.minute_of(instant[is_due]))
        pos = np.full(len(rows), -1, np.int64)
        if len(self._arrived.rows):
            place = np.minimum(np.searchsorted(self._arrived.rows, rows), len(self._arrived.rows) - 1)
            (now,) = (self._arrived.rows[place] == rows).nonzero()
            wm = self._arrived.wm[place[now]]
            passed[now], pos[now], order[now] = wm, self._arrived.pos[place[now]], 2 * wm
            minute[now] = np.maximum(at[now] // MINUTE_US, wm // MINUTE_US)
        return _Moments(passed, minute, pos, order)

    def _made(self, rows: I32, calls: I32, moments: _Moments) -> Made:
        lone, columns = self._lone, self._lone.table.columns
        key, uuid, call_ids = self._members.call_ids(calls)
        names = [*lone.sources.names, None]
        texts = list(map(lone.texts.get, rows.tolist(), repeat(NO_TEXTS))) if lone.texts else [NO_TEXTS] * len(rows)
        authors = [one.author for one in texts]
        source, given, score = columns.source[rows], columns.given[rows], columns.score[rows]
        at, passed, minute = columns.at[rows], moments.passed, moments.minute
        statements = map(
            SessionStatement,
            call_ids,
            self._session_ids(columns.session[rows]),
            [PREFIX + one for one in lone.table.ids.texts(rows)],
            at.tolist(),
            [names[code] for code in source.tolist()],
            authors,
            [_GIVEN[code] for code in given.tolist()],
            [None if one != one else one for one in score.tolist()],  # noqa: PLR0124 (nan: absent)
            repeat(False),
            repeat(None),
            [one.reason for one in texts],
            [one.scorer for one in texts],
            minute.tolist(),
            passed.tolist(),
            moments.pos.tolist(),
        )
        author: U64 = np.zeros(len(rows), np.uint64)
        for i, one in enumerate(authors) if lone.texts else ():
            author[i] = 0 if one is None else xxh3_64_intdigest(one.encode())
        none = np.zeros(len(rows), np.bool_)
        said = at, source, given, score, none, author, minute.astype(np.int32), passed, moments.pos
        return Made(list(statements), StatementColumns(key, uuid, *said))

    def _session_ids(self, rows: I32) -> list[str]:
        sessions, place = np.unique(rows, return_inverse=True)
        ids = self._members.sessions.table.ids.texts(sessions)
        return [ids[at] for at in place.tolist()]


def _texts(records: Sequence[SessionOutcomeRecord]) -> dict[int, LoneTexts]:
    """Those of the records that have some, by place."""
    return {
        at: LoneTexts(one.author, one.reason, one.scorer)
        for at, one in enumerate(records)
        if one.reason is not None or one.author is not None or one.scorer is not None
    }
