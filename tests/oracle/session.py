"""One session: its calls, its outcomes with their ids, and which goes to which (decision 0023, sections 2, 4 and 5)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from oracle.ledger import voice
from oracle.records import MINUTE_US, NEVER, Outcome, Rules

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "session:"


@dataclass(frozen=True)
class Said:
    """An outcome of a session; `outcome.call_id` is the call that `descendants` names, else empty."""

    session_id: str
    outcome: Outcome
    scope: str = "last"

    @property
    def at(self) -> int:
        """Its time."""
        return self.outcome.at

    @property
    def asserts(self) -> bool:
        """Whether it looks for calls."""
        return self.outcome.action == "assert" and not self.outcome.bare

    @property
    def subject(self) -> tuple[str, str] | None:
        """Which calls it asks for; None where it asks for none."""
        return (self.scope, self.outcome.call_id if self.scope == "descendants" else "") if self.asserts else None


class Erase(NamedTuple):
    """A session, or a call, is to be erased."""

    session_id: str | None = None
    call_id: str | None = None


class Statement(NamedTuple):
    """What is made of an outcome of a session for one call.

    `passed`: up to where the watermark counts for it: a call that closes there or later is still open for it.
    """

    session_id: str
    outcome: Outcome
    minute: int
    passed: int


class Refused(NamedTuple):
    """An outcome that became a dead letter; `field` is what the detail names."""

    reason: str
    said: Said
    field: str | None = None


class Member(NamedTuple):
    """A call that a session knows. Its outcomes count up to `end`, it closes after `close`, and is kept to `kept`."""

    call_id: str
    at: int
    parent: str | None
    end: int
    close: int
    kept: int


class Now(NamedTuple):
    """What the watermark has passed: calls that close at `passed` or later are open, what was due by `by` is due.

    `wm` is the watermark itself.
    """

    passed: int
    by: int
    wm: int

    @classmethod
    def on_arrival(cls, wm: int) -> Now:
        """Of a record that met the watermark `wm`."""
        return cls(wm, wm - 1, wm)


@dataclass
class Spoken:
    """An accepted record and the calls that it has reached; it waits until there is one, erased ones included."""

    said: Said
    reached: set[str] = field(default_factory=set)
    waits: bool = True


@dataclass
class Id:
    """The records of an outcome id, in the order of their arrival, and the calls that they go to, once found."""

    records: list[Spoken] = field(default_factory=list)
    calls: list[str] | None = None
    missed: bool = False
    """It was due and picked nothing."""

    @property
    def first(self) -> Said:
        """The record that began it."""
        return self.records[0].said

    def asserting(self) -> Said | None:
        """The first record that looks for calls."""
        return next((one.said for one in self.records if one.said.asserts), None)

    def names(self, call_id: str) -> bool:
        """Whether a record of it names the call."""
        return any(one.said.outcome.call_id == call_id for one in self.records)

    def forget_call(self, call_id: str) -> None:
        """Take a call out of those that it goes to."""
        self.calls = None if self.calls is None else [call for call in self.calls if call != call_id]
        for record in self.records:
            record.reached.discard(call_id)

    def takes_back(self, record: Spoken) -> bool:
        """Whether a record is a retraction that follows others: by id, or, as the first of its id, by source."""
        outcome = record.said.outcome
        return not record.said.asserts and (outcome.retracts is not None or record is self.records[0])


@dataclass
class Session:
    """What is known of one session."""

    members: dict[str, Member] = field(default_factory=dict)
    ids: list[Id] = field(default_factory=list)


def waiting_in(session: Session) -> Iterator[tuple[Id, Spoken]]:
    """The records that have reached no call yet, each with its id."""
    yield from ((one, record) for one in session.ids for record in one.records if record.waits)


def is_below(member: Member, root: str, candidates: dict[str, Member]) -> bool:
    """Whether a call is `root`, or its chain of parents over candidates leads there; `root` must be one itself."""
    seen: set[str] = set()
    while member.call_id != root:
        parent = None if member.parent is None else candidates.get(member.parent)
        if parent is None or member.call_id in seen:
            return False
        seen.add(member.call_id)
        member = parent
    return True


# What goes to which call


def sent(session: Session, now: Now, rules: Rules, counts: Counter[str]) -> list[Statement]:
    """The statements that are due: each record, for each call that it goes to and has not reached."""
    statements = []
    for one in session.ids:
        for record in one.records:
            calls = [call for call in goes_to(session, one, record, rules) if call not in record.reached]
            counts["outcomes"] += bool(calls) and record.waits
            record.reached.update(calls)
            record.waits = record.waits and not calls
            statements += [statement(record.said, call_id, now) for call_id in calls]
    return statements


def goes_to(session: Session, one: Id, record: Spoken, rules: Rules) -> list[str]:
    """The calls of its id, and, of a retraction, those of the ids that it takes back."""
    calls = list(one.calls or ())
    if one.takes_back(record):
        for other in session.ids:
            if other is not one and other.calls is not None and matches(record.said, other, rules):
                calls += other.calls
    return list(dict.fromkeys(calls))


def matches(retraction: Said, other: Id, rules: Rules) -> bool:
    """Whether a retraction takes back an id: by its name, or because its voice asserted it up to its instant."""
    if retraction.at > other.first.at + rules.longest_horizon():
        return False
    if retraction.outcome.retracts is not None:
        return retraction.outcome.retracts == other.first.outcome.outcome_id
    said = [record.said for record in other.records if record.said.asserts]
    return any(voice(one.outcome) == voice(retraction.outcome) and one.at <= retraction.at for one in said)


def statement(said: Said, call_id: str, now: Now) -> Statement:
    """What an outcome says about one call."""
    outcome, minute = said.outcome, said.at // MINUTE_US
    retracts = None if outcome.retracts is None else PREFIX + outcome.retracts
    named = replace(outcome, outcome_id=PREFIX + outcome.outcome_id, call_id=call_id, retracts=retracts)
    minute = minute if now.wm == NEVER else max(minute, now.wm // MINUTE_US)
    return Statement(said.session_id, named, minute, now.passed)
