"""The verdict ledger of one call: its statements in order, what stands, and the verdict that follows.

The rules are those of docs/contract.md, "Ledger" and "Verdict". Everything here is a function of the *set* of
statements, so the order in which they arrived cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

CALL = "call"
SILENCE = "silence"
RESERVED_SOURCES = frozenset({CALL, SILENCE})
DEFAULT_PASS_AT = 0.7


@dataclass(frozen=True, slots=True)
class SourceRule:
    """How a score of one source becomes success: `score >= pass_at`, or `score < fail_at` where high is bad."""

    pass_at: float = DEFAULT_PASS_AT
    fail_at: float | None = None

    def success(self, score: float) -> bool:
        """Whether `score` passes."""
        return score >= self.pass_at if self.fail_at is None else score < self.fail_at


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

    def rank(self, source: str | None) -> int:
        """Place in the precedence, 0 the strongest; sources that are not listed share the last."""
        precedence = self.precedence
        return precedence.index(source) if source in precedence else len(precedence)


_DEFAULT_RULE = SourceRule()


class Statement(NamedTuple):
    """One outcome record in a ledger. `minute` is its effective minute; `given` the field `success` as it came."""

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
    """What a ledger says: `success` None is pending; `statement` None with a success is the call's own error."""

    success: bool | None
    statement: Statement | None


PENDING = Verdict(None, None)


def order(statement: Statement) -> tuple[int, str]:
    """The ledger's order."""
    return statement.at, statement.outcome_id


def standing(statements: Iterable[Statement]) -> dict[str | None, Statement]:
    """The newest statement of each source that is not withdrawn.

    A retraction by id withdraws that statement, of whichever source and whenever either arrives; one by source
    withdraws all that the source said up to and including its own instant. Retractions cannot be retracted. O(n).
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
        if best is None or order(statement) > order(best):
            stands[statement.source] = statement
    return stands


def judge(statements: Iterable[Statement], rules: VerdictRules, *, failed: bool = False) -> Verdict:
    """The verdict of a ledger; `failed` is the implicit statement of a call that has an `error`."""
    stands = standing(statements)
    if not stands:
        return Verdict(success=False, statement=None) if failed else PENDING
    decides = min(stands.values(), key=lambda s: rules.rank(s.source))
    rank = rules.rank(decides.source)
    if rank == len(rules.precedence):
        decides = max(stands.values(), key=order)
    return Verdict(rules.success(decides.source, decides.given, decides.score), decides)


def revisions(statements: Sequence[Statement], rules: VerdictRules, *, failed: bool = False) -> int:
    """How often the verdict changes when the ledger is read in its order; leaving the first pending is no revision.

    O(n^2) for n statements.
    """
    ordered = sorted(statements, key=order)
    before = judge((), rules, failed=failed).success
    started = before is not None
    count = 0
    for length in range(1, len(ordered) + 1):
        now = judge(ordered[:length], rules, failed=failed).success
        if now != before:
            count += started
            started = True
        before = now
    return count


class MinuteStep(NamedTuple):
    """The verdict at the end of a minute in which something took effect."""

    minute: int
    success: bool | None


def minute_steps(
    call_minute: int, statements: Sequence[Statement], rules: VerdictRules, *, failed: bool = False
) -> list[MinuteStep]:
    """The verdict at the end of each effective minute: the ledger restricted to what had taken effect by then."""
    minutes = sorted({call_minute, *(max(call_minute, s.minute) for s in statements)})
    return [
        MinuteStep(minute, judge([s for s in statements if s.minute <= minute], rules, failed=failed).success)
        for minute in minutes
    ]


class Reading(NamedTuple):
    """All that follows from a ledger. `ends`: the verdict at the end of each minute in which something took effect."""

    verdict: Verdict
    stands: frozenset[str]
    revisions: int
    ends: dict[int, bool | None]


def read(call_minute: int, statements: Sequence[Statement], rules: VerdictRules, *, failed: bool = False) -> Reading:
    """Read a ledger once: O(n log n) where nothing is retracted and statements took effect in order, else O(n^2)."""
    if any(statement.retract for statement in statements):
        return _read_slowly(call_minute, statements, rules, failed=failed)
    verdict = Verdict(success=False, statement=None) if failed else PENDING
    ends: dict[int, bool | None] = {call_minute: verdict.success}
    best, best_rank, minute, count, started = None, len(rules.precedence), call_minute, 0, failed
    success: bool | None = verdict.success
    stands: dict[str | None, str] = {}
    # Tuples sort by (at, outcome_id), and ids are unique in a ledger: this is its order.
    for statement in sorted(statements):
        stands[statement.source] = statement.outcome_id
        rank = rules.rank(statement.source)
        # The newest of its source stands; among equals (unlisted sources, or the same one) the newest decides.
        if rank <= best_rank:
            best, best_rank = statement, rank
            now = rules.success(statement.source, statement.given, statement.score)
            if now is not success:
                count += started
                success = now
            started = True
        if statement.minute < minute:
            return _read_slowly(call_minute, statements, rules, failed=failed)
        minute = max(minute, statement.minute)
        ends[minute] = success
    if best is not None:
        verdict = Verdict(success, best)
    return Reading(verdict, frozenset(stands.values()), count, ends)


def _read_slowly(call_minute: int, statements: Sequence[Statement], rules: VerdictRules, *, failed: bool) -> Reading:
    return Reading(
        judge(statements, rules, failed=failed),
        frozenset(statement.outcome_id for statement in standing(statements).values()),
        revisions(statements, rules, failed=failed),
        dict(minute_steps(call_minute, statements, rules, failed=failed)),
    )
