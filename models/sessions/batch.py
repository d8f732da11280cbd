"""One batch on its way through the session step: what is common as columns, all else record by record."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from operator import attrgetter

import numpy as np

from models.arrays import I32, I64, U8
from models.sessions.dispatch import SessionsOf, sort_records
from models.sessions.fate import fate
from models.sessions.lone import LoneOutcomes
from models.sessions.lone_path import LonePath
from models.sessions.members import SessionMembers
from models.sessions.records import SessionArrivals, SessionOutcomeRecord
from models.sessions.resolver import Leaving, Moment, Resolver
from models.sessions.rules import SessionRules
from models.sessions.tables import LAST, CallSpan, NewCalls
from models.sessions.talk import SaidId, SaidIn, Talk, Utterance

_session_id = attrgetter("session_id")


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
        lone: LoneOutcomes,
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
        self._closes: I64 = calls.at + np.array(horizons or [0], np.int64)[task] + rules.allowed_lateness_us
        self._span: U8 = np.array(spans or [0], np.uint8)[task]
        self._rows = self._sessions()
        self._lone = LonePath(rules, members, lone, arrivals, self._rows.outcomes)

    def apply_all(self, *, in_columns: bool) -> None:
        """Take in all records; `in_columns`: outcomes too, where that is the same."""
        none = np.zeros(len(self._rows.outcomes), np.bool_)
        simple = self._lone.simple() if in_columns else none
        paths = sort_records(self._rules, self._members, self._arrivals, self._rows, self._closes, simple)
        self._add(np.flatnonzero(paths.calls))
        lone = np.flatnonzero(paths.outcomes)
        self._lone.add(lone, self._leaving.tally)
        (calls,) = paths.calls_one_by_one.nonzero()
        (outcomes,) = (~paths.outcomes).nonzero()
        todo = [(pos, True, i) for pos, i in zip(self._arrivals.calls.pos[calls].tolist(), calls.tolist(), strict=True)]
        places = self._arrivals.outcomes.pos[outcomes].tolist()
        todo += [(pos, False, i) for pos, i in zip(places, outcomes.tolist(), strict=True)]
        for _, is_call, i in sorted(todo):
            (self._call if is_call else self._outcome)(i)

    def resolve_lone(self) -> None:
        """Resolve outcomes that lie in columns; sessions in which one finds no call go on record by record."""
        made, rest = self._lone.resolve()
        self._leaving.made.append(made)
        self._leaving.tally["outcomes"] += len(made.statements)
        self._leaving.tally["waiting"] -= len(made.statements)
        for row in dict.fromkeys(one.session for one in rest):
            self.talks[row] = self._unpack(row)
        # Those that were due when they came have their turn then, and not before.
        came = [(one, self.talks[one.session].pop(one.outcome_id)) for one in rest if one.pos >= 0]
        for one, said in sorted(came, key=lambda each: each[0].pos):
            talk = self.talk(one.session, one.wm)
            talk.add(said)
            self.resolver.settle(one.session, talk, Moment.on_arrival(one.wm, one.pos))

    def talk(self, row: int, wm: int) -> Talk:
        """What was said of a session, as of the watermark `wm`."""
        talk = self.talks.get(row)
        if talk is None:
            talk = self.talks[row] = self._unpack(row)
        self.resolver.advance(row, talk, wm, self._minute_of)
        return talk

    def _sessions(self) -> SessionsOf:
        """The rows of the sessions of calls, and of outcomes."""
        calls, outcomes = self._arrivals.calls, self._arrivals.outcomes
        ids = [*map(_session_id, calls.records), *map(_session_id, outcomes.records)]
        places = {one: place for place, one in enumerate(dict.fromkeys(ids))}
        at = np.fromiter(map(places.__getitem__, ids), np.int64, len(ids))
        hashes = np.zeros(len(places), np.uint64)
        hashes[at] = np.concatenate((calls.session, outcomes.session))
        rows: I32 = self._members.sessions.rows_of(list(places), hashes)[at]
        return SessionsOf(rows[: len(calls.key)], rows[len(calls.key) :])

    def _add(self, fresh: I64) -> None:
        """Take in calls of which nothing was said."""
        if not len(fresh):
            return
        rows = np.unique(self._take_in(fresh))
        for row in rows[self._members.counts(rows) > self._rules.most_calls].tolist():
            self._trim(row)

    def _take_in(self, fresh: I64) -> I32:
        calls, rows, records = self._arrivals.calls, self._rows.calls[fresh], self._arrivals.calls.records
        parents = [records[i].parent_call_id for i in fresh.tolist()]
        ids = [records[i].call_id for i in fresh.tolist()]
        span = self._span[fresh]
        self._members.add(NewCalls(rows, calls.key[fresh], calls.at[fresh], span, calls.uuid[fresh], ids, parents))
        return rows

    def _trim(self, row: int) -> None:
        """Drop the oldest calls of a session that has too many."""
        while (call_row := self._members.oldest(row, self._rules.most_calls)) != LAST:
            self._leaving.tally["session_cut"] += self._members.keeps(call_row) >= self._arrivals.watermark
            self._members.remove(row, call_row)

    def _call(self, i: int) -> None:
        calls, row, call_id = self._arrivals.calls, self._rows.calls.item(i), self._arrivals.calls.records[i].call_id
        wm = calls.wm.item(i)
        talk = self.talk(row, wm)
        known = self._members.call_at(row, call_id, calls.key.item(i))
        if known != LAST:
            if self._members.closes(known) >= wm:
                return
            self._members.remove(row, known)
        self._take_in(np.array([i]))
        self.resolver.call(row, talk, call_id, calls.at.item(i), Moment.on_arrival(wm, calls.pos.item(i)))
        self._trim(row)

    def _outcome(self, i: int) -> None:
        outcomes, row = self._arrivals.outcomes, self._rows.outcomes.item(i)
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
                said = SaidId(record.outcome_id, one.source in self._rules.revises, [one])
                talk.add(said)
            else:
                talk.add_to(said, one)
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
        return self._lone.minute_of(np.array([instant])).item(0)
