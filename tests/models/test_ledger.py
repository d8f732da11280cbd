"""The quick reading of a ledger says what the slow one says, on any statements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.ledger import SourceRule, Statement, VerdictRules, judge, minute_steps, read, revisions, standing

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


@given(statements(), st.integers(0, 4), st.booleans())
def test_one_reading_equals_the_separate_slow_ones(
    ledger: list[Statement],
    call_minute: int,
    failed: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """Verdict, what stands, revisions, and the verdict at the end of each minute."""
    quick = read(call_minute, ledger, RULES, failed=failed)
    assert quick.verdict == judge(ledger, RULES, failed=failed)
    assert quick.stands == {s.outcome_id for s in standing(ledger).values()}
    assert quick.revisions == revisions(ledger, RULES, failed=failed)
    slow = dict(minute_steps(call_minute, ledger, RULES, failed=failed))
    assert quick.ends == slow


def test_leaving_pending_is_no_revision_but_overruling_the_calls_own_error_is() -> None:
    """The first decision of a call without an error does not count."""
    good = Statement(1, "a", "feedback", True, None, False, None, None, 0)
    assert read(0, [good], RULES).revisions == 0
    assert read(0, [good], RULES, failed=True).revisions == 1
