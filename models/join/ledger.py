"""The verdict ledger of one call: its statements in order, what stands, and the verdict that follows.

The rules are those of docs/reference.md, "Ledger" and "Verdict". Everything here is a function of the *set* of
statements, so the order in which they arrived cannot matter.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aftercall.times import NEVER
from aftercall.vocabulary import CALL, DEFAULT_PASS_AT


@dataclass(frozen=True, slots=True)
class SourceRule:
    """How a score of one source becomes success: `score >= pass_at`, or `score < fail_at` where high is bad.

    `scale`: the least and the greatest score, where these are not 0 and 1. Both bounds lie on it.
    """

    pass_at: float = DEFAULT_PASS_AT
    fail_at: float | None = None
    scale: tuple[float, float] | None = None

    def success(self, score: float) -> bool:
        """Whether `score` passes."""
        return score >= self.pass_at if self.fail_at is None else score < self.fail_at

    def scaled(self, score: float) -> float:
        """A score as one of 0 to 1, as it counts for means, quantiles and drift; without a scale, as it is."""
        if self.scale is None:
            return score
        low, high = self.scale
        return min(max((score - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class VerdictRules:
    """The settings that decide verdicts. Sources not in `precedence` rank below it, newest first."""

    precedence: tuple[str, ...] = (
        "human_review",
        "ticket_reopened",
        "downstream",
        "user_feedback",
        "contract",
        "judge",
    )
    sources: Mapping[str, SourceRule] = field(default_factory=dict)

    def success(self, source: str | None, given: bool | None, score: float | None) -> bool | None:  # noqa: FBT001 (a field of the record)
        """The success that a statement asserts; None for a retraction, which asserts nothing."""
        if given is not None:
            return given
        if score is None:
            return None
        return self.sources.get(source or "", _DEFAULT_RULE).success(score)

    def rule(self, source: str | None) -> SourceRule:
        """The settings of a source, the defaults where it has none."""
        return self.sources.get(source or "", _DEFAULT_RULE)

    def scaled(self, source: str | None, score: float | None) -> float | None:
        """A score as it counts for means, quantiles and drift."""
        return None if score is None else self.sources.get(source or "", _DEFAULT_RULE).scaled(score)

    def rank(self, source: str | None) -> int:
        """Place in the precedence, 0 the strongest; sources that are not listed share the last."""
        precedence = self.precedence
        return precedence.index(source) if source in precedence else len(precedence)


_DEFAULT_RULE = SourceRule()


class Statement(NamedTuple):
    """One outcome record in a ledger. `minute` is its effective minute; `given` the field `success` of the record."""

    at: int
    outcome_id: str
    source: str | None
    given: bool | None
    score: float | None
    retract: bool
    retracts: str | None
    reason: str | None
    minute: int

    def same(self, other: Statement) -> bool:
        """Whether the deciding fields are equal: then one is a duplicate of the other, else a conflict."""
        return self._deciding() == other._deciding()

    def _deciding(self) -> tuple[object, ...]:
        return (self.at, self.source, self.given, self.score, self.retract, self.retracts)


class Verdict(NamedTuple):
    """The result of a ledger: `success` None is pending; `statement` None with a success is the call's own error."""

    success: bool | None
    statement: Statement | None


UNDECIDED = Verdict(None, None)

End = tuple[bool | None, str | None]
"""The verdict at the end of a minute, and its source: `call` for the call's own error, None while pending."""


def standing(statements: Iterable[Statement]) -> dict[str | None, Statement]:
    """The newest statement of each source that is not withdrawn.

    A retraction by id withdraws that statement, of whichever source and whenever either arrives; one by source
    withdraws all statements of the source up to and including its own instant. Retractions cannot be retracted. O(n).
    """
    asserts: list[Statement] = []
    withdrawn: set[str] = set()
    until: dict[str | None, int] = {}
    for statement in statements:
        if not statement.retract:
            asserts.append(statement)
        elif statement.retracts is not None:
            withdrawn.add(statement.retracts)
        else:
            until[statement.source] = max(statement.at, until.get(statement.source, statement.at))
    stands: dict[str | None, Statement] = {}
    for statement in asserts:
        if statement.outcome_id in withdrawn:
            continue
        cut = until.get(statement.source)
        if cut is not None and statement.at <= cut:
            continue
        best = stands.get(statement.source)
        if best is None or statement > best:
            stands[statement.source] = statement
    return stands


class Reading(NamedTuple):
    """All that follows from a ledger. `ends`: the verdict at the end of each minute in which something took effect."""

    verdict: Verdict
    stands: frozenset[str]
    revisions: int
    ends: dict[int, End]


def end_of(verdict: Verdict) -> End:
    """A verdict as the end of a minute."""
    success, statement = verdict
    if success is None:
        return _OPEN
    return success, CALL if statement is None else statement.source


_OPEN: End = (None, None)


def read(call_minute: int, statements: Sequence[Statement], rules: VerdictRules, *, failed: bool = False) -> Reading:
    """Read a whole ledger. O(n log n) for n statements, so that a call with thousands of them delays no other."""
    if len(statements) == 2 and not (failed or statements[0].retract or statements[1].retract):
        return _read_two(call_minute, min(statements), max(statements), rules)
    # Tuples sort by (at, outcome_id), and ids are unique in a ledger: this is its order.
    ordered = sorted(statements)
    verdict = Verdict(success=False, statement=None) if failed else UNDECIDED
    before, started, count = verdict.success, failed, 0
    ends: dict[int, End] = {call_minute: end_of(verdict)}
    minute, in_order = call_minute, True
    for statement, verdict in zip(ordered, _verdicts(ordered, rules, failed=failed), strict=True):
        if verdict.success is not before:
            count += started
            started, before = True, verdict.success
        effective = max(call_minute, statement.minute)
        in_order = in_order and effective >= minute
        minute = effective
        ends[minute] = end_of(verdict)
    if not in_order:
        ends = _ends(call_minute, ordered, rules, failed=failed)
    stands = frozenset(statement.outcome_id for statement in standing(statements).values())
    return Reading(verdict, stands, count, ends)


def _read_two(call_minute: int, first: Statement, second: Statement, rules: VerdictRules) -> Reading:
    """Read two assertions, in order: by far the most frequent ledger."""
    best = first if rules.rank(first.source) < rules.rank(second.source) else second
    alone = rules.success(first.source, first.given, first.score)
    last = rules.success(second.source, second.given, second.score)
    success = alone if best is first else last
    early, late = max(call_minute, first.minute), max(call_minute, second.minute)
    if late < early:
        early, late, before = late, early, (last, second.source)
    else:
        before = (alone, first.source)
    replaced = first.source == second.source
    stands = frozenset((second.outcome_id,)) if replaced else frozenset((first.outcome_id, second.outcome_id))
    revisions = int(alone is not None and success is not alone)
    ends: dict[int, End] = {call_minute: _OPEN, early: before, late: (success, best.source)}
    return Reading(Verdict(success, best), stands, revisions, ends)


def _ends(call_minute: int, ordered: list[Statement], rules: VerdictRules, *, failed: bool) -> dict[int, End]:
    """The verdict at the end of each effective minute, where statements did not take effect in the ledger's order."""
    by_minute = sorted(ordered, key=lambda statement: max(call_minute, statement.minute))
    ends: dict[int, End] = {call_minute: (False, CALL) if failed else _OPEN}
    for statement, verdict in zip(by_minute, _verdicts(by_minute, rules, failed=failed), strict=True):
        ends[max(call_minute, statement.minute)] = end_of(verdict)
    return ends


def _verdicts(sequence: Iterable[Statement], rules: VerdictRules, *, failed: bool) -> Iterator[Verdict]:
    """The verdict after each statement of `sequence`, which may have any order.

    Assertions are kept sorted per rank; the last that is not withdrawn decides in its rank. A withdrawn assertion stays
    withdrawn, so each is removed once, when it comes last.
    """
    nothing = Verdict(success=False, statement=None) if failed else UNDECIDED
    ranked: list[list[Statement]] = [[] for _ in range(len(rules.precedence) + 1)]
    withdrawn: set[str] = set()
    until: dict[str | None, int] = {}
    for statement in sequence:
        if not statement.retract:
            insort(ranked[rules.rank(statement.source)], statement)
        elif statement.retracts is not None:
            withdrawn.add(statement.retracts)
        else:
            until[statement.source] = max(statement.at, until.get(statement.source, statement.at))
        verdict = nothing
        for asserted in ranked:
            while asserted and (
                asserted[-1].outcome_id in withdrawn or asserted[-1].at <= until.get(asserted[-1].source, NEVER)
            ):
                asserted.pop()
            if asserted:
                best = asserted[-1]
                verdict = Verdict(rules.success(best.source, best.given, best.score), best)
                break
        yield verdict
