"""The sentences of decision 0023, one by one, as the oracle reads them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from oracle.records import MINUTE_US, NEVER, Call, Outcome, Rules
from oracle.session import Erase, Said
from oracle.session_replay import SessionOracle

H = 30 * MINUTE_US
LATENESS = 10 * MINUTE_US
WAIT = 5 * MINUTE_US
T = 1_000_000 * MINUTE_US
RULES = Rules(horizon_us=H, allowed_lateness_us=LATENESS, session_wait_us=WAIT, orphan_wait_us=20 * MINUTE_US)
REVISES = replace(RULES, revises=frozenset({"user"}))


def call(call_id: str, at: int, *, parent: str | None = None, task: str = "task", session: str | None = "s") -> Call:
    """A call, `at` minutes after T."""
    return Call(call_id, T + at * MINUTE_US, task, session_id=session, parent_call_id=parent)


def thumb(outcome_id: str, at: int, scope: str = "last", *, success: bool | None = True, author: str | None = None,
          of: str = "", source: str = "user", session: str = "s") -> Said:  # fmt: skip
    """A vote on the session, `at` minutes after T."""
    return Said(session, Outcome(outcome_id, of, T + at * MINUTE_US, source, success, author=author), scope)


def back(outcome_id: str, at: int, target: str | None = None, *, author: str | None = None) -> Said:
    """A retraction on the session."""
    outcome = Outcome(outcome_id, "", T + at * MINUTE_US, "user", action="retract", retracts=target, author=author)
    return Said("s", outcome)


def fed(*records: object, rules: Rules = RULES, ended: bool = False, wm: int | None = None) -> SessionOracle:
    """An oracle after records, each at the watermark NEVER or `(record, minutes after T)`; finished at `wm`."""
    oracle = SessionOracle(rules)
    for entry in records:
        record, before = entry if isinstance(entry, tuple) else (entry, None)
        oracle.feed(record, NEVER if before is None else T + before * MINUTE_US)
    if ended or wm is not None:
        oracle.finish(NEVER if wm is None else T + wm * MINUTE_US, ended=ended)
    return oracle


def said(oracle: SessionOracle) -> dict[str, list[str]]:
    """By call, the ids in its ledger."""
    found: dict[str, list[str]] = {}
    for row in oracle.ledgers.statements_rows():
        found.setdefault(row["call_id"], []).append(row["outcome_id"])
    return found


def verdicts(oracle: SessionOracle) -> dict[str, str]:
    """By call."""
    return {row["call_id"]: row["verdict"] for row in oracle.ledgers.calls_rows()}


THREE = (call("a", 0), call("b", 1), call("c", 3))


@pytest.mark.parametrize(
    ("scope", "reached"), [("last", ["b"]), ("all", ["a", "b"]), ("root", ["a"]), ("descendants", [])]
)
def test_a_scope_picks_among_the_calls_at_or_before_the_outcome(scope: str, reached: list[str]) -> None:
    assert sorted(said(fed(*THREE, thumb("u", 1, scope), ended=True))) == reached


def test_of_calls_at_one_instant_the_greatest_id_is_the_last_and_the_least_the_root() -> None:
    calls = [call("x", 0), call("y", 0)]
    assert said(fed(*calls, thumb("u", 0), thumb("v", 0, "root"), ended=True)) == {
        "y": ["session:u"],
        "x": ["session:v"],
    }


def test_descendants_are_the_named_call_and_those_whose_chain_of_parents_leads_to_it() -> None:
    tree = [call("d", 1, parent="c"), call("c", 2, parent="b"), call("b", 3, parent="a"), call("a", 4)]
    other = [call("e", 2, parent="gone"), call("f", 2), call("g", 9, parent="b")]
    assert sorted(said(fed(*tree, *other, thumb("u", 5, "descendants", of="b"), ended=True))) == ["b", "c", "d"]


def test_descendants_without_their_call_reach_nothing() -> None:
    late_root = [call("b", 1, parent="a"), call("a", 9)]
    assert said(fed(*late_root, thumb("u", 5, "descendants", of="a"), ended=True)) == {}


def test_a_circle_of_parents_is_harmless() -> None:
    circle = [call("a", 0, parent="b"), call("b", 1, parent="a"), call("c", 2, parent="c")]
    assert sorted(said(fed(*circle, thumb("u", 5, "descendants", of="a"), ended=True))) == ["a", "b"]
    assert sorted(said(fed(*circle, thumb("u", 5, "descendants", of="c"), ended=True))) == ["c"]


def test_an_outcome_beyond_the_horizon_of_the_call_it_is_about_is_late_and_goes_to_no_older_one() -> None:
    rules = replace(RULES, task_horizon_us={"short": MINUTE_US})
    oracle = fed(call("a", 0), call("b", 1, task="short"), thumb("u", 5), thumb("v", 5, "all"), ended=True, rules=rules)
    assert said(oracle) == {"a": ["session:v"]}
    assert [one.reason for one in oracle.sessions.refused] == ["late"]


def test_it_is_resolved_once_the_watermark_is_greater_than_its_time_and_the_wait() -> None:
    assert said(fed(*THREE, thumb("u", 1), wm=6)) == {}
    oracle = fed(*THREE, thumb("u", 1))
    oracle.finish(T + 6 * MINUTE_US + 1, ended=False)
    assert said(oracle) == {"b": ["session:u"]}


def test_the_wait_is_never_longer_than_the_allowed_lateness() -> None:
    rules = replace(RULES, session_wait_us=100 * MINUTE_US)
    edge = [call("a", 0), thumb("u", 30)]
    assert verdicts(fed(*edge, wm=99, rules=rules)) == {"a": "success"}


def test_while_all_partitions_are_at_their_end_it_is_resolved_at_once() -> None:
    assert verdicts(fed(call("a", 0), thumb("u", 1), ended=True)) == {"a": "success"}
    oracle = fed(thumb("u", 1), ended=True)
    oracle.feed(call("a", 0), T)
    assert said(oracle) == {}
    oracle.finish(T + 7 * MINUTE_US, ended=False)
    assert (said(oracle), oracle.counters()["session_late"]) == ({"a": ["session:u"]}, 0)


def test_which_calls_take_part_does_not_depend_on_when_they_came() -> None:
    records = [*THREE, thumb("u", 2, "all")]
    found = [said(fed(*order, ended=True)) for order in permutations(records)]
    assert all(one == found[0] for one in found)


def test_a_call_that_comes_later_does_not_take_part_and_is_counted_once() -> None:
    oracle = fed(call("a", 0), thumb("u", 2, "all"), thumb("v", 2), (call("b", 1), 8))
    assert said(oracle) == {"a": ["session:u", "session:v"]}
    assert oracle.counters()["session_late"] == 1


def test_a_late_call_that_would_not_have_taken_part_is_not_counted() -> None:
    oracle = fed(call("b", 1), thumb("u", 2), (call("a", 0), 8), (call("c", 3), 8))
    assert oracle.counters()["session_late"] == 0


def test_one_that_picked_nothing_is_resolved_with_its_first_call() -> None:
    oracle = fed(thumb("u", 2, "all"), (call("z", 3), 8), (call("a", 0), 9), (call("b", 1), 9))
    assert said(oracle) == {"a": ["session:u"]}
    assert oracle.counters()["session_late"] == 2


def test_one_for_which_no_call_comes_is_an_orphan_at_the_end_of_its_wait_and_owns_no_id() -> None:
    assert fed(thumb("u", 2), wm=22).counters()["waiting"] == 1
    oracle = fed(thumb("u", 2), (thumb("u", 23, success=False), 23), (call("a", 22), 24), wm=29)
    assert oracle.dead() == [("orphan", "s", "u")]
    assert verdicts(oracle) == {"a": "failure"}


def test_one_that_comes_after_its_wait_is_an_orphan_or_late_at_once_but_finds_its_call() -> None:
    old = Said("s", replace(thumb("v", 0).outcome, call_at=T - 90 * MINUTE_US))
    assert fed((thumb("u", 0), 25), (old, 25)).dead() == [("late", "s", "v"), ("orphan", "s", "u")]
    assert verdicts(fed(call("a", 0), (thumb("u", 0), 25))) == {"a": "success"}


def test_a_repeat_is_a_duplicate_before_and_after_it_is_resolved() -> None:
    oracle = fed(call("a", 0), thumb("u", 1), thumb("u", 1), (thumb("u", 1), 9))
    assert said(oracle) == {"a": ["session:u"]}
    assert (oracle.counters()["duplicates"], oracle.counters()["outcomes"]) == (2, 1)


@pytest.mark.parametrize("rules", [RULES, REVISES])
@pytest.mark.parametrize("wm", [2, 9])
def test_other_content_is_a_conflict_or_an_edition_for_the_same_calls(rules: Rules, wm: int) -> None:
    oracle = fed(*THREE, thumb("u", 1), (thumb("u", 4, success=False), wm), ended=True, rules=rules)
    revised = rules is REVISES
    assert said(oracle) == {"b": ["session:u"] * (1 + revised)}
    assert verdicts(oracle)["b"] == ("failure" if revised else "success")
    assert [one.field for one in oracle.sessions.refused] == ([] if revised else ["same_id"])


def test_another_scope_or_named_call_is_a_conflict_but_a_clearing_needs_neither() -> None:
    records = [*THREE, thumb("u", 1, "all"), thumb("u", 2, "last"), thumb("d", 1, "descendants", of="a")]
    cleared = [thumb("d", 2, "descendants", of="b"), thumb("u", 3, success=None)]
    oracle = fed(*records, *cleared, ended=True, rules=REVISES)
    assert [one.field for one in oracle.sessions.refused] == ["scope", "call_id"]
    assert said(oracle)["b"] == ["session:u", "session:u"]
    assert verdicts(oracle) == {"a": "success", "b": "pending", "c": "pending"}


def test_an_id_of_a_session_and_one_of_its_call_are_two() -> None:
    own = Outcome("u", "a", T, "user", success=False)
    assert said(fed(call("a", 0), own, thumb("u", 1), ended=True)) == {"a": ["u", "session:u"]}


def test_an_id_is_free_once_the_horizon_has_passed_its_first_record() -> None:
    again = [(call("b", 40), 40), (thumb("u", 41, success=False), 41)]
    oracle = fed(call("a", 0), thumb("u", 1), *again, wm=50)
    assert (said(oracle), oracle.dead()) == ({"a": ["session:u"], "b": ["session:u"]}, [])


@pytest.mark.parametrize("order", list(permutations([thumb("u", 1, "all"), thumb("v", 2), back("r", 3, "u")])))
@pytest.mark.parametrize("wm", [None, 9])
def test_a_retraction_by_id_goes_to_the_calls_of_its_id_whenever_either_comes(
    order: tuple[Said, ...], wm: int | None
) -> None:
    oracle = fed(*THREE, *((one, wm) for one in order), ended=True) if wm else fed(*THREE, *order, ended=True)
    assert {name: sorted(ids) for name, ids in said(oracle).items()} == {
        "a": ["session:r", "session:u"],
        "b": ["session:r", "session:u", "session:v"],
    }
    assert verdicts(oracle) == {"a": "pending", "b": "success", "c": "pending"}


@pytest.mark.parametrize("order", list(permutations([thumb("u", 0), thumb("v", 2), thumb("w", 4), back("r", 3)])))
@pytest.mark.parametrize("wm", [None, 9])
def test_a_retraction_by_source_goes_to_what_its_voice_said_up_to_its_instant(
    order: tuple[Said, ...], wm: int | None
) -> None:
    votes = [thumb("x", 1, author="ann"), *order]
    oracle = fed(*THREE, *((one, wm) if wm else one for one in votes), ended=True)
    ids = {name: sorted(found) for name, found in said(oracle).items()}
    assert ids == {"a": ["session:r", "session:u"], "b": ["session:r", "session:v", "session:x"], "c": ["session:w"]}
    assert verdicts(oracle) == {"a": "pending", "b": "success", "c": "success"}


def test_a_retraction_that_takes_nothing_back_is_an_orphan() -> None:
    retractions = [back("r", 1, "nothing"), back("q", 1, author="ann"), back("p", 2, "r")]
    oracle = fed(call("a", 0), thumb("u", 1), *retractions, wm=30)
    assert sorted(one.said.outcome.outcome_id for one in oracle.sessions.refused) == ["p", "q", "r"]


def test_a_retraction_on_a_call_may_name_what_its_session_said() -> None:
    own = Outcome("r", "a", T + MINUTE_US, "user", action="retract", retracts="session:u")
    oracle = fed(call("a", 0), call("b", 0), thumb("u", 1, "all"), own, ended=True)
    assert verdicts(oracle) == {"a": "pending", "b": "success"}


def test_a_call_that_the_join_holds_in_no_session_or_another_gets_no_statement() -> None:
    calls = [call("a", 0, session="t"), call("a", 0), call("b", 0, session=None), call("b", 0)]
    oracle = fed(*calls, thumb("u", 1, "all"), ended=True, rules=replace(RULES, completes=False))
    assert (said(oracle), oracle.counters()["session_late"], oracle.counters()["outcomes"]) == ({}, 2, 1)


def test_a_completion_may_bring_the_session_and_the_call_is_in_it_as_of_that_record() -> None:
    rules = replace(RULES, completes=True)
    records = [call("a", 0, session=None), call("b", 1), call("a", 2)]
    assert said(fed(*records, thumb("u", 1), thumb("v", 3), ended=True, rules=rules)) == {
        "b": ["session:u"],
        "a": ["session:v"],
    }


def test_one_outcome_is_one_record_however_many_calls_it_reaches() -> None:
    counters = fed(*THREE, thumb("u", 3, "all"), ended=True).counters()
    assert (counters["records"], counters["calls"], counters["outcomes"]) == (4, 3, 1)


def test_beyond_the_most_calls_the_newest_take_part_and_the_others_are_counted() -> None:
    rules = replace(RULES, most_reached=2)
    oracle = fed(*THREE, thumb("u", 3, "all"), ended=True, rules=rules)
    assert (sorted(said(oracle)), oracle.counters()["session_cut"]) == (["b", "c"], 1)


def test_beyond_the_most_ids_the_oldest_is_forgotten_and_an_orphan_where_it_waits() -> None:
    rules = replace(RULES, most_ids=1)
    oracle = fed(thumb("u", 1), thumb("v", 2), call("a", 0), ended=True, rules=rules)
    assert (said(oracle), oracle.dead()) == ({"a": ["session:v"]}, [("orphan", "s", "u")])


def test_a_statement_is_in_before_its_call_closes_however_far_the_watermark_goes() -> None:
    assert verdicts(fed(call("a", 0), thumb("u", 30), wm=1000)) == {"a": "success"}
    assert verdicts(fed(call("a", 0), thumb("u", 31), wm=1000)) == {"a": "expired"}


def test_its_minute_is_that_of_the_watermark_at_which_it_leaves() -> None:
    oracle = fed(call("a", 0), thumb("u", 1), wm=7)
    (held,) = oracle.ledgers._calls
    assert [arrived.minute for arrived in held.ledger] == [T // MINUTE_US + 7]


def test_an_erased_session_is_new_and_what_waits_in_it_is_a_dead_letter() -> None:
    oracle = fed(call("a", 0), thumb("u", 1), thumb("v", 1, session="t"))
    oracle.sessions.erase(Erase(session_id="s"))
    assert [(one.reason, one.said.session_id) for one in oracle.sessions.refused] == [("erased", "s")]
    oracle.feed(thumb("u", 1, success=False), NEVER)
    assert [one.outcome.outcome_id for one in oracle.sessions.waiting()] == ["v", "u"]
    assert oracle.sessions.advance(NEVER, ended=True) == []


def test_an_erased_call_takes_no_part_and_is_no_parent() -> None:
    oracle = fed(call("a", 0), call("b", 1, parent="a"), call("c", 2, parent="b"), call("d", 3))
    oracle.sessions.erase(Erase(call_id="b"))
    oracle.sessions.erase(Erase(call_id="d"))
    statements = [
        *oracle.sessions.outcome(thumb("u", 4)),
        *oracle.sessions.outcome(thumb("v", 4, "descendants", of="a")),
    ]
    assert statements == []
    resolved = oracle.sessions.advance(NEVER, ended=True)
    assert sorted((one.outcome.outcome_id, one.outcome.call_id) for one in resolved) == [
        ("session:u", "c"), ("session:v", "a"),
    ]  # fmt: skip


def test_what_an_erased_call_was_said_of_does_not_fall_upon_the_call_before() -> None:
    oracle = fed(call("a", 0), call("b", 1), thumb("u", 2), rules=REVISES, ended=True)
    oracle.sessions.erase(Erase(call_id="b"))
    for vote, success in ((2, True), (3, False)):
        assert oracle.sessions.outcome(thumb("u", vote, success=success)) == []
    assert oracle.sessions.advance(T + 30 * MINUTE_US, ended=True) == []
    assert (oracle.sessions.counts["duplicates"], [one.reason for one in oracle.sessions.refused]) == (1, ["orphan"])


def test_an_id_that_names_an_erased_call_is_forgotten_with_it() -> None:
    oracle = fed(call("a", 0), call("b", 1, parent="a"), thumb("u", 2, "descendants", of="a"), thumb("v", 2))
    oracle.sessions.erase(Erase(call_id="a"))
    assert [(one.reason, one.said.outcome.outcome_id) for one in oracle.sessions.refused] == [("erased", "u")]
    assert oracle.counters()["waiting"] == 1
