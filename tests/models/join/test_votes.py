"""Votes through the join: edited, cleared, neutral, signed, required, before their call and after it, also resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from oracle.direct import Direct, join_rules
from oracle.histories import History
from oracle.order import File
from oracle.records import MINUTE_US, Rules

RULES = Rules(
    horizon_us=60 * MINUTE_US,
    allowed_lateness_us=0,
    orphan_wait_us=24 * 60 * MINUTE_US,
    revises=frozenset({"user"}),
    abstain={"judge": (0.4, 0.6)},
    task_horizon_us={"t": 60 * MINUTE_US},
    silence={"t": "success"},
)
CALL = {"call_id": "c", "task_type": "t", "model": "m"}


def at(minute: int) -> str:
    return f"2026-01-01T{minute // 60:02}:{minute % 60:02}:00Z"


def vote(outcome_id: str, minute: int, source: str = "user", **fields: Any) -> dict[str, Any]:
    return {"outcome_id": outcome_id, "call_id": "c", "occurred_at": at(minute), "source": source, **fields}


def after(
    *votes: dict[str, Any], called: int = 0, rules: Rules = RULES, until: int = 30, resumed: bool = True
) -> Direct:
    """The join after a call and these votes, read one record at a time, and its last minute; resumed after each."""
    tick = {**CALL, "call_id": "tick", "occurred_at": at(until)}
    calls = File("calls", tuple(json.dumps(one).encode() for one in ({**CALL, "occurred_at": at(called)}, tick)))
    outcomes = File("outcomes", tuple(json.dumps(one).encode() for one in votes))
    direct = Direct(join_rules(rules))
    direct.run(History(rules, (calls, outcomes)), list(range(len(votes) + 2)), [resumed] * (len(votes) + 2))
    return direct


def verdict(direct: Direct) -> tuple[Any, ...]:
    row = direct.newest["c"]
    return row["verdict"], row["source"], row["outcome_id"], row["seq"]


def shown(direct: Direct) -> list[tuple[Any, ...]]:
    """(outcome_id, edition, author, action, success, stands), by id and edition."""
    rows = sorted(direct.statements.values(), key=lambda row: row[2:4])
    return [(*row[2:4], row[5], row[7], row[8], row[12]) for row in rows]


@pytest.mark.parametrize("called", [0, 5])
@pytest.mark.parametrize("resumed", [False, True])
def test_an_edited_vote_counts_as_it_was_last_and_all_of_it_is_kept(called: int, *, resumed: bool) -> None:
    votes = vote("1", 1, success=True), vote("1", 2, success=False), vote("1", 2, success=False)
    direct = after(*votes, called=called, resumed=resumed)
    assert verdict(direct) == ("failure", "user", "1", 2)
    assert shown(direct) == [("1", 1, None, "assert", True, False), ("1", 2, None, "assert", False, True)]
    assert (direct.tally["outcomes"], direct.tally["duplicates"], direct.tally["waiting"]) == (2, 1, 0)


@pytest.mark.parametrize("called", [0, 5])
@pytest.mark.parametrize("cleared", [{}, {"action": "retract"}, {"success": None, "score": None}])
def test_a_cleared_vote_is_as_if_nothing_stood(called: int, cleared: dict[str, Any]) -> None:
    direct = after(vote("1", 1, success=False), vote("1", 2, **cleared), called=called)
    assert verdict(direct) == ("pending", None, None, 2)
    assert shown(direct) == [("1", 1, None, "assert", False, False), ("1", 2, None, "retract", None, False)]
    closed = after(vote("1", 1, success=False), vote("1", 2, **cleared), called=called, until=80)
    assert verdict(closed) == ("success", "silence", None, 3)


@pytest.mark.parametrize(
    ("votes", "words"),
    [
        ([vote("1", 2)], "or the vote's outcome_id"),
        ([vote("1", 1, "judge", success=True), vote("1", 2, "judge")], '[verdict.source.judge] same_id = "revises"'),
        ([vote("1", 1, "judge", success=True), vote("1", 2, "judge", success=False)], 'judge] same_id = "revises"'),
        ([vote("1", 1, success=True), vote("1", 2, author="ann", success=False)], "of another author"),
        ([vote("1", 1, success=True), vote("1", 2, "judge", success=False)], "of another source"),
        ([vote("1", 1, success=True), vote("1", 2, action="retract", retracts="2")], "has 'retracts'"),
        ([vote("1", 1, success=True), vote("1", 1, success=True, retracts="2")], "has 'retracts'"),
        ([vote("1", 1, success=True, retracts="2"), vote("1", 2, success=True)], "has 'retracts'"),
    ],
)
@pytest.mark.parametrize("called", [0, 5])
def test_what_is_no_edition_is_refused_in_words_that_say_what_to_send(
    votes: list[dict[str, Any]], words: str, called: int
) -> None:
    direct = after(*votes, vote("2", 3, success=False), called=called)
    ((_, detail),) = direct.details.elements()
    assert words in detail
    assert direct.tally["dead_letters"] == 1


@pytest.mark.parametrize("called", [0, 5])
def test_an_assertion_that_names_what_it_does_not_retract_withdraws_nothing(called: int) -> None:
    first, second = vote("1", 1, "human", success=False), vote("2", 2, success=True, retracts="1")
    direct = after(first, second, second, called=called)
    assert verdict(direct) == ("success", "user", "2", 2)
    assert [row[-1] for row in shown(direct)] == [True, True]
    assert direct.tally["duplicates"] == 1


def test_an_edition_that_waited_and_is_late_takes_no_number() -> None:
    votes = vote("1", 70, success=True), vote("1", 3, success=True), vote("1", 4, success=False)
    direct = after(*votes, called=5, until=20)
    assert [row[:2] for row in shown(direct)] == [("1", 1), ("1", 2)]
    assert direct.dead == {("late", "c"): 1}


def test_a_call_on_which_only_an_abstention_stands_expires_and_is_not_silent() -> None:
    direct = after(vote("1", 1, "judge", score=0.5), until=80)
    assert shown(direct) == [("1", 1, None, "assert", None, True)]
    assert verdict(direct) == ("expired", None, None, 2)
    assert (direct.tally["expired"], direct.tally["successes"]) == (1, 0)


def test_several_people_speak_for_one_source_and_the_verdict_has_their_share() -> None:
    rules = replace(RULES, combine={"user": "majority"})
    votes = [
        vote(author, i, author=author, success=author != "bob") for i, author in enumerate(("ann", "bob", "eve"), 1)
    ]
    direct = after(*votes, rules=rules)
    assert verdict(direct) == ("success", "user", "eve", 3)
    assert direct.newest["c"]["score"] == 2 / 3
    assert direct.newest["c"]["age_s"] == 180
    assert [row[-1] for row in shown(direct)] == [True, True, True]
    assert verdict(after(*votes[:2], rules=rules)) == ("pending", None, None, 2)


def test_a_retraction_of_one_person_leaves_what_others_said() -> None:
    votes = vote("1", 1, author="ann", success=True), vote("2", 2, author="bob", success=False)
    direct = after(*votes, vote("3", 3, author="bob", action="retract"))
    assert verdict(direct) == ("success", "user", "1", 3)


def test_the_first_scorer_of_two_that_are_required_decides_nothing_but_its_failure_does() -> None:
    rules = replace(RULES, require=("safety", "facts"))
    good, bad = vote("1", 1, "safety", success=True), vote("1", 1, "safety", success=False)
    assert verdict(after(good, rules=rules)) == ("pending", None, None, 1)
    assert verdict(after(bad, rules=rules)) == ("failure", "safety", "1", 1)
    both = after(good, vote("2", 9, "facts", success=True), vote("3", 4, success=True), rules=rules)
    assert verdict(both) == ("success", "user", "3", 3)
    assert both.newest["c"]["age_s"] == 540, "it was no success before the last scorer spoke"
    assert verdict(after(good, rules=rules, until=80)) == ("expired", None, None, 2)
    assert verdict(after(rules=rules, until=80)) == ("expired", None, None, 1)
