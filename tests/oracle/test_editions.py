"""Editions, clearings and authors, sentence by sentence of decision 0020."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from oracle.ledger import standing
from oracle.records import MINUTE_US, Outcome, Record, Rules
from oracle.votes import BASE, CALL, REVISES, H, M, T, bare, editions, fed, judged, retract, vote

# Editions


def test_an_id_again_with_another_value_is_a_conflict_that_names_the_setting_unless_its_source_revises() -> None:
    oracle = fed(CALL, vote("1", 1), vote("1", 2, success=False), rules=BASE)
    assert (oracle.counters()["conflicts"], oracle.named(), editions(oracle)) == (1, ["same_id"], [("1", 1, 1, True)])


def test_where_a_source_revises_the_record_with_the_later_time_stands_and_both_are_kept() -> None:
    oracle = fed(CALL, vote("1", 1), vote("1", 2, success=False), rules=REVISES)
    assert editions(oracle) == [("1", 1, 1, False), ("1", 2, 2, True)]
    row = oracle.calls_rows()[0]
    assert (row["verdict"], row["verdict_at"], row["statements"], row["revisions"]) == ("failure", T + 2, 2, 1)
    assert oracle.newest_verdicts()["c"]["seq"] == 2


def test_an_older_edition_that_arrives_later_is_kept_under_the_next_number_and_decides_nothing() -> None:
    oracle = fed(CALL, vote("1", 5, success=False), vote("1", 2), rules=REVISES)
    assert editions(oracle) == [("1", 2, 2, False), ("1", 1, 5, True)]
    assert oracle.calls_rows()[0]["verdict"] == "failure"


def test_of_two_editions_of_one_instant_the_later_in_the_partition_stands() -> None:
    yes, no = vote("1", 1), vote("1", 1, success=False)
    assert fed(CALL, yes, no, rules=REVISES).calls_rows()[0]["verdict"] == "failure"
    assert fed(CALL, no, yes, rules=REVISES).calls_rows()[0]["verdict"] == "success"
    assert editions(fed(CALL, no, yes, rules=REVISES)) == [("1", 1, 1, False), ("1", 2, 1, True)]


def test_a_record_equal_to_any_edition_is_a_duplicate() -> None:
    first, second = vote("1", 1), vote("1", 2, success=False)
    counters = fed(CALL, first, second, first, second, rules=REVISES).counters()
    assert (counters["outcomes"], counters["duplicates"]) == (2, 2)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (vote("1", 2, source="judge"), "source"),
        (vote("1", 2, author="ann"), "author"),
        (retract("1", 2, "9"), "retracts"),
    ],
)
@pytest.mark.parametrize("call_first", [True, False])
def test_an_edition_by_another_source_or_author_or_of_another_kind_is_a_conflict(
    other: Outcome, named: str, *, call_first: bool
) -> None:
    records = (CALL, vote("1", 1), other) if call_first else (vote("1", 1), other, CALL)
    oracle = fed(*records, rules=replace(REVISES, revises=frozenset({"user", "judge"})))
    assert (oracle.counters()["conflicts"], oracle.named()) == (1, [named])


def test_authors_make_records_of_one_id_differ_under_conflict_too() -> None:
    assert fed(CALL, vote("1", 1, author="a"), vote("1", 1, author="b"), rules=BASE).named() == ["author"]


def test_an_edited_statement_moves_to_the_time_of_its_newest_edition() -> None:
    assert judged(vote("1", 1), vote("2", 5, success=False), vote("1", 9, edition=2), rules=REVISES)[2] == "1"
    assert judged(vote("1", 1), vote("2", 5, success=False), vote("1", 4, edition=2), rules=REVISES)[2] == "2"


def test_editions_wait_for_their_call_and_get_their_numbers_in_the_order_of_arrival() -> None:
    oracle = fed(vote("1", 5, success=False), vote("1", 2), CALL, rules=REVISES)
    assert editions(oracle) == [("1", 2, 2, False), ("1", 1, 5, True)]


def test_an_edition_after_the_horizon_is_late_and_takes_no_number() -> None:
    oracle = fed(vote("1", H + 1), vote("1", 5), vote("1", 6), CALL, rules=REVISES)
    assert editions(oracle) == [("1", 1, 5, False), ("1", 2, 6, True)]
    assert oracle.counters()["late"] == 1


def test_an_edition_is_a_trial_in_its_own_effective_minute_and_takes_nothing_back() -> None:
    oracle = fed(CALL, vote("1", 0), (vote("1", 1, success=False), T + 7 * MINUTE_US), rules=REVISES)
    assert oracle.trials() == {("task", "model", "default"): {M: (1, 0), M + 7: (0, 1)}}


def test_an_older_edition_that_comes_later_is_no_trial() -> None:
    oracle = fed(CALL, vote("1", 9), (vote("1", 1, success=False), T + 7 * MINUTE_US), rules=REVISES)
    assert oracle.trials() == {("task", "model", "default"): {M: (1, 0)}}


@pytest.mark.parametrize(("at", "verdict"), [(1, "success"), (2, "pending"), (9, "pending")])
def test_a_retraction_by_id_withdraws_all_editions_up_to_its_instant(at: int, verdict: str) -> None:
    ledger = (vote("1", 1, success=False), vote("1", 2, edition=2), retract("2", at, "1", source="human"))
    assert judged(*ledger, rules=REVISES)[0] == verdict


def test_a_retraction_by_id_is_not_bound_by_time_where_the_source_does_not_revise() -> None:
    assert judged(vote("1", 5), retract("2", 1, "1"), rules=BASE)[0] == "pending"
    assert judged(vote("1", 5), retract("2", 1, "1"), rules=REVISES)[0] == "success"


def test_a_retraction_by_source_withdraws_by_the_newest_edition() -> None:
    assert judged(vote("1", 1), vote("1", 9, edition=2), retract("2", 5), rules=REVISES)[0] == "success"
    assert judged(vote("1", 9), vote("1", 1, edition=2), retract("2", 9), rules=REVISES)[0] == "pending"


# Clearings


@pytest.mark.parametrize("clearing", [bare("1", 5), retract("1", 5)])
def test_a_vote_is_cleared_under_its_own_id(clearing: Outcome) -> None:
    oracle = fed(CALL, vote("1", 1), clearing, rules=REVISES)
    assert editions(oracle) == [("1", 1, 1, False), ("1", 2, 5, False)]
    row = oracle.calls_rows()[0]
    assert (row["verdict"], row["statements"], row["revisions"]) == ("pending", 2, 1)
    assert oracle.statements_rows()[1]["action"] == "retract"


def test_the_ways_to_clear_are_one_statement() -> None:
    for one, two in permutations([bare("1", 5), retract("1", 5)]):
        assert fed(CALL, vote("1", 1), one, two, one, rules=REVISES).counters()["duplicates"] == 2


def test_a_clearing_gives_back_what_the_voice_said_under_another_id() -> None:
    ledger = vote("1", 1, success=False), vote("2", 2), retract("2", 3, edition=2)
    assert judged(*ledger, rules=REVISES) == ("failure", "user", "1", 1)


def test_a_clearing_that_is_older_than_the_vote_decides_nothing() -> None:
    assert judged(vote("1", 5), retract("1", 2, edition=2), rules=REVISES)[0] == "success"


def test_of_a_vote_and_its_clearing_of_one_instant_the_later_in_the_partition_counts() -> None:
    assert fed(CALL, vote("1", 5), bare("1", 5), rules=REVISES).calls_rows()[0]["verdict"] == "pending"
    assert (
        fed(CALL, vote("1", 5), bare("1", 5), vote("1", 5, success=False), rules=REVISES).calls_rows()[0]["verdict"]
        == "failure"
    )


def test_a_vote_may_be_given_again_after_it_was_cleared() -> None:
    assert judged(vote("1", 1), retract("1", 2, edition=2), vote("1", 3, edition=3), rules=REVISES)[0] == "success"


@pytest.mark.parametrize(
    ("records", "rules", "named"),
    [
        ((CALL, bare("1", 5)), REVISES, "outcome_id"),
        ((bare("1", 5), CALL), REVISES, "outcome_id"),
        ((CALL, vote("1", 1), bare("1", 5)), BASE, "same_id"),
        ((vote("1", 1), bare("1", 5), CALL), BASE, "same_id"),
    ],
)
def test_a_clearing_of_an_id_never_seen_or_of_a_source_that_does_not_revise_is_refused(
    records: tuple[Record, ...], rules: Rules, named: str
) -> None:
    oracle = fed(*records, rules=rules)
    assert ([dead.reason for dead in oracle.dead()], oracle.named()) == (["no_verdict"], [named])


def test_retract_under_a_held_id_names_the_setting_where_the_source_does_not_revise() -> None:
    oracle = fed(CALL, vote("1", 1), retract("1", 5), rules=BASE)
    assert ([dead.reason for dead in oracle.dead()], oracle.named()) == (["conflict"], ["same_id"])


def test_retract_under_a_new_id_withdraws_all_that_its_voice_said_also_where_the_source_revises() -> None:
    assert judged(vote("1", 1), vote("2", 2), retract("3", 2), rules=REVISES)[0] == "pending"


def test_a_clearing_that_overtook_its_vote_still_clears_it() -> None:
    oracle = fed(CALL, vote("0", 1), retract("1", 5), vote("1", 3), rules=REVISES)
    assert editions(oracle) == [("0", 1, 1, False), ("1", 2, 3, False), ("1", 1, 5, False)]
    assert fed(CALL, retract("1", 5), vote("1", 7), rules=REVISES).calls_rows()[0]["verdict"] == "success"


def test_a_second_edition_that_retracts_reaches_no_other_id() -> None:
    assert fed(CALL, vote("0", 1), vote("1", 3), retract("1", 5), rules=REVISES).calls_rows()[0]["verdict"] == "success"


def test_clearings_count_for_no_response_and_editions_for_one_each() -> None:
    oracle = fed(CALL, vote("1", 1), vote("1", 2, success=False), bare("1", 3), rules=REVISES)
    assert sorted(key[3] for key in oracle.responses()["statements"].elements()) == [False, True]


# Authors


def test_statements_supersede_and_retractions_withdraw_within_source_and_author() -> None:
    one, two = vote("1", 1, success=False, author="ann"), vote("2", 2, author="bob")
    assert standing([one, two], BASE) == [one, two]
    assert standing([one, two, retract("3", 3, author="bob")], BASE) == [one]
    assert standing([one, two, retract("3", 3)], BASE) == [one, two]


def test_statements_without_author_are_one_author() -> None:
    signed, first, second = vote("0", 0, author="ann"), vote("1", 1), vote("2", 2)
    assert standing([signed, first, second], BASE) == [signed, second]
    assert standing([signed, first, second, retract("3", 3)], BASE) == [signed]


def test_a_retraction_by_id_may_name_a_statement_of_another_author() -> None:
    assert standing([vote("1", 1, author="ann"), retract("2", 2, "1", author="bob")], BASE) == []
