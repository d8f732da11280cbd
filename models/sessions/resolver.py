"""Decides when an outcome of a session reaches which calls (docs/decisions/0023, sections 3 to 5).

It works on one session at a time, whose talk the owner has unpacked, and notes what leaves in `Leaving`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aftercall.times import MINUTE_US, NEVER
from models.sessions.lone_path import Made
from models.sessions.members import SessionMembers
from models.sessions.records import SessionRefusal, SessionStatement
from models.sessions.rules import SessionRules
from models.sessions.scopes import Candidate, in_scope
from models.sessions.talk import PREFIX, SaidId, SaidIn, Talk, Utterance

_DETAILS: Final = {
    "late": "it lies after the horizon of the calls that it is about, or came after they had closed",
    "orphan": "no call of its session that it could be about appeared in time",
    "erased": "it waited for a session or a call that was erased",
}


class Moment(NamedTuple):
    """What the watermark has passed: calls that close at `passed` or later are open, what was due by `by` is due.

    `minute`: that of the watermark itself; NEVER where it has not started. `pos`: of the record that has arrived, -1
    where none has.
    """

    passed: int
    by: int
    minute: int
    pos: int = -1

    @classmethod
    def on_arrival(cls, wm: int, pos: int = -1) -> Moment:
        """Of a record that met the watermark `wm`."""
        return cls(wm, wm - 1, NEVER if wm == NEVER else wm // MINUTE_US, pos)


@dataclass(slots=True)
class Leaving:
    """What leaves the step with a batch."""

    statements: list[SessionStatement] = field(default_factory=list)
    refused: list[SessionRefusal] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    made: list[Made] = field(default_factory=list)
    """Statements that were made as columns."""

    def refuse(self, reason: str, detail: str, session_id: str, outcome_id: str, origin: SaidIn,
               raw: bytes | None = None) -> None:  # fmt: skip
        """Note a dead letter."""
        self.refused.append(SessionRefusal(reason, detail, session_id, outcome_id, *origin[:2], raw, *origin[2:]))
        self.tally["dead_letters"] += 1
        self.tally[_COUNTED.get(reason, reason)] += 1


_COUNTED: Final = {"orphan": "orphans", "conflict": "conflicts"}


class Resolver:
    """The rules, applied to one session at a time."""

    def __init__(self, rules: SessionRules, members: SessionMembers, leaving: Leaving) -> None:
        """`leaving` receives what leaves."""
        self._rules, self._members, self._leaving = rules, members, leaving
        self._wait, self._longest, self._hold = rules.wait(), rules.longest(), rules.hold()
        self._give_up_after = rules.give_up_after()

    def advance(self, row: int, talk: Talk, wm: int, minute_of: Callable[[int], int]) -> None:
        """Resolve, give up and forget what `wm` has passed; `minute_of`: of the first watermark after an instant."""
        while (instant := talk.next_instant(self._wait, self._give_up_after)) < wm:
            talk.forget(instant, self._hold)
            moment = Moment(instant, instant, minute_of(instant))
            self.settle(row, talk, moment)
            over = [(said, one) for said in talk.live for one in said.utterances
                    if one.waits and one.at + self._give_up_after <= instant]  # fmt: skip
            for said, one in over:
                self._refuse("orphan", row, talk, said, one)
            if over:
                self.settle(row, talk, moment)
        talk.forget(wm, self._hold)

    def call(self, row: int, talk: Talk, call_id: str, at: int, moment: Moment) -> None:
        """A call of the time `at` has been taken in."""
        wm = moment.passed
        if at > talk.latest:
            return  # No outcome is about a call after it.
        late = any(self._would_reach(row, said, call_id, at, wm) for said in talk.ids if said.calls is not None)
        self._leaving.tally["session_late"] += late
        self.settle(row, talk, moment, came=True)

    def outcome(
        self, row: int, talk: Talk, said: SaidId, one: Utterance, moment: Moment, call_at: int, raw: bytes
    ) -> None:
        """A record has been accepted as the newest of its id."""
        wm = moment.passed
        self._leaving.tally["waiting"] += 1
        self.settle(row, talk, moment)
        is_there = any(one is each for each in said.utterances)
        if is_there and one.waits and one.at + self._give_up_after < wm:
            is_late = call_at != NEVER and call_at + self._hold < wm
            self._refuse("late" if is_late else "orphan", row, talk, said, one, raw)
        if len(talk.ids) > self._rules.most_ids:
            self.drop("orphan", row, talk, min(talk.ids, key=lambda each: (each.at, each.outcome_id)))

    def settle(self, row: int, talk: Talk, moment: Moment, *, ended: bool = False, came: bool = False) -> None:
        """Resolve what can be, and send each record to where it has not been yet; `came`: a call that it may be about.

        What was due and has picked nothing can pick nothing before such a call comes: calls only go.
        """
        for said in sorted((one for one in talk.live if one.calls is None and (came or not one.missed)), key=self._due):
            while (one := said.asserting()) is not None and said.calls is None:
                is_due = one.at + self._wait <= moment.by
                if not (is_due or ended):
                    break
                picked = self._picked(row, one, moment.passed)
                if not picked:
                    said.missed = said.missed or is_due
                    break
                self._resolve(row, talk, said, one, picked, moment.passed)
                self._send(row, talk, moment)
        self._send(row, talk, moment)
        talk.settle()

    def abandon(self, row: int, talk: Talk, reason: str) -> None:
        """The session is dropped: what waits becomes dead letters."""
        for said in list(talk.ids):
            for one in [one for one in said.utterances if one.waits]:
                self._refuse(reason, row, talk, said, one)

    def _due(self, said: SaidId) -> int:
        one = said.asserting()
        return NEVER if one is None else one.at + self._wait

    def _picked(self, row: int, one: Utterance, instant: int) -> list[Candidate]:
        if one.scope == "last":
            return self._members.last_candidate(row, one.at, instant)
        candidates = self._members.candidates(row, one.at, instant)
        return list(in_scope(one.scope, one.named, candidates))

    def _would_reach(self, row: int, said: SaidId, call_id: str, at: int, wm: int) -> bool:
        one = said.asserting()
        assert one is not None, "it has been resolved"  # noqa: S101
        if one.at < at:
            return False
        calls = _taking_part(one, self._picked(row, one, wm), wm)
        return call_id in {call.call_id for call in calls[-self._rules.most_reached :]}

    def _resolve(
        self, row: int, talk: Talk, said: SaidId, one: Utterance, picked: list[Candidate], passed: int
    ) -> None:
        """Note the calls of an id, or refuse the record that looks for them."""
        calls = _taking_part(one, picked, passed)
        if not calls:
            self._refuse("late", row, talk, said, one)
            return
        most, tally = self._rules.most_reached, self._leaving.tally
        said.calls = [call.call_id for call in calls[-most:]]
        tally["session_cut"] += max(0, len(calls) - most)
        tally["session_late"] += said.missed

    def _send(self, row: int, talk: Talk, moment: Moment) -> None:
        """Send each record to the calls that it goes to and has not reached."""
        session_id, tally = self._members.sessions.id_of(row), self._leaving.tally
        for said in talk.live:
            for one in said.utterances:
                if said.calls is None and one.asserts:
                    continue
                calls = [call for call in self._goes_to(talk, said, one) if call not in one.reached]
                if not calls:
                    continue
                if one.waits:
                    tally["outcomes"] += 1
                    tally["waiting"] -= 1
                self._leaving.statements += [
                    _statement(call, session_id, said.outcome_id, one, moment) for call in calls
                ]
                one.has_reached(calls)

    def _goes_to(self, talk: Talk, said: SaidId, one: Utterance) -> list[str]:
        """The calls of its id, and, of a retraction, those of the ids that it takes back."""
        calls = list(said.calls or ())
        if said.takes_back(one):
            for other in talk.ids:
                if other is not said and other.calls is not None and other.matched_by(one, self._longest):
                    calls += other.calls
        return list(dict.fromkeys(calls))

    def _refuse(
        self, reason: str, row: int, talk: Talk, said: SaidId, one: Utterance, raw: bytes | None = None
    ) -> None:
        assert one.origin is not None, "it waits"  # noqa: S101
        session_id = "" if reason == "erased" else self._members.sessions.id_of(row)
        outcome_id = "" if reason == "erased" else said.outcome_id
        self._leaving.refuse(reason, _DETAILS[reason], session_id, outcome_id, one.origin, raw)
        self._leaving.tally["waiting"] -= 1
        # What comes next in its id looks for calls of its own.
        said.missed = said.missed and one is not said.asserting()
        talk.take_from(said, one)

    def drop(self, reason: str, row: int, talk: Talk, said: SaidId) -> None:
        """Forget an id: what waits of it becomes dead letters."""
        for one in [one for one in said.utterances if one.waits]:
            self._refuse(reason, row, talk, said, one)
        talk.remove(said)


def _taking_part(one: Utterance, picked: list[Candidate], passed: int) -> list[Candidate]:
    return [call for call in picked if one.at <= call.end and call.close >= passed]


def _statement(call_id: str, session_id: str, outcome_id: str, one: Utterance, moment: Moment) -> SessionStatement:
    minute = max(one.at // MINUTE_US, moment.minute)
    retracts = None if one.retracts is None else PREFIX + one.retracts
    said = one.at, one.source, one.author, one.success, one.score, one.retract, retracts, one.reason
    placed = one.scorer, minute, moment.passed, moment.pos
    return SessionStatement(call_id, session_id, PREFIX + outcome_id, *said, *placed)
