"""All sessions, one record at a time: when an outcome of a session reaches its calls (decision 0023).

Slow and obvious: each session is looked through from its beginning after whatever happens in it.
"""

from __future__ import annotations

from collections import Counter

from oracle.identity import DUPLICATE, EDITION, Fate, fate
from oracle.records import NEVER, Call, Rules
from oracle.session import Erase, Id, Member, Now, Refused, Said, Session, Spoken, Statement, is_below, sent, waiting_in

NO_INSTANT = 2**63 - 1


class Sessions:
    """All sessions. `advance` comes before each record, with the watermark before it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.wait_us = min(rules.session_wait_us, rules.allowed_lateness_us)
        self.counts: Counter[str] = Counter()
        self.refused: list[Refused] = []
        self._sessions: dict[str, Session] = {}
        self._wm = NEVER

    def advance(self, wm: int, *, ended: bool = False) -> list[Statement]:
        """Resolve, give up and forget what `wm` has passed; `ended`: all partitions are at their end."""
        statements: list[Statement] = []
        for session in self._sessions.values():
            while (instant := self._next(session)) < wm:
                statements += self._at(session, instant, wm)
            if ended:
                statements += self._settled(session, Now.on_arrival(wm), ended=True)
            self._forget(session, wm)
        self._sessions = {name: one for name, one in self._sessions.items() if one.members or one.ids}
        self._wm = wm
        return statements

    def _next(self, session: Session) -> int:
        """The next instant at which something is due, or its wait ends."""
        due = [self._due(one) for one in session.ids if one.asserting() and one.calls is None and not one.missed]
        return min([*due, *(self._deadline(record.said) for _, record in waiting_in(session))], default=NO_INSTANT)

    def _at(self, session: Session, instant: int, wm: int) -> list[Statement]:
        """The watermark has passed an instant, and is now `wm`."""
        now = Now(instant, instant, wm)
        self._forget(session, instant)
        statements = self._settled(session, now)
        over = [(one, record) for one, record in waiting_in(session) if self._deadline(record.said) <= instant]
        for one, record in over:
            self._refuse("orphan", session, one, record)
        return statements + (self._settled(session, now) if over else [])

    def call(self, call: Call) -> list[Statement]:
        """Take in a call of a session, under the name that counts."""
        assert call.session_id is not None, "the call has a session"
        lateness, longest = self.rules.allowed_lateness_us, self.rules.longest_horizon()
        end = call.at + self.rules.horizon_of(call.task_type)
        if end + lateness < self._wm:
            return []
        session = self._sessions.setdefault(call.session_id, Session())
        known = session.members.get(call.call_id)
        if known is not None and known.close >= self._wm:
            return []
        kept = call.at + longest + lateness
        session.members[call.call_id] = Member(call.call_id, call.at, call.parent_call_id, end, end + lateness, kept)
        late = [one for one in session.ids if one.calls is not None and self._would_reach(session, one, call.call_id)]
        self.counts["session_late"] += bool(late)
        statements = self._settled(session, Now.on_arrival(self._wm))
        if len(session.members) > self.rules.most_calls:
            oldest = min(session.members.values(), key=lambda member: (member.at, member.call_id))
            del session.members[oldest.call_id]
            self.counts["session_cut"] += 1
        return statements

    def outcome(self, said: Said) -> list[Statement]:
        """Take in an outcome of a session."""
        session = self._sessions.setdefault(said.session_id, Session())
        one = self._id(session, said)
        found = self._fate(one, said)
        if found.kind not in {"new", "edition"}:
            self._decline(found, said)
            return []
        if one is None:
            one = Id()
            session.ids.append(one)
        record = Spoken(said)
        one.records.append(record)
        statements = self._settled(session, Now.on_arrival(self._wm))
        self._give_up_at_once(session, one, record)
        if len(session.ids) > self.rules.most_ids:
            self._drop(session, min(session.ids, key=lambda each: (each.first.at, each.first.outcome.outcome_id)))
        return statements

    def erase(self, erase: Erase) -> None:
        """Forget a session, or a call."""
        if erase.session_id is not None:
            self._erase_session(erase.session_id)
        if erase.call_id is not None:
            self._erase_call(erase.call_id)

    def _erase_session(self, session_id: str) -> None:
        """Forget a session; what waits becomes dead letters."""
        session = self._sessions.pop(session_id, Session())
        self.refused += [Refused("erased", record.said) for _, record in waiting_in(session)]

    def _erase_call(self, call_id: str) -> None:
        """Forget a call, as a parent too, and the ids whose records name it."""
        for session in self._sessions.values():
            rest = {name: member for name, member in session.members.items() if name != call_id}
            session.members = {
                name: member._replace(parent=None) if member.parent == call_id else member
                for name, member in rest.items()
            }
            naming = [one for one in session.ids if one.names(call_id)]
            waiting = [(one, record) for one, record in waiting_in(session) if any(one is each for each in naming)]
            self.refused += [Refused("erased", record.said) for _, record in waiting]
            session.ids = [one for one in session.ids if not any(one is each for each in naming)]
            for one in session.ids:
                one.forget_call(call_id)

    def waiting(self) -> list[Said]:
        """The outcomes that have reached no call yet."""
        return [record.said for session in self._sessions.values() for _, record in waiting_in(session)]

    # Identity

    def _id(self, session: Session, said: Said) -> Id | None:
        """The id that a record belongs to: the newest of this name that is not over by event time."""
        ids = [one for one in session.ids if one.first.outcome.outcome_id == said.outcome.outcome_id]
        return next((one for one in reversed(ids) if said.at <= one.first.at + self.rules.longest_horizon()), None)

    def _fate(self, one: Id | None, said: Said) -> Fate:
        others = [] if one is None else [record.said for record in one.records]
        found = fate(said.outcome, [other.outcome for other in others], self.rules)
        if any((o.outcome.deciding(), o.subject) == (said.outcome.deciding(), said.subject) for o in others):
            return found
        first = None if one is None else one.asserting()
        if found in (DUPLICATE, EDITION) and said.asserts and first is not None and said.subject != first.subject:
            return Fate("conflict", "scope" if said.scope != first.scope else "call_id")
        return found

    def _decline(self, found: Fate, said: Said) -> None:
        if found == DUPLICATE:
            self.counts["duplicates"] += 1
        else:
            self.refused.append(Refused(found.kind, said, found.field))

    # Which calls

    def picked(self, session: Session, said: Said) -> list[Member]:
        """The calls that an outcome is about, oldest first; some may be beyond their horizon."""
        longest = self.rules.longest_horizon()
        candidates = {m.call_id: m for m in session.members.values() if m.at <= said.at <= m.at + longest}
        ordered = sorted(candidates.values(), key=lambda member: (member.at, member.call_id))
        match said.scope:
            case "last":
                return ordered[-1:]
            case "root":
                return ordered[:1]
            case "all":
                return ordered
            case "descendants":
                return [member for member in ordered if is_below(member, said.outcome.call_id, candidates)]
        raise ValueError(said.scope)

    def _taking_part(self, session: Session, said: Said, passed: int) -> list[Member]:
        return [m for m in self.picked(session, said) if said.at <= m.end and m.close >= passed]

    def _would_reach(self, session: Session, one: Id, call_id: str) -> bool:
        said = one.asserting()
        assert said is not None, "it has been resolved"
        members = self._taking_part(session, said, self._wm)[-self.rules.most_reached :]
        return call_id in {member.call_id for member in members}

    # Resolving

    def _settled(self, session: Session, now: Now, *, ended: bool = False) -> list[Statement]:
        """Resolve what can be, and send each record to where it has not been yet."""
        statements: list[Statement] = []
        for one in sorted(session.ids, key=self._due):
            while (said := one.asserting()) is not None and one.calls is None:
                is_due = self._due(one) <= now.by
                if not (is_due or ended):
                    break
                if not self.picked(session, said):
                    one.missed = one.missed or is_due
                    break
                self._resolve(session, one, now.passed)
                statements += sent(session, now, self.rules, self.counts)
        return statements + sent(session, now, self.rules, self.counts)

    def _due(self, one: Id) -> int:
        said = one.asserting()
        return NEVER if said is None else said.at + self.wait_us

    def _resolve(self, session: Session, one: Id, passed: int) -> None:
        """Find the calls of an id, or refuse the record that looks for them."""
        said = one.asserting()
        assert said is not None, "there is a record that asserts"
        calls = self._taking_part(session, said, passed)
        if not calls:
            self._refuse("late", session, one, next(record for record in one.records if record.said is said))
            return
        most = self.rules.most_reached
        one.calls = [member.call_id for member in calls[-most:]]
        self.counts["session_cut"] += max(0, len(calls) - most)
        self.counts["session_late"] += one.missed

    # Giving up and forgetting

    def _give_up_at_once(self, session: Session, one: Id, record: Spoken) -> None:
        """Refuse a record that has come too late to wait."""
        if not record.waits or not any(record is each for each in one.records):
            return
        hold = self.rules.longest_horizon() + self.rules.allowed_lateness_us
        call_at = record.said.outcome.call_at
        if self._deadline(record.said) < self._wm:
            is_late = call_at is not None and call_at + hold < self._wm
            self._refuse("late" if is_late else "orphan", session, one, record)

    def _deadline(self, said: Said) -> int:
        """Until when an outcome waits for a call."""
        hold = self.rules.longest_horizon() + self.rules.allowed_lateness_us
        return said.at + max(self.wait_us, min(self.rules.orphan_wait_us, hold))

    def _refuse(self, reason: str, session: Session, one: Id, record: Spoken) -> None:
        self.refused.append(Refused(reason, record.said))
        # What comes next in its id looks for calls of its own.
        one.missed = one.missed and record.said is not one.asserting()
        one.records = [each for each in one.records if each is not record]
        session.ids = [each for each in session.ids if each.records]

    def _drop(self, session: Session, one: Id) -> None:
        for record in [record for record in one.records if record.waits]:
            self._refuse("orphan", session, one, record)
        session.ids = [each for each in session.ids if each is not one]

    def _forget(self, session: Session, wm: int) -> None:
        session.members = {name: member for name, member in session.members.items() if member.kept >= wm}
        hold = self.rules.longest_horizon() + self.rules.allowed_lateness_us
        waiting = [one for one, _ in waiting_in(session)]
        session.ids = [one for one in session.ids if one.first.at + hold >= wm or any(one is each for each in waiting)]
