"""The quick reading of a ledger equals the slow one, on any statements."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aftercall.vocabulary import CALL
from models.join.ledger import (
    UNDECIDED,
    SourceRule,
    Statement,
    Verdict,
    VerdictRules,
    _read_opinions,
    read,
    standing,
)

RULES = VerdictRules(precedence=("human", "judge"), sources={"toxicity": SourceRule(fail_at=0.3)})
SOURCES = st.sampled_from(["human", "judge", "toxicity", "feedback"])


@st.composite
def statements(draw: st.DrawFn) -> list[Statement]:
    """Up to six statements with distinct ids, ties in time, retractions by id and by source."""
    ids = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=6))
    made = []
    for outcome_id in ids:
        retract = draw(st.integers(0, 3)) == 0
        given_success = draw(st.sampled_from([None, True, False]))
        made.append(
            Statement(
                at=draw(st.integers(0, 4)),
                outcome_id=outcome_id,
                source=draw(SOURCES),
                given=None if retract else given_success,
                score=0.5 if not retract and given_success is None else None,
                retract=retract,
                retracts=draw(st.sampled_from([None, *"abcdef"])) if retract else None,
                reason=None,
                minute=draw(st.integers(0, 4)),
            )
        )
    return made


def judge(statements: Iterable[Statement], *, failed: bool) -> Verdict:
    """The verdict of a ledger, from what stands in it."""
    stands = standing(statements)
    if not stands:
        return Verdict(success=False, statement=None) if failed else UNDECIDED
    decides = min(stands.values(), key=lambda s: RULES.rank(s.source))
    if RULES.rank(decides.source) == len(RULES.precedence):
        decides = max(stands.values(), key=lambda s: (s.at, s.outcome_id))
    success = RULES.success(decides.source, decides.given, decides.score)
    return Verdict(success, decides, decides.at, decides.score)


def end(verdict: Verdict) -> tuple[bool | None, str | None]:
    """A verdict and its source."""
    if verdict.statement is None:
        return verdict.success, None if verdict.success is None else CALL
    return verdict.success, verdict.statement.source


def revisions(statements: list[Statement], *, failed: bool) -> int:
    """Changes between the prefixes of the ordered ledger, but for the one that first leaves pending."""
    ordered = sorted(statements, key=lambda s: (s.at, s.outcome_id))
    verdicts = [judge(ordered[:length], failed=failed).success for length in range(len(ordered) + 1)]
    changes = [now for before, now in pairwise(verdicts) if now is not before]
    return len(changes) - (verdicts[0] is None and bool(changes))


@given(statements(), st.integers(0, 4), st.booleans())
def test_one_reading_equals_the_separate_slow_ones(
    ledger: list[Statement],
    call_minute: int,
    failed: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """Verdict, what stands, revisions, and at the end of each minute the verdict and whose it is; in both readings."""
    quick = read(call_minute, ledger, RULES, failed=failed)
    assert quick == _read_opinions(call_minute, ledger, RULES, (), failed=failed)
    assert quick.verdict == judge(ledger, failed=failed)
    assert quick.stands == {s.outcome_id: 1 for s in standing(ledger).values()}
    assert quick.revisions == revisions(ledger, failed=failed)
    minutes = {call_minute, *(max(call_minute, s.minute) for s in ledger)}
    assert quick.ends == {
        minute: end(judge([s for s in ledger if max(call_minute, s.minute) <= minute], failed=failed))
        for minute in minutes
    }


def test_leaving_pending_is_no_revision_but_overruling_the_calls_own_error_is() -> None:
    """The first decision of a call without an error does not count."""
    good = Statement(1, "a", "feedback", True, None, False, None, None, 0)
    assert read(0, [good], RULES).revisions == 0
    assert read(0, [good], RULES, failed=True).revisions == 1


def test_a_call_with_thirty_thousand_statements_delays_no_other_call() -> None:
    """Assertions and retractions whose minutes run against their order: quadratic work would take minutes of CPU."""
    count = 30_000
    ledger = [
        Statement(
            at=i,
            outcome_id=f"o{i:05}",
            source="feedback",
            given=None if i % 3 else True,
            score=None,
            retract=i % 3 != 0,
            retracts=f"o{i - 1:05}",
            reason=None,
            minute=count - i,
        )
        for i in range(count)
    ]
    began = time.process_time()
    assert read(0, ledger, RULES).revisions > count // 3
    assert time.process_time() - began < 30
