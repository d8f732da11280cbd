"""Reads a ledger statement by statement: what each voice says, each source, and the verdict of all.

The rules are those of docs/decisions/0020. What is superseded by another record of its id, or withdrawn, stays so in
every longer ledger: so it is dropped once, when it comes last in its voice.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from operator import attrgetter

from models.join.statements import UNDECIDED, Statement, Verdict, VerdictRules
from models.join.voices import Voices

_place = attrgetter("place")


class _Voice:
    """What one author of a source has said.

    Attributes:
        asserted: its assertions in the order of the ledger, but for the last ones that are gone.
        stands: that of them that stands.
    """

    __slots__ = ("_cuts", "asserted", "source", "stands")

    def __init__(self, source: str | None) -> None:
        self.source = source
        self.asserted: list[Statement] = []
        self.stands: Statement | None = None
        self._cuts: list[tuple[int, str]] = []
        """Instant and id of the two newest retractions of all that it said."""

    def cut(self, retraction: Statement) -> None:
        """Withdraw what it said up to and including an instant, but under the retraction's own id."""
        insort(self._cuts, (retraction.at, retraction.outcome_id))
        del self._cuts[:-2]

    def has_withdrawn(self, statement: Statement) -> bool:
        """Whether it has taken a statement back with others."""
        return any(at >= statement.at and outcome_id != statement.outcome_id for at, outcome_id in self._cuts)


class Opinions:
    """What is said about one call. Statements come in any order; the result is that of their set."""

    def __init__(self, rules: VerdictRules, required: tuple[str, ...], *, failed: bool) -> None:
        """Nothing is said.

        Args:
            rules: of the call.
            required: the sources that all must say success.
            failed: whether the call has an error of its own.
        """
        self._rules, self._required = rules, required
        self._nothing = Verdict(success=False, statement=None) if failed else UNDECIDED
        self._newest: dict[str, Statement] = {}
        """The record that counts, by id; retractions by id are not among them."""
        self._withdrawn: dict[str, int] = {}
        """Up to when an id is withdrawn by retractions of it."""
        self._voices: dict[tuple[str | None, str | None], _Voice] = {}
        self._sources: dict[str | None, Voices] = {}
        self._unlisted: list[tuple[tuple[int, str, int], str | None]] = []
        """Sources with an opinion that are neither required nor in the precedence, by what they rest on."""

    def add(self, statement: Statement) -> Verdict:
        """Add a statement; the verdict with it. O(log n) for n statements, and a move of a list in memory."""
        voice = self._entered(statement)
        if voice is not None:
            self._settle(voice, statement.at)
        return self._verdict()

    def standing(self) -> dict[str, int]:
        """The edition that stands, by id: of each voice the newest that counts and is not withdrawn."""
        stands = (voice.stands for voice in self._voices.values())
        return {statement.outcome_id: statement.edition for statement in stands if statement is not None}

    def by_source(self) -> dict[str, tuple[bool, int]]:
        """What each source says that says something, and since when, us."""
        said = ((source, voices.opinion) for source, voices in self._sources.items())
        return {
            source or "": (one.success, one.decided_at)
            for source, one in said
            if one is not None and one.success is not None
        }

    def says(self, source: str) -> bool | None:
        """What one source says; None where it says nothing or abstains."""
        opinion = self._of(source)
        return None if opinion is None else opinion.success

    def _entered(self, statement: Statement) -> _Voice | None:
        """Note a statement; the voice on which it bears, None where there is none yet."""
        if statement.retract and statement.retracts is not None:
            target = statement.retracts
            self._withdrawn[target] = max(statement.at, self._withdrawn.get(target, statement.at))
            owner = self._newest.get(target)
            return None if owner is None else self._voice(owner)
        newest = self._newest.get(statement.outcome_id)
        if newest is None or newest.place < statement.place:
            self._newest[statement.outcome_id] = statement
        voice = self._voice(statement)
        if not statement.retract:
            insort(voice.asserted, statement, key=_place)
        elif statement.edition == 1:
            voice.cut(statement)
        return voice

    def _voice(self, statement: Statement) -> _Voice:
        key = statement.source, statement.author
        voice = self._voices.get(key)
        if voice is None:
            voice = self._voices[key] = _Voice(statement.source)
        return voice

    def _settle(self, voice: _Voice, at: int) -> None:
        """Find out which statement of a voice stands, and what its source says then."""
        asserted = voice.asserted
        while asserted and self._is_gone(asserted[-1], voice):
            asserted.pop()
        stands = asserted[-1] if asserted else None
        if stands is voice.stands:
            return
        source = self._sources.get(voice.source)
        if source is None:
            source = self._sources[voice.source] = Voices(voice.source, self._rules)
        before = source.opinion
        source.replace(voice.stands, stands, at)
        voice.stands = stands
        if voice.source not in self._required and voice.source not in self._rules.precedence:
            self._rank(voice.source, before, source.opinion)

    def _is_gone(self, statement: Statement, voice: _Voice) -> bool:
        """Whether it is superseded by another record of its id, or withdrawn."""
        if self._newest[statement.outcome_id].edition != statement.edition or voice.has_withdrawn(statement):
            return True
        until = self._withdrawn.get(statement.outcome_id)
        return until is not None and (statement.at <= until or statement.source not in self._rules.revising)

    def _rank(self, source: str | None, before: Verdict | None, now: Verdict | None) -> None:
        if before is not None and before.statement is not None:
            del self._unlisted[bisect_left(self._unlisted, (before.statement.place, source))]
        if now is not None and now.statement is not None:
            insort(self._unlisted, (now.statement.place, source))

    def _verdict(self) -> Verdict:
        rest = self._rest()
        if not self._required:
            return self._nothing if rest is None else rest
        said = [one for source in self._required if (one := self._of(source)) is not None]
        failing = _newest(one for one in said if not one.success)
        if failing is not None:
            return failing
        if rest is not None and not rest.success:
            return rest
        decided = _newest(said) if rest is None else rest
        if len(said) < len(self._required) or decided is None:
            return self._nothing
        parts = said if rest is None else [*said, rest]
        return decided._replace(decided_at=max(part.decided_at for part in parts))

    def _rest(self) -> Verdict | None:
        """What the sources say that are not required: the first of the precedence, else the newest."""
        for source in self._rules.precedence:
            if source not in self._required and (one := self._of(source)) is not None:
                return one
        return self._of(self._unlisted[-1][1]) if self._unlisted else None

    def _of(self, source: str | None) -> Verdict | None:
        voices = self._sources.get(source)
        return None if voices is None else voices.opinion


def _newest(opinions: Iterable[Verdict]) -> Verdict | None:
    """The opinion that rests on the newest statement."""
    return max(opinions, key=_rests_on, default=None)


def _rests_on(opinion: Verdict) -> tuple[int, str, int]:
    return _place(opinion.statement)  # type: ignore[no-any-return] # an opinion has one
