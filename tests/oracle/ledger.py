"""The verdict on one call, read off its statements from scratch each time: slow, and hard to get wrong.

Choices where reference section 2 leaves one: "newest" is greatest (`occurred_at`, `outcome_id`, `edition`), so that
ties go to the greatest id; the implicit failure of a call with an `error` is there before the first statement; a call
that expired was not decided, so it has no `decided_at`. The others are in decision 0020.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from oracle.records import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oracle.records import Call, Outcome

DEFAULT_PASS_AT = 0.7
DEFAULTS = Rules()


class Verdict(NamedTuple):
    """A call's verdict and the statement it rests on; `decided_at` in microseconds, None where nothing decided."""

    verdict: str
    source: str | None = None
    outcome_id: str | None = None
    reason: str | None = None
    decided_at: int | None = None
    score: float | None = None


PENDING = Verdict("pending")


class Opinion(NamedTuple):
    """What one source says about a call: success or failure, since when, and the statement that this rests on."""

    success: bool
    statement: Outcome
    decided_at: int
    score: float | None


def place(statement: Outcome) -> tuple[int, str, int]:
    """Where a statement stands in the order of its ledger."""
    return statement.at, statement.outcome_id, statement.edition


def ordered(statements: Iterable[Outcome]) -> list[Outcome]:
    """The statements in the order of the ledger."""
    return sorted(statements, key=place)


# One statement


def judged(source: str, score: float | Fraction, rules: Rules) -> bool | None:
    """What a score of this source means; None where it abstains."""
    if source in rules.abstain and rules.abstain[source][0] <= score <= rules.abstain[source][1]:
        return None
    if source in rules.fail_at:
        return score < rules.fail_at[source]
    low, high = rules.scale.get(source, (0, 1))
    return score >= rules.pass_at.get(source, low + DEFAULT_PASS_AT * (high - low))


def says(statement: Outcome, rules: Rules) -> bool | None:
    """Whether an asserting statement is a success; None where it abstains."""
    if statement.success is not None:
        return statement.success
    assert statement.score is not None, "one of success, score is required"
    return judged(statement.source, statement.score, rules)


def scaled(statement: Outcome, rules: Rules) -> float:
    """The score of a statement as one of 0 to 1, where its source has a scale."""
    assert statement.score is not None, "there is a score"
    if statement.source not in rules.scale:
        return statement.score
    low, high = rules.scale[statement.source]
    return sorted([0.0, (statement.score - low) / (high - low), 1.0])[1]


def counts(statement: Outcome, statements: Iterable[Outcome]) -> bool:
    """Whether a statement is the newest record of its id."""
    editions = [other for other in statements if other.outcome_id == statement.outcome_id]
    return statement == max(editions, key=lambda other: (other.at, other.edition))


def withdraws(retraction: Outcome, statement: Outcome, rules: Rules) -> bool:
    """Whether `retraction` takes `statement` back, which has another id, or is older."""
    if retraction.action != "retract" or statement.action == "retract":
        return False
    if retraction.retracts is not None:
        in_time = statement.at <= retraction.at or statement.source not in rules.revises
        return statement.outcome_id == retraction.retracts and in_time
    # Editions of one id decide among themselves which of them counts; a later one of a clearing's does nothing else.
    if retraction.edition > 1 or statement.outcome_id == retraction.outcome_id:
        return False
    return voice(statement) == voice(retraction) and statement.at <= retraction.at


def voice(statement: Outcome) -> tuple[str, str | None]:
    """Whose statement it is."""
    return statement.source, statement.author


def standing(statements: Sequence[Outcome], rules: Rules = DEFAULTS) -> list[Outcome]:
    """Per source and author, the newest statement that counts and is not withdrawn; in the order of the ledger."""
    stand: dict[tuple[str, str | None], Outcome] = {}
    for statement in ordered(statements):
        withdrawn = any(withdraws(other, statement, rules) for other in statements)
        if statement.action == "assert" and counts(statement, statements) and not withdrawn:
            stand[voice(statement)] = statement
    return ordered(stand.values())


# One source


def worth(statement: Outcome, rules: Rules) -> Fraction:
    """What a statement counts in a mean: its score, or one end of its source's scale."""
    if statement.score is not None:
        return Fraction(statement.score)
    low, high = rules.scale.get(statement.source, (0, 1))
    high_is_good = statement.source not in rules.fail_at
    return Fraction(high if statement.success == high_is_good else low)


def combined(source: str, statements: Sequence[Outcome], rules: Rules) -> bool | None:
    """What the standing statements of a source say together; None where they say nothing."""
    return together(source, with_opinion(source, standing(statements, rules), rules), rules)


def together(source: str, said: Sequence[Outcome], rules: Rules) -> bool | None:
    """What the standing statements of a source that do not abstain say together."""
    good = sum(bool(says(statement, rules)) for statement in said)
    if not said:
        return None
    match rules.combine.get(source, "newest"):
        case "newest":
            return says(said[-1], rules)
        case "majority":
            return None if good * 2 == len(said) else good * 2 > len(said)
        case "all":
            return good == len(said)
        case "any":
            return good > 0
        case "mean":
            return judged(source, sum(worth(statement, rules) for statement in said) / Fraction(len(said)), rules)
    raise ValueError(rules.combine[source])


def with_opinion(source: str, stand: Sequence[Outcome], rules: Rules) -> list[Outcome]:
    """Of the standing statements those of a source that do not abstain, in the order of the ledger."""
    return [s for s in stand if s.source == source and says(s, rules) is not None]


def opinion(source: str, statements: Sequence[Outcome], rules: Rules) -> Opinion | None:
    """What a source says; None where it says nothing or abstains."""
    return opinion_of(source, standing(statements, rules), statements, rules)


def opinion_of(source: str, stand: Sequence[Outcome], statements: Sequence[Outcome], rules: Rules) -> Opinion | None:
    """The same, where the statements that `stand` are known."""
    said = with_opinion(source, stand, rules)
    success = together(source, said, rules)
    if success is None:
        return None
    agreeing = [statement for statement in said if says(statement, rules) == success]
    newest = (agreeing or said)[-1]
    if rules.combine.get(source, "newest") == "newest":
        return Opinion(success, newest, newest.at, newest.score)
    share = sum(bool(says(statement, rules)) for statement in said) / len(said)
    return Opinion(success, newest, since(source, success, statements, rules), share)


def since(source: str, success: bool, statements: Sequence[Outcome], rules: Rules) -> int:  # noqa: FBT001
    """The instant from which on each longer prefix of the ledger has a source say what it says in the end."""
    ledger = ordered(statements)
    first = len(ledger)
    while first > 1 and combined(source, ledger[: first - 1], rules) == success:
        first -= 1
    return ledger[first - 1].at


def opinions(statements: Sequence[Outcome], rules: Rules) -> dict[str, Opinion]:
    """What each source says that says something."""
    sources = sorted({statement.source for statement in statements if statement.action == "assert"})
    stand = standing(statements, rules)
    said = {source: opinion_of(source, stand, statements, rules) for source in sources}
    return {source: one for source, one in said.items() if one is not None}


# The call


def by_precedence(said: dict[str, Opinion], rules: Rules) -> Opinion | None:
    """The opinion of the source ranked first, else the one that rests on the newest statement."""
    listed = [said[source] for source in rules.precedence if source in said]
    return listed[0] if listed else newest_of(said.values())


def newest_of(said: Iterable[Opinion]) -> Opinion | None:
    """The opinion that rests on the newest statement."""
    return max(said, key=lambda one: place(one.statement), default=None)


def decide(call: Call, statements: Sequence[Outcome], rules: Rules) -> Verdict:
    """The verdict on a held call."""
    said = opinions(statements, rules)
    required = rules.required(call.task_type)
    of_required = [said[source] for source in required if source in said]
    failing = newest_of(one for one in of_required if not one.success)
    if failing is not None:
        return resting_on(failing)
    rest = by_precedence({source: one for source, one in said.items() if source not in required}, rules)
    if rest is not None and not rest.success:
        return resting_on(rest)
    decided = rest if rest is not None else newest_of(of_required)
    if len(of_required) == len(required) and decided is not None:
        parts = of_required if rest is None else [*of_required, rest]
        return resting_on(decided)._replace(decided_at=max(part.decided_at for part in parts))
    if call.error is not None:
        return Verdict("failure", "call", None, call.error, call.at)
    return PENDING


def resting_on(one: Opinion) -> Verdict:
    """An opinion as the verdict."""
    name = "success" if one.success else "failure"
    statement = one.statement
    return Verdict(name, statement.source, statement.outcome_id, statement.reason, one.decided_at, one.score)


def is_silent(call: Call, statements: Sequence[Outcome], rules: Rules) -> bool:
    """Whether silence may decide: nothing stands, not even an abstention, and no source is required."""
    return not standing(statements, rules) and not rules.required(call.task_type)


def revisions(call: Call, statements: Sequence[Outcome], rules: Rules) -> int:
    """How often the verdict changes as the ledger is read in its order, its first departure from pending left out."""
    ledger = ordered(statements)
    read = [decide(call, ledger[:length], rules).verdict for length in range(len(ledger) + 1)]
    changes = sum(before != after for before, after in pairwise(read))
    departed = read[0] == "pending" and changes > 0
    return changes - departed
