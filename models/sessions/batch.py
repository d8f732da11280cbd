"""One batch on its way through the session step: common calls as columns, all else record by record."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import numpy as np

from aftercall.times import MINUTE_US, NEVER
from models.arrays import I32, I64, U8, Bools
from models.sessions.fate import fate
from models.sessions.members import SessionMembers
from models.sessions.records import SessionArrivals, SessionOutcomeRecord
from models.sessions.resolver import Leaving, Moment, Resolver
from models.sessions.rules import SessionRules
from models.sessions.tables import LAST, NOTHING, CallSpan, NewCalls
from models.sessions.talk import SaidId, SaidIn, Talk, Utterance

_FAR: Final = 2**63 - 1


class Batch:
    """The records of one batch, and what was said of the sessions they touch.

    Attributes:
        resolver: applies the rules to one session.
        talks: by row of a session, what was said of it, for those that were looked at.
    """

    def __init__(
        self,
        rules: SessionRules,
        members: SessionMembers,
        arrivals: SessionArrivals,
        leaving: Leaving,
        unpack: Callable[[int], Talk],
    ) -> None:
        """`unpack`: what was said of the session at a row."""
        self._rules, self._members, self._arrivals = rules, members, arrivals
        self._leaving, self._unpack, self._longest = leaving, unpack, rules.longest()
        self.resolver = Resolver(rules, members, leaving)
        self.talks: dict[int, Talk] = {}
        calls, task = arrivals.calls, arrivals.calls.task
        horizons = [rules.horizon(name) for name in arrivals.tasks]
        spans = [members.span_code(CallSpan(one, rules.allowed_lateness_us, rules.longest())) for one in horizons]
        closes: I64 = calls.at + np.array(horizons or [0], np.int64)[task] + rules.allowed_lateness_us
        self._is_open: Bools = closes >= calls.wm
        self._span: U8 = np.array(spans or [0], np.uint8)[task]
        self._ids = [record.call_id for record in calls.records]
        self._call_rows, self._outcome_rows = self._sessions()
        self._known: Bools = np.zeros(len(calls.key), np.bool_)

    def apply_all(self) -> None:
        """Take in all records."""
        one_by_one = self._is_open & (np.isin(self._call_rows, self._irregular()) | self._spoken_of())
        self._add(np.flatnonzero(self._is_open & ~one_by_one & ~self._known))
        (calls,) = one_by_one.nonzero()
        todo = [(self._arrivals.calls.pos.item(i), True, i) for i in calls.tolist()]
        todo += [(pos, False, i) for i, pos in enumerate(self._arrivals.outcomes.pos.tolist())]
        for _, is_call, i in sorted(todo):
            (self._call if is_call else self._outcome)(i)

    def talk(self, row: int, wm: int) -> Talk:
        """What was said of a session, as of the watermark `wm`."""
        talk = self.talks.get(row)
        if talk is None:
            talk = self.talks[row] = self._unpack(row)
        self.resolver.advance(row, talk, wm, self._minute_of)
        return talk

    def _sessions(self) -> tuple[I32, I32]:
        """The rows of the sessions of calls, and of outcomes."""
        calls, outcomes = self._arrivals.calls, self._arrivals.outcomes
        places: dict[str, int] = {}
        place = [
            places.setdefault(record.session_id, len(places))
            for records in (calls.records, outcomes.records)
            for record in records
        ]
        at = np.array(place, np.int64)
        hashes = np.zeros(len(places), np.uint64)
        hashes[at] = np.concatenate((calls.session, outcomes.session))
        rows = self._members.rows_of(list(places), hashes)[at]
        return rows[: len(calls.key)], rows[len(calls.key) :]

    def _irregular(self) -> I32:
        """The rows of sessions of which a call comes twice, or after it has closed, or that have very many.

        And of those that will have too many, if they are spoken of: what goes then an outcome may have been about.
        """
        calls, rows = self._arrivals.calls, self._call_rows
        odd = self._members.is_crowd(rows)
        _, place, new = np.unique(rows, return_inverse=True, return_counts=True)
        is_spoken_of = (self._members.said_at(rows) > NOTHING) | np.isin(rows, self._outcome_rows)
        odd |= (self._members.counts(rows) + new[place] > self._rules.most_calls) & is_spoken_of
        mixed = calls.key ^ (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        _, place, counts = np.unique(mixed, return_inverse=True, return_counts=True)
        odd |= counts[place] > 1
        (look,) = (self._is_open & ~odd).nonzero()
        found = self._members.calls_at(rows[look], calls.key[look], [self._ids[i] for i in look.tolist()])
        self._known[look] = found != LAST
        for i, row in zip(look[found != LAST].tolist(), found[found != LAST].tolist(), strict=True):
            odd[i] = self._members.closes(row) < calls.wm.item(i)
        return np.unique(rows[odd])

    def _spoken_of(self) -> Bools:
        """Which calls something may be about that was said before they came.

        The others can be taken in first, whatever their place in the batch: no outcome is about a call after it.
        """
        calls, rows = self._arrivals.calls, self._call_rows
        spoken_of: Bools = calls.at <= self._members.said_at(rows)
        sessions, place = np.unique(self._outcome_rows, return_inverse=True)
        if not len(sessions):
            return spoken_of
        latest, first = np.full(len(sessions), NEVER), np.full(len(sessions), _FAR)
        np.maximum.at(latest, place, self._arrivals.outcomes.at)
        np.minimum.at(first, place, self._arrivals.outcomes.pos)
        at = np.minimum(np.searchsorted(sessions, rows), len(sessions) - 1)
        in_batch: Bools = (sessions[at] == rows) & (calls.pos > first[at]) & (calls.at <= latest[at])
        spoken_of |= in_batch
        return spoken_of

    def _add(self, fresh: I64) -> None:
        """Take in calls of which nothing was said."""
        if not len(fresh):
            return
        rows = np.unique(self._take_in(fresh))
        for row in rows[self._members.counts(rows) > self._rules.most_calls].tolist():
            self._trim(row)

    def _take_in(self, fresh: I64) -> I32:
        calls, rows = self._arrivals.calls, self._call_rows[fresh]
        parents = [calls.records[i].parent_call_id for i in fresh.tolist()]
        ids = [self._ids[i] for i in fresh.tolist()]
        span = self._span[fresh]
        self._members.add(NewCalls(rows, calls.key[fresh], calls.at[fresh], span, calls.uuid[fresh], ids, parents))
        return rows

    def _trim(self, row: int) -> None:
        """Drop the oldest calls of a session that has too many."""
        while (call_row := self._members.oldest(row, self._rules.most_calls)) != LAST:
            self._leaving.tally["session_cut"] += self._members.keeps(call_row) >= self._arrivals.watermark
            self._members.remove(row, call_row)

    def _call(self, i: int) -> None:
        calls, row, call_id = self._arrivals.calls, self._call_rows.item(i), self._ids[i]
        wm = calls.wm.item(i)
        talk = self.talk(row, wm)
        known = self._members.call_at(row, call_id, calls.key.item(i))
        if known != LAST:
            if self._members.closes(known) >= wm:
                return
            self._members.remove(row, known)
        self._take_in(np.array([i]))
        self.resolver.call(row, talk, call_id, Moment.on_arrival(wm, calls.pos.item(i)))
        self._trim(row)

    def _outcome(self, i: int) -> None:
        outcomes, row = self._arrivals.outcomes, self._outcome_rows.item(i)
        record: SessionOutcomeRecord = outcomes.records[i]
        wm, raw = outcomes.wm.item(i), outcomes.raw[i]
        talk, one = self.talk(row, wm), self._utterance(i, record)
        said = talk.id_of(record.outcome_id, one.at, self._longest)
        kind, detail = fate(said, one, self._rules.revises)
        if kind == "duplicate":
            self._leaving.tally["duplicates"] += 1
        elif kind not in {"new", "edition"}:
            assert one.origin is not None, "it has just come"  # noqa: S101
            self._leaving.refuse(kind, detail, record.session_id, record.outcome_id, one.origin, raw)
        else:
            if said is None:
                said = SaidId(record.outcome_id, one.source in self._rules.revises)
                talk.ids.append(said)
            said.utterances.append(one)
            moment = Moment.on_arrival(wm, outcomes.pos.item(i))
            self.resolver.outcome(row, talk, said, one, moment, outcomes.call_at.item(i), raw)

    def _utterance(self, i: int, record: SessionOutcomeRecord) -> Utterance:
        outcomes, raw = self._arrivals.outcomes, self._arrivals.outcomes.raw[i]
        partition = self._arrivals.partitions[outcomes.partition.item(i)]
        return Utterance(
            outcomes.at.item(i),
            record.source,
            record.author,
            record.success,
            record.score,
            record.retract,
            record.retracts,
            record.reason,
            record.scorer,
            record.scope or "last",
            record.call_id or "",
            SaidIn(partition, outcomes.offset.item(i), len(raw), sha256(raw).hexdigest()),
        )

    def _minute_of(self, instant: int) -> int:
        """The minute of the first watermark after an instant."""
        passed = self._arrivals.passed
        return passed.item(int(np.searchsorted(passed, instant, side="right"))) // MINUTE_US
