"""What was said about one session: its outcome ids, each with its records and the calls that they go to.

It lies packed between two uses: a hundred objects would take ten times the room.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgpack

from models.sessions.tables import NOTHING

PREFIX: Final = "session:"
"""How the ids of outcomes of sessions begin in ledgers and tables."""
NO_INSTANT: Final = 2**63 - 1


class SaidIn(NamedTuple):
    """Where the record of an outcome that waits lies."""

    partition: str
    offset: int
    size: int
    sha256: str


@dataclass(slots=True)
class Utterance:
    """One record of an id. `origin` and, unless it retracts, `reason` and `scorer` go once it has reached a call."""

    at: int
    source: str | None
    author: str | None
    success: bool | None
    score: float | None
    retract: bool
    retracts: str | None
    reason: str | None
    scorer: str | None
    scope: str
    named: str
    origin: SaidIn | None
    reached: list[str] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether it has reached no call, erased ones included."""
        return self.origin is not None

    @property
    def bare(self) -> bool:
        """Whether it clears a vote without `retract`."""
        return not self.retract and self.success is None and self.score is None

    @property
    def asserts(self) -> bool:
        """Whether it looks for calls."""
        return not self.retract and (self.success is not None or self.score is not None)

    @property
    def voice(self) -> tuple[str | None, str | None]:
        """Whose it is."""
        return self.source, self.author

    @property
    def subject(self) -> tuple[str, str] | None:
        """Which calls it asks for; None where it asks for none."""
        return (self.scope, self.named if self.scope == "descendants" else "") if self.asserts else None

    def deciding(self) -> tuple[Any, ...]:
        """The fields in which a repeat equals it."""
        return (*self._content(), self.subject)

    def says_the_same(self, other: Utterance) -> bool:
        """Whether it equals another in all of these, maybe at another time and of other calls."""
        return self._content()[1:] == other._content()[1:]

    def _content(self) -> tuple[Any, ...]:
        said = self.retract or self.bare, self.retracts
        return (self.at, self.source, self.author, self.success, self.score, *said)

    def has_reached(self, calls: list[str]) -> None:
        """Note that it has been sent to more calls."""
        self.reached += calls
        self.origin = None
        if self.asserts:
            self.reason = self.scorer = None


@dataclass(slots=True)
class SaidId:
    """The records of an outcome id in the order of arrival, and the calls they go to, once found.

    `revises`: whether records with other content are editions. `missed`: the one that looks for calls was due and
    picked nothing.
    """

    outcome_id: str
    revises: bool
    utterances: list[Utterance] = field(default_factory=list)
    calls: list[str] | None = None
    missed: bool = False

    @property
    def at(self) -> int:
        """The time of its first record."""
        return self.utterances[0].at

    @property
    def waits(self) -> bool:
        """Whether one of its records has reached no call."""
        return any(one.waits for one in self.utterances)

    @property
    def is_live(self) -> bool:
        """Whether one of its records may reach a call that it has not: it waits, or takes back what others say."""
        return self.calls is None or any(one.origin is not None or not one.asserts for one in self.utterances)

    @property
    def is_lone(self) -> bool:
        """Whether it has one record, of scope `last`, that has reached one call; so it may lie in columns."""
        one = self.utterances[0]
        may = len(self.utterances) == 1 and one.asserts and one.scope == "last" and not one.named
        return may and not one.waits and one.source is not None and len(one.reached) == 1 == len(self.calls or ())

    def asserting(self) -> Utterance | None:
        """The first record that looks for calls."""
        for one in self.utterances:
            if one.asserts:
                return one
        return None

    def takes_back(self, one: Utterance) -> bool:
        """Whether a record is a retraction that follows other ids: by id, or, as the first of its id, by source."""
        return not one.asserts and (one.retracts is not None or one is self.utterances[0])

    def matched_by(self, retraction: Utterance, longest: int) -> bool:
        """Whether a retraction takes this id back: by its name, or because its voice asserted it up to its instant."""
        if retraction.at > self.at + longest:
            return False
        if retraction.retracts is not None:
            return retraction.retracts == self.outcome_id
        voice, at = retraction.voice, retraction.at
        return any(one.asserts and one.voice == voice and one.at <= at for one in self.utterances)


class Talk:
    """All ids of one session, in the order of their arrival.

    Attributes:
        ids: all of them.
        live: those of which a record may still reach a call, in that order, and maybe others. There are few of them.
        latest: nothing has been said later than this.
    """

    __slots__ = ("_oldest", "ids", "latest", "live")

    def __init__(self, ids: list[SaidId] | None = None) -> None:
        self.ids = [] if ids is None else ids
        self.latest = max((one.at for said in self.ids for one in said.utterances), default=NOTHING)
        self._look()

    def _look(self) -> None:
        self.live = [one for one in self.ids if one.is_live]
        self._oldest = min((one.at for one in self.ids), default=NO_INSTANT)

    def add(self, said: SaidId) -> None:
        """Add an id with its record, behind the others."""
        self.ids.append(said)
        self.live.append(said)
        self._oldest, self.latest = min(self._oldest, said.at), max(self.latest, said.at)

    def add_to(self, said: SaidId, one: Utterance) -> None:
        """Add a record to an id that is there. O(ids)."""
        said.utterances.append(one)
        self.latest = max(self.latest, one.at)
        if not any(each is said for each in self.live):
            self.live = [each for each in self.ids if each.is_live]

    def remove(self, said: SaidId) -> None:
        """Forget an id. O(ids)."""
        self.ids = [one for one in self.ids if one is not said]
        self.live = [one for one in self.live if one is not said]

    def take_from(self, said: SaidId, one: Utterance) -> None:
        """Forget a record, and its id if it was the last. O(ids)."""
        said.utterances = [each for each in said.utterances if each is not one]
        if not said.utterances:
            self.remove(said)
        else:
            self._oldest = min(self._oldest, said.at)

    def settle(self) -> None:
        """Look at those no longer that have come to rest."""
        self.live = [one for one in self.live if one.is_live]

    def newest(self) -> int:
        """The latest time at which something was said that looks for calls."""
        return max((one.at for said in self.ids for one in said.utterances if one.asserts), default=NOTHING)

    def ends(self, hold: int, give_up_after: int) -> int:
        """Until when it has to be kept, where no id may be remembered beyond `hold` unless it waits."""
        waiting = [one.at + give_up_after for said in self.ids for one in said.utterances if one.waits]
        return max([said.at + hold for said in self.ids] + waiting, default=NOTHING)

    def next_instant(self, wait: int, give_up_after: int) -> int:
        """When something is due, or its wait ends; NO_INSTANT if nothing waits."""
        due = over = NO_INSTANT
        for said in self.live:
            if said.calls is None and not said.missed and (one := said.asserting()) is not None and one.at < due:
                due = one.at
            for one in said.utterances:
                if one.origin is not None and one.at < over:
                    over = one.at
        return min(NO_INSTANT, due + wait, over + give_up_after)

    def id_of(self, outcome_id: str, at: int, longest: int) -> SaidId | None:
        """The newest id of this name that is not over by event time."""
        return next(
            (one for one in reversed(self.ids) if one.outcome_id == outcome_id and at <= one.at + longest), None
        )

    def pop(self, outcome_id: str) -> SaidId:
        """Take out the id of this name, of which there is one."""
        (said,) = (one for one in self.ids if one.outcome_id == outcome_id)
        self.remove(said)
        return said

    def forget(self, instant: int, hold: int) -> None:
        """Drop the ids that are over and do not wait. O(1) where none is over."""
        if self._oldest + hold < instant:
            self.ids = [one for one in self.ids if one.at + hold >= instant or one.waits]
            self._look()

    def pack(self) -> bytes:
        """As bytes; `unpack` reads them."""
        packed: bytes = msgpack.packb([_packed(one) for one in self.ids])
        return packed

    @classmethod
    def unpack(cls, packed: bytes | None) -> Talk:
        """Read `pack`; None is as good as nothing said."""
        return cls() if packed is None else cls([_unpacked(one) for one in msgpack.unpackb(packed, use_list=False)])


def _packed(said: SaidId) -> tuple[Any, ...]:
    utterances = [(*_fields(one), one.reached == said.calls or one.reached) for one in said.utterances]
    return said.outcome_id, said.revises, said.calls, said.missed, utterances


def _fields(one: Utterance) -> tuple[Any, ...]:
    return (
        one.at, one.source, one.author, one.success, one.score, one.retract, one.retracts, one.reason,
        one.scorer, one.scope, one.named, one.origin,
    )  # fmt: skip


def _unpacked(stored: tuple[Any, ...]) -> SaidId:
    outcome_id, revises, calls, missed, utterances = stored
    said = SaidId(outcome_id, revises, [], None if calls is None else list(calls), missed)
    for fields in utterances:
        one, reached = Utterance(*fields[:-1]), fields[-1]
        one.origin = None if one.origin is None else SaidIn(*one.origin)
        one.reached = list(calls if reached is True else reached)
        said.utterances.append(one)
    return said
