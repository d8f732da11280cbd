"""Abstentions, combined authors and required sources, sentence by sentence of decision 0020."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from oracle.ledger import decide, revisions
from oracle.records import Call, Outcome, Rules
from oracle.votes import BASE, CALL, H, T, fed, judged, retract, scored, vote

# Abstentions

NEUTRAL = replace(BASE, abstain={"user": (0.4, 0.6)})


@pytest.mark.parametrize(
    ("score", "verdict"), [(0.39, "failure"), (0.4, "pending"), (0.6, "pending"), (0.61, "failure"), (0.7, "success")]
)
def test_a_score_within_the_range_abstains_bounds_included(score: float, verdict: str) -> None:
    assert judged(scored("1", 1, score), rules=NEUTRAL)[0] == verdict


def test_an_abstention_is_kept_and_shown_and_another_source_decides() -> None:
    neutral, other = scored("1", 1, 0.5, source="human"), vote("2", 2, success=False, source="judge")
    rules = replace(BASE, abstain={"human": (0.5, 0.5)})
    oracle = fed(CALL, neutral, other, rules=rules)
    assert oracle.calls_rows()[0]["verdict_source"] == "judge"
    row = oracle.statements_rows()[0]
    assert (row["success"], row["score"], row["stands"]) == (None, 0.5, True)


def test_a_voice_that_abstains_now_no_longer_says_what_it_said() -> None:
    assert judged(vote("1", 1), scored("2", 2, 0.5), rules=NEUTRAL)[0] == "pending"


def test_success_beside_a_neutral_score_is_no_abstention() -> None:
    assert judged(vote("1", 1, score=0.5), rules=NEUTRAL)[0] == "success"


def test_an_abstention_is_an_answer_never_silence() -> None:
    rules = replace(NEUTRAL, task_horizon_us={"task": H}, silence={"task": "success"})
    row = fed(CALL, scored("1", 1, 0.5), rules=rules, wm=T + 2 * H).calls_rows()[0]
    assert (row["verdict"], row["verdict_at"]) == ("expired", None)
    withdrawn = fed(CALL, scored("1", 1, 0.5), retract("2", 2), rules=rules, wm=T + 2 * H).calls_rows()[0]
    assert (withdrawn["verdict"], withdrawn["verdict_source"]) == ("success", "silence")
    assert fed(CALL, scored("1", 1, 0.5), rules=rules, wm=T + 2 * H).newest_verdicts()["c"]["seq"] == 2


def test_an_abstention_counts_for_responses_and_scores() -> None:
    responses = fed(CALL, scored("1", 1, 0.5), rules=NEUTRAL).responses()
    assert [key[3] for key in responses["statements"]] == [None]
    assert [key[3] for key in responses["scores"]] == [50]


def test_the_implicit_failure_of_a_call_stands_beside_an_abstention() -> None:
    assert judged(scored("1", 1, 0.5), rules=NEUTRAL, call=replace(CALL, error="x"))[:2] == ("failure", "call")


# combine

ANN, BOB, CEM = (
    vote("1", 1, author="ann"),
    vote("2", 2, success=False, author="bob"),
    vote("3", 3, author="cem"),
)


def combining(how: str, **more: object) -> Rules:
    """BASE with `combine` for the source `user`."""
    return replace(BASE, combine={"user": how}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("how", "statements", "expected"),
    [
        ("newest", (ANN, BOB), ("failure", "user", "2", 2)),
        ("newest", (ANN, BOB, CEM), ("success", "user", "3", 3)),
        ("majority", (ANN, BOB, CEM), ("success", "user", "3", 3)),
        ("majority", (ANN, BOB), ("pending", None, None, None)),
        ("majority", (ANN,), ("success", "user", "1", 1)),
        ("majority", (ANN, CEM), ("success", "user", "3", 1)),
        ("all", (ANN, CEM), ("success", "user", "3", 1)),
        ("all", (ANN, BOB, CEM), ("failure", "user", "2", 2)),
        ("any", (ANN, BOB), ("success", "user", "1", 1)),
        ("any", (BOB,), ("failure", "user", "2", 2)),
        ("any", (BOB, CEM), ("success", "user", "3", 3)),
    ],
)
def test_several_authors_of_one_source_are_combined(
    how: str, statements: tuple[Outcome, ...], expected: tuple[str, str | None, str | None, int | None]
) -> None:
    for order in permutations(statements):
        assert judged(*order, rules=combining(how)) == expected


def test_the_score_is_the_share_of_authors_for_success_but_the_statements_own_under_newest() -> None:
    assert decide(CALL, [ANN, BOB, CEM], combining("majority")).score == 2 / 3
    assert decide(CALL, [ANN, BOB, CEM], combining("all")).score == 2 / 3
    assert decide(CALL, [scored("1", 1, 0.9)], combining("newest")).score == 0.9
    neutral = scored("4", 4, 0.5, author="dee")
    assert decide(CALL, [ANN, neutral], combining("all", abstain={"user": (0.5, 0.5)})).score == 1


def test_abstaining_authors_take_no_part() -> None:
    neutral = scored("4", 4, 0.5, author="dee")
    for how in ("newest", "majority", "all", "any", "mean"):
        rules = combining(how, abstain={"user": (0.5, 0.5)})
        assert judged(ANN, neutral, rules=rules) == ("success", "user", "1", 1)
        assert judged(neutral, rules=rules)[0] == "pending"


def test_a_tie_abstains_and_is_no_silence() -> None:
    rules = combining("majority", task_horizon_us={"task": H}, silence={"task": "success"})
    assert fed(CALL, ANN, BOB, rules=rules, wm=T + 2 * H).counters()["expired"] == 1
    other = vote("9", 0, success=False, source="other")
    assert judged(ANN, BOB, other, rules=rules) == ("failure", "other", "9", 0)


def test_the_mean_of_scores_is_held_against_the_bound_of_the_source() -> None:
    low, high = scored("1", 1, 0.5, author="ann"), scored("2", 2, 0.9, author="bob")
    assert judged(low, high, rules=combining("mean")) == ("success", "user", "2", 2)
    assert judged(low, high, rules=combining("mean", pass_at={"user": 0.71}))[0] == "failure"
    assert (
        judged(low, high, rules=combining("mean", abstain={"user": (0.6, 0.8)}, pass_at={"user": 0.9}))[0] == "pending"
    )


def test_in_a_mean_success_is_one_and_failure_zero_or_the_ends_of_the_scale() -> None:
    stars = combining("mean", pass_at={"user": 3}, scale={"user": (1, 5)})
    assert judged(vote("1", 1, author="a"), vote("2", 2, success=False, author="b"), rules=stars)[0] == "success"
    toxic = combining("mean", fail_at={"user": 0.5})
    assert judged(vote("1", 1), rules=toxic)[0] == "success"
    assert judged(vote("1", 1, success=False), rules=toxic)[0] == "failure"


@pytest.mark.parametrize("number", [1, 3, 7, 10, 49])
def test_a_mean_of_equal_scores_is_that_score(number: int) -> None:
    votes = [scored(str(i), i, 0.7, author=str(i)) for i in range(number)]
    assert judged(*votes, rules=combining("mean"))[0] == "success"


def test_a_mean_that_no_statement_agrees_with_rests_on_the_newest_with_an_opinion() -> None:
    odd = vote("1", 1, success=False, score=0.9)
    assert judged(odd, rules=combining("mean")) == ("success", "user", "1", 1)


def test_decided_at_is_the_moment_the_sources_opinion_became_what_it_is() -> None:
    rules = combining("majority")
    dee, back = vote("4", 4, success=False, author="dee"), retract("5", 5, author="dee")
    assert judged(ANN, BOB, CEM, dee, rules=rules)[0] == "pending"
    assert judged(ANN, BOB, CEM, dee, back, rules=rules) == ("success", "user", "3", 5)


def test_combined_votes_that_are_edited_and_cleared() -> None:
    rules = combining("majority", revises=frozenset({"user"}))
    edited = vote("2", 7, author="bob", edition=2)
    assert judged(ANN, BOB, edited, rules=rules) == ("success", "user", "2", 7)
    cleared = retract("2", 7, author="bob", edition=2)
    assert judged(ANN, BOB, cleared, rules=rules) == ("success", "user", "1", 7)


def test_among_unlisted_sources_that_which_rests_on_the_newest_statement_decides() -> None:
    other = vote("9", 2, success=False, source="other")
    assert judged(ANN, CEM, other, rules=combining("majority"))[1] == "user"
    assert judged(ANN, other, rules=combining("majority"))[1] == "other"


# require

BOTH = replace(BASE, require=("safety", "faith"))
SAFE, FAITH = vote("s", 3, source="safety"), vote("f", 5, source="faith")
UNSAFE = vote("s", 3, success=False, source="safety")
GOOD, BAD = vote("h", 1, source="human"), vote("h", 1, success=False, source="human")
NOTHING = ("pending", None, None, None)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ((), NOTHING),
        ((SAFE,), NOTHING),
        ((GOOD,), NOTHING),
        ((GOOD, SAFE), NOTHING),
        ((SAFE, FAITH), ("success", "faith", "f", 5)),
        ((GOOD, SAFE, FAITH), ("success", "human", "h", 5)),
        ((BAD, SAFE, FAITH), ("failure", "human", "h", 1)),
        ((BAD,), ("failure", "human", "h", 1)),
        ((GOOD, UNSAFE, FAITH), ("failure", "safety", "s", 3)),
        ((BAD, UNSAFE), ("failure", "safety", "s", 3)),
        ((UNSAFE, vote("f", 5, success=False, source="faith")), ("failure", "faith", "f", 5)),
    ],
)
def test_all_required_sources_must_pass(
    statements: tuple[Outcome, ...], expected: tuple[str, str | None, str | None, int | None]
) -> None:
    for order in permutations(statements):
        assert judged(*order, rules=BOTH) == expected


def test_a_task_types_own_list_replaces_the_general_one() -> None:
    rules = replace(BOTH, task_require={"task": ("safety",), "free": ()})
    assert judged(SAFE, rules=rules)[0] == "success"
    assert judged(GOOD, rules=rules, call=Call("c", T, "free"))[0] == "success"
    assert judged(SAFE, rules=rules, call=Call("c", T, "other"))[0] == "pending"


def test_an_abstention_is_no_success() -> None:
    rules = replace(BOTH, abstain={"faith": (0.5, 0.5), "human": (0.5, 0.5)})
    assert judged(SAFE, scored("f", 5, 0.5, source="faith"), rules=rules)[0] == "pending"
    assert judged(SAFE, FAITH, scored("h", 9, 0.5, source="human"), rules=rules) == ("success", "faith", "f", 5)


@pytest.mark.parametrize("statements", [(), (SAFE,), (GOOD,), (GOOD, SAFE)])
def test_what_is_incomplete_at_closing_expires_whatever_silence_says(statements: tuple[Outcome, ...]) -> None:
    rules = replace(BOTH, task_horizon_us={"task": H}, silence={"task": "success"})
    row = fed(CALL, *statements, rules=rules, wm=T + 2 * H).calls_rows()[0]
    assert (row["verdict"], row["verdict_source"]) == ("expired", None)


def test_the_implicit_failure_yields_to_a_complete_set_and_to_nothing_less() -> None:
    broken = replace(CALL, error="timeout")
    assert judged(rules=BOTH, call=broken) == ("failure", "call", None, 0)
    assert judged(SAFE, rules=BOTH, call=broken)[1] == "call"
    assert judged(GOOD, SAFE, rules=BOTH, call=broken)[1] == "call"
    assert judged(SAFE, FAITH, rules=BOTH, call=broken) == ("success", "faith", "f", 5)
    assert judged(GOOD, SAFE, FAITH, rules=BOTH, call=broken) == ("success", "human", "h", 5)


def test_a_retraction_makes_a_set_incomplete_again() -> None:
    back = retract("r", 9, source="safety")
    oracle = fed(CALL, SAFE, FAITH, back, rules=BOTH)
    row = oracle.calls_rows()[0]
    assert (row["verdict"], row["revisions"]) == ("pending", 1)
    assert revisions(CALL, [SAFE, FAITH, back, vote("t", 11, source="safety")], BOTH) == 2


def test_a_required_source_may_be_combined() -> None:
    rules = replace(BASE, require=("user",), combine={"user": "all"})
    assert judged(ANN, CEM, rules=rules) == ("success", "user", "3", 1)
    assert decide(CALL, [ANN, BOB, CEM], rules).score == 2 / 3


# source_rates


def test_source_rates_count_what_each_source_says_whatever_decides() -> None:
    rules = replace(BASE, abstain={"judge": (0.5, 0.5)})
    calls = [Call(name, T) for name in ("c", "d")]
    statements = [
        vote("1", 1, source="human"),
        vote("2", 2, success=False, source="judge"),
        Outcome("1", "d", T, "judge", success=True),
        Outcome("2", "d", T, "other", success=False),
        Outcome("3", "d", T + 1, "judge", score=0.5),
    ]
    rows = fed(*calls, *statements, rules=rules).source_rates_rows("1h")
    names = ("source", "resolved", "successes", "failures", "rate")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("human", 1, 1, 0, 1.0),
        ("judge", 1, 0, 1, 0.0),
        ("other", 1, 0, 1, 0.0),
    ]
