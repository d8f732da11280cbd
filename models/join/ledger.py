"""The verdict ledger of one call: its statements in order, what stands, and the verdict that follows.

The rules are those of docs/reference.md, "Ledger" and "Verdict". Everything here is a function of the *set* of
statements, so the order in which they arrived cannot matter.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from aftercall.times import NEVER
from aftercall.vocabulary import CALL
from models.join.opinions import Opinions
from models.join.statements import (
    OPEN,
    UNDECIDED,
    End,
    SourceRule,
    Statement,
    Verdict,
    VerdictRules,
    end_of,
)

__all__ = [
    "UNDECIDED",
    "End",
    "Reading",
    "SourceRule",
    "Statement",
    "Verdict",
    "VerdictRules",
    "end_of",
    "read",
    "standing",
]


_place, _minute = attrgetter("place"), attrgetter("minute")
_FAILED = Verdict(success=False, statement=None)
Opinion = tuple[bool, int]
"""What a source says of a call, whatever decides: success or failure, and since when, us."""
_NO_OPINIONS: Mapping[str, Opinion] = {}


def standing(statements: Iterable[Statement]) -> dict[str | None, Statement]:
    """The newest statement of each source that is not withdrawn, in a plain ledger.

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
    """All that follows from a ledger.

    Attributes:
        verdict: that of all statements.
        stands: the edition that stands, by id.
        revisions: changes of the verdict as the ledger is read in its order, the first departure from pending left out.
        ends: the verdict at the end of each minute in which something took effect.
        opinions: what each source says that says something, whatever decides.
    """

    verdict: Verdict
    stands: Mapping[str, int]
    revisions: int
    ends: dict[int, End]
    opinions: Mapping[str, Opinion] = _NO_OPINIONS


def is_plain(statements: Sequence[Statement], rules: VerdictRules) -> bool:
    """Whether each is by a source that says what its newest statement says: no authors, editions, abstentions. O(n)."""
    for statement in statements:
        if statement.edition != 1 or statement.author is not None:
            return False
    if not rules.sources:
        return True
    special, revising = rules.special, rules.revising
    return not any(s.source in special or (s.retract and revising) for s in statements)


def read(
    call_minute: int,
    statements: Sequence[Statement],
    rules: VerdictRules,
    *,
    failed: bool = False,
    required: tuple[str, ...] = (),
) -> Reading:
    """Read a whole ledger. O(n log n) for n statements, so that a call with thousands of them delays no other.

    Args:
        call_minute: the effective minute of the call.
        statements: of the call, in any order.
        rules: those under which the call was accepted.
        failed: whether the call has an error of its own.
        required: the sources that all must say success.
    """
    if required or not is_plain(statements, rules):
        return _read_opinions(call_minute, statements, rules, required, failed=failed)
    if len(statements) == 2 and not (failed or statements[0].retract or statements[1].retract):
        return _read_two(call_minute, min(statements), max(statements), rules)
    # Tuples sort by (at, outcome_id), and ids are unique in such a ledger: this is its order.
    return _read_plain(call_minute, sorted(statements), rules, failed=failed)


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
    stands = {second.outcome_id: 1} if replaced else {first.outcome_id: 1, second.outcome_id: 1}
    revisions = int(alone is not None and success is not alone)
    ends: dict[int, End] = {call_minute: OPEN, early: before, late: (success, best.source)}
    opinions = _opinions((second,) if replaced else (first, second), rules)
    return Reading(Verdict(success, best, best.at, best.score), stands, revisions, ends, opinions)


def _read_plain(call_minute: int, ordered: list[Statement], rules: VerdictRules, *, failed: bool) -> Reading:
    verdict, revisions, ends = _followed(call_minute, ordered, _verdicts(ordered, rules, failed=failed), failed=failed)
    if ends is None:
        by_minute = sorted(ordered, key=_minute)
        ends = _ends(call_minute, by_minute, _verdicts(by_minute, rules, failed=failed), failed=failed)
    stand = standing(ordered).values()
    return Reading(verdict, {s.outcome_id: 1 for s in stand}, revisions, ends, _opinions(stand, rules))


def _opinions(statements: Iterable[Statement], rules: VerdictRules) -> dict[str, Opinion]:
    """Of the sources, by the statement of each that stands, in a plain ledger."""
    said = ((s.source or "", rules.success(s.source, s.given, s.score), s.at) for s in statements)
    return {source: (success, at) for source, success, at in said if success is not None}


def _read_opinions(
    call_minute: int, statements: Sequence[Statement], rules: VerdictRules, required: tuple[str, ...], *, failed: bool
) -> Reading:
    """The same for any ledger."""
    ordered, opinions = sorted(statements, key=_place), Opinions(rules, required, failed=failed)
    verdict, revisions, ends = _followed(call_minute, ordered, map(opinions.add, ordered), failed=failed)
    if ends is None:
        by_minute, again = sorted(ordered, key=_minute), Opinions(rules, required, failed=failed)
        ends = _ends(call_minute, by_minute, map(again.add, by_minute), failed=failed)
    return Reading(verdict, opinions.standing(), revisions, ends, opinions.by_source())


def _followed(
    call_minute: int, ordered: list[Statement], verdicts: Iterable[Verdict], *, failed: bool
) -> tuple[Verdict, int, dict[int, End] | None]:
    """The last of the verdicts after each statement, the revisions, and the ends of minutes if they have this order."""
    verdict = _FAILED if failed else UNDECIDED
    before, started, count = verdict.success, failed, 0
    ends: dict[int, End] = {call_minute: end_of(verdict)}
    minute, in_order = call_minute, True
    for statement, verdict in zip(ordered, verdicts, strict=True):
        if verdict.success is not before:
            count += started
            started, before = True, verdict.success
        effective = max(call_minute, statement.minute)
        in_order = in_order and effective >= minute
        minute = effective
        ends[minute] = end_of(verdict)
    return verdict, count, ends if in_order else None


def _ends(call_minute: int, by_minute: list[Statement], verdicts: Iterable[Verdict], *, failed: bool) -> dict[int, End]:
    """The verdict at the end of each effective minute, where statements did not take effect in the ledger's order."""
    ends: dict[int, End] = {call_minute: (False, CALL) if failed else OPEN}
    for statement, verdict in zip(by_minute, verdicts, strict=True):
        ends[max(call_minute, statement.minute)] = end_of(verdict)
    return ends


def _verdicts(sequence: Iterable[Statement], rules: VerdictRules, *, failed: bool) -> Iterator[Verdict]:
    """The verdict after each statement of `sequence`, which may have any order.

    Assertions are kept sorted per rank; the last that is not withdrawn decides in its rank. A withdrawn assertion stays
    withdrawn, so each is removed once, when it comes last.
    """
    nothing = _FAILED if failed else UNDECIDED
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
                success = rules.success(best.source, best.given, best.score)
                verdict = Verdict(success, best, best.at, best.score)
                break
        yield verdict
