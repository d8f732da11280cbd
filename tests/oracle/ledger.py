"""The verdict on one call, read off its statements from scratch each time: slow, and hard to get wrong.

Choices where reference section 2 leaves one: "newest" is greatest (`occurred_at`, `outcome_id`), so that ties go to the
greatest id; the implicit failure of a call with an `error` is there before the first statement; a call that expired was
not decided, so it has no `decided_at`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oracle.records import Call, Outcome, Rules

DEFAULT_PASS_AT = 0.7


class Verdict(NamedTuple):
    """A call's verdict and the statement it rests on; `decided_at` in microseconds, None where nothing decided."""

    verdict: str
    source: str | None = None
    outcome_id: str | None = None
    reason: str | None = None
    decided_at: int | None = None
    score: float | None = None


PENDING = Verdict("pending")


def ordered(statements: Iterable[Outcome]) -> list[Outcome]:
    """The statements in the order of the ledger."""
    return sorted(statements, key=lambda s: (s.at, s.outcome_id))


def succeeded(statement: Outcome, rules: Rules) -> bool:
    """Whether an asserting statement is a success."""
    if statement.success is not None:
        return statement.success
    assert statement.score is not None, "one of success, score is required"
    if statement.source in rules.fail_at:
        return statement.score < rules.fail_at[statement.source]
    low, high = rules.scale.get(statement.source, (0, 1))
    return statement.score >= rules.pass_at.get(statement.source, low + DEFAULT_PASS_AT * (high - low))


def scaled(statement: Outcome, rules: Rules) -> float:
    """The score of a statement as one of 0 to 1, where its source has a scale."""
    assert statement.score is not None, "there is a score"
    if statement.source not in rules.scale:
        return statement.score
    low, high = rules.scale[statement.source]
    return sorted([0.0, (statement.score - low) / (high - low), 1.0])[1]


def withdraws(retraction: Outcome, statement: Outcome) -> bool:
    """Whether `retraction` takes `statement` back."""
    if retraction.action != "retract" or statement.action == "retract":
        return False
    if retraction.retracts is not None:
        return statement.outcome_id == retraction.retracts
    return statement.source == retraction.source and statement.at <= retraction.at


def standing(statements: Sequence[Outcome]) -> dict[str, Outcome]:
    """Per source, the newest statement that is not withdrawn."""
    stand: dict[str, Outcome] = {}
    for statement in ordered(statements):
        if statement.action == "assert" and not any(withdraws(other, statement) for other in statements):
            stand[statement.source] = statement
    return stand


def decide(call: Call, statements: Sequence[Outcome], rules: Rules) -> Verdict:
    """The verdict on a held call: of the source ranked first among those with a standing statement."""
    stand = standing(statements)
    listed = [stand[source] for source in rules.precedence if source in stand]
    if listed:
        best = listed[0]
    elif stand:
        best = ordered(stand.values())[-1]
    elif call.error is not None:
        return Verdict("failure", "call", None, call.error, call.at)
    else:
        return PENDING
    verdict = "success" if succeeded(best, rules) else "failure"
    return Verdict(verdict, best.source, best.outcome_id, best.reason, best.at, best.score)


def revisions(call: Call, statements: Sequence[Outcome], rules: Rules) -> int:
    """How often the verdict changes as the ledger is read in its order, its first departure from pending left out."""
    ledger = ordered(statements)
    read = [decide(call, ledger[:length], rules).verdict for length in range(len(ledger) + 1)]
    changes = sum(before != after for before, after in pairwise(read))
    departed = read[0] == "pending" and changes > 0
    return changes - departed
