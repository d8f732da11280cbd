"""What the voices of one source say together: the statement of each that stands, made one opinion."""

from __future__ import annotations

from bisect import bisect_left, insort
from fractions import Fraction
from operator import attrgetter

from aftercall.times import NEVER
from models.join.statements import Statement, Verdict, VerdictRules

_place = attrgetter("place")


class Voices:
    """The standing statements of one source, at most one per voice.

    Attributes:
        opinion: what the source says; None where it says nothing or abstains.
    """

    def __init__(self, source: str | None, rules: VerdictRules) -> None:
        """None stand."""
        self._source, self._rules, self._rule = source, rules, rules.rule(source)
        self._said: tuple[list[Statement], list[Statement]] = ([], [])
        """Those with an opinion, in the order of the ledger: of failure, of success."""
        self._total = Fraction(0)
        self._success: bool | None = None
        self._since = NEVER
        self.opinion: Verdict | None = None

    def replace(self, old: Statement | None, new: Statement | None, at: int) -> None:
        """Replace the statement of one voice that stands, which a statement of the instant `at` has changed.

        O(log n) for n voices, and a move of their list in memory.
        """
        if old is not None:
            self._remove(old)
        if new is not None:
            self._insert(new)
        success = self._combined()
        if success is not self._success:
            self._success, self._since = success, at
        self.opinion = None if success is None else self._opinion(success)

    def _insert(self, statement: Statement) -> None:
        success = self._says(statement)
        if success is not None:
            insort(self._said[success], statement, key=_place)
            self._total += self._worth(statement)

    def _remove(self, statement: Statement) -> None:
        success = self._says(statement)
        if success is not None:
            said = self._said[success]
            del said[bisect_left(said, statement.place, key=_place)]
            self._total -= self._worth(statement)

    def _says(self, statement: Statement) -> bool | None:
        return self._rules.success(self._source, statement.given, statement.score)

    def _worth(self, statement: Statement) -> Fraction | int:
        """What a statement counts in a mean: its score, or one end of the scale."""
        if self._rule.combine != "mean":
            return 0
        if statement.score is not None:
            return Fraction(statement.score)
        low, high = self._rule.scale or (0.0, 1.0)
        high_is_good = self._rule.fail_at is None
        return Fraction(high if statement.given == high_is_good else low)

    def _combined(self) -> bool | None:
        """Success or failure; None where no voice has an opinion, or where they are equal."""
        bad, good = map(len, self._said)
        if not bad + good:
            return None
        match self._rule.combine:
            case "majority":
                return None if bad == good else good > bad
            case "all":
                return not bad
            case "any":
                return good > 0
            case "mean":
                return self._rule.success(self._total / (bad + good))
        return not bad or (good > 0 and self._said[1][-1].place > self._said[0][-1].place)

    def _opinion(self, success: bool) -> Verdict:  # noqa: FBT001
        """It rests on the newest statement that agrees; where none does, on the newest with an opinion."""
        newest = (self._said[success] or self._said[not success])[-1]
        if self._rule.combine == "newest":
            return Verdict(success, newest, newest.at, newest.score)
        bad, good = map(len, self._said)
        return Verdict(success, newest, self._since, good / (bad + good))
