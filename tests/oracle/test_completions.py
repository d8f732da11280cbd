"""Completions and attempts, sentence by sentence of decision 0020."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oracle.records import MINUTE_US, Attempt, Call, Rules, parse
from oracle.replay import Oracle
from oracle.tables import GRAIN_US
from oracle.votes import BASE, CALL, LATENESS, H, M, T, fed, retract, vote

SECOND = 1_000_000
DAY = 86_400 * SECOND
RULES = BASE
LONG = replace(RULES, horizon_us=30 * DAY)
GROUP = ("task", "model", "default")


def row(oracle: Oracle) -> dict[str, object]:
    """The only call."""
    (found,) = oracle.calls_rows()
    return found


def counted(oracle: Oracle) -> tuple[int, int, int, int]:
    """(calls, completed, duplicates, conflicts)."""
    counters = oracle.counters()
    return counters["calls"], counters["completed"], counters["duplicates"], counters["conflicts"]


# Completions


def test_a_second_record_fills_what_the_first_lacks() -> None:
    end = Call("c", T, cost_usd=0.5, tokens=7, session_id="s", attrs={"response_model": "m-2"})
    oracle = fed(CALL, end, rules=RULES)
    assert counted(oracle) == (1, 1, 0, 0)
    filled = row(oracle)
    assert (filled["cost_usd"], filled["tokens"], filled["session_id"]) == (0.5, 7, "s")
    assert filled["attrs"] == {"response_model": "m-2"}


def test_the_first_value_of_a_field_stays() -> None:
    oracle = fed(CALL, Call("c", T, cost_usd=0.5), Call("c", T, cost_usd=0.7, tokens=1), rules=RULES)
    assert counted(oracle) == (1, 2, 0, 0)
    assert (row(oracle)["cost_usd"], row(oracle)["tokens"]) == (0.5, 1)


def test_a_record_that_fills_nothing_is_a_duplicate() -> None:
    given = Call("c", T, cost_usd=0.5, latency_ms=1.0)
    for again in (CALL, given, Call("c", T + 1), Call("c", T, cost_usd=0.7), Call("c", T, attrs={})):
        assert counted(fed(given, again, rules=RULES)) == (1, 0, 1, 0)


def test_a_field_whose_value_is_kept_nowhere_is_filled_once_too() -> None:
    end = Call("c", T, unkept=frozenset({"output"}))
    assert counted(fed(CALL, end, end, rules=RULES)) == (1, 1, 1, 0)


@pytest.mark.parametrize("said", [b"0", b"3", b"[]", b"null"])
def test_a_number_of_tool_calls_keeps_no_place_from_what_they_did(said: bytes) -> None:
    line = b'{"call_id":"c","occurred_at":"2025-03-01T12:00:00Z","task_type":"t","model":"m","tool_calls":%b}'
    start, end = parse("calls", line % said), parse("calls", line % b'[{"name":"search"}]')
    assert counted(fed(start, end, end, rules=RULES)) == (1, 1, 1, 0)
    assert counted(fed(end, start, rules=RULES)) == (1, 0, 1, 0)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (Call("c", T, task_type="x"), "task_type"),
        (Call("c", T, model="x", config="y"), "model"),
        (Call("c", T, config="x"), "config"),
        (Call("c", T, segment="x"), "segment"),
        (Call("c", T, error="x"), "error"),
        (Call("c", T, session_id="x"), "session_id"),
        (Call("c", T + DAY + 1), "occurred_at"),
        (Call("c", T - DAY - 1), "occurred_at"),
    ],
)
def test_a_record_of_something_else_is_a_conflict_that_names_the_field(other: Call, named: str) -> None:
    oracle = fed(Call("c", T, error="e", session_id="s"), other, rules=LONG)
    assert (counted(oracle), oracle.named()) == ((1, 0, 0, 1), [named])


@pytest.mark.parametrize("apart", [DAY, -DAY])
def test_the_instants_may_be_a_day_apart(apart: int) -> None:
    assert counted(fed(CALL, Call("c", T + apart), rules=LONG)) == (1, 1, 0, 0)


@pytest.mark.parametrize("apart", [1_500_000, -1_500_000])
def test_the_owners_time_stands_and_the_other_sets_the_latency_where_none_is_given(apart: int) -> None:
    oracle = fed(CALL, Call("c", T + apart), rules=RULES)
    assert (row(oracle)["occurred_at"], row(oracle)["latency_ms"]) == (T, 1500.0)
    for one, two in (
        (CALL, Call("c", T + apart, latency_ms=3.0)),
        (replace(CALL, latency_ms=3.0), Call("c", T + apart)),
    ):
        assert row(fed(one, two, rules=RULES))["latency_ms"] == 3.0


def test_detectors_take_a_value_once_when_it_comes() -> None:
    end = Call("c", T + SECOND, cost_usd=0.5, tokens=7)
    oracle = fed(replace(CALL, tokens=3), (end, T + 7 * MINUTE_US), (end, T + 9 * MINUTE_US), rules=RULES)
    assert oracle.values() == {
        (GROUP, M, T, "c", 0, "tokens", 3): 1,
        (GROUP, M + 7, T, "c", 0, "latency_ms", 1000.0): 1,
        (GROUP, M + 7, T, "c", 0, "cost_usd", 0.5): 1,
    }
    tried = fed(replace(CALL, attempts=(Attempt("large", None, "429", 90.0, 0.25),)), rules=RULES)
    group = ("task", "large", "default")
    assert set(tried.values()) == {(group, M, T, "c", 1, "latency_ms", 90.0), (group, M, T, "c", 1, "cost_usd", 0.25)}


def test_no_count_moves_to_another_window() -> None:
    hour = GRAIN_US["1h"]
    start = Call("c", hour * 400_000 - SECOND)
    oracle = fed(start, Call("c", start.at + 2 * SECOND, cost_usd=0.25), rules=RULES)
    windows = [(r["window_start"], r["calls"], r["cost_nano"]) for r in oracle.rates_rows("1h")]
    assert windows == [(hour * 399_999, 1, 250_000_000)]


def test_a_late_error_is_the_implicit_failure_from_its_own_effective_minute_on() -> None:
    end = Call("c", T + SECOND, error="timeout")
    oracle = fed(CALL, (end, T + 7 * MINUTE_US), rules=RULES)
    assert oracle.trials() == {GROUP: {M + 7: (0, 1)}}
    assert (row(oracle)["verdict"], row(oracle)["verdict_source"], row(oracle)["verdict_at"]) == ("failure", "call", T)
    verdict = oracle.newest_verdicts()["c"]
    assert (verdict["seq"], verdict["reason"], verdict["age_s"]) == (0, "timeout", 0.0)


def test_what_a_completion_brings_counts_no_earlier_than_its_call() -> None:
    start = Call("c", T - MINUTE_US, error="timeout", model="backup", attempts=(Attempt("large", None, "429"),))
    assert fed(Call("c", T, model="backup"), start, rules=RULES).trials() == {
        ("task", "backup", "default"): {M: (0, 1)},
        ("task", "large", "default"): {M: (0, 1)},
    }


def test_a_late_error_takes_back_no_trial_and_changes_no_verdict_that_stands() -> None:
    end = Call("c", T + SECOND, error="timeout")
    oracle = fed(CALL, vote("1", 1), (end, T + 7 * MINUTE_US), rules=RULES)
    assert oracle.trials() == {GROUP: {M: (1, 0)}}
    assert row(oracle)["verdict"] == "success"
    back = fed(CALL, vote("1", 1), retract("2", 2), (end, T + 7 * MINUTE_US), rules=RULES)
    assert back.trials() == {GROUP: {M + 7: (0, 1)}}


def test_verdict_and_revisions_do_not_depend_on_whether_the_error_came_before_the_statements() -> None:
    end = Call("c", T + SECOND, error="timeout")
    one, two = fed(CALL, vote("1", 1), end, rules=RULES), fed(CALL, end, vote("1", 1), rules=RULES)
    assert row(one) == row(two)
    assert row(one)["revisions"] == 1
    assert one.newest_verdicts() == two.newest_verdicts()


def test_a_late_error_that_changes_no_verdict_issues_none() -> None:
    end = Call("c", T + SECOND, error="timeout")
    (seen,) = fed(CALL, vote("1", 1), end, rules=RULES).issued().values()
    assert [one["seq"] for one in seen] == [1]
    (seen,) = fed(CALL, end, vote("1", 1), rules=RULES).issued().values()
    assert [(one["seq"], one["verdict"]) for one in seen] == [(0, "failure"), (1, "success")]


def test_a_record_of_a_held_call_is_never_too_old_where_it_completes_it() -> None:
    end, start = Call("c", T + MINUTE_US), Call("c", T)
    closed = T + H + LATENESS + 1
    assert counted(fed(end, (start, closed), rules=RULES)) == (1, 1, 0, 0)
    other = fed(end, (replace(start, model="x"), closed), rules=RULES)
    assert [dead.reason for dead in other.dead()] == ["too_old"]


def test_after_the_call_has_closed_its_id_is_free() -> None:
    closed = T + H + LATENESS + 1
    assert counted(fed(CALL, (Call("c", T + MINUTE_US), closed), rules=RULES)) == (2, 0, 0, 0)
    assert [dead.reason for dead in fed(CALL, (CALL, closed), rules=RULES).dead()] == ["too_old"]


def test_a_late_error_makes_an_incomplete_call_a_failure() -> None:
    rules = replace(RULES, require=("safety",))
    end = Call("c", T + SECOND, error="timeout")
    assert row(fed(CALL, vote("1", 1), end, rules=rules))["verdict_source"] == "call"
    assert row(fed(CALL, vote("1", 1, source="safety"), end, rules=rules))["verdict_source"] == "safety"


# Attempts

TRIED = Call(
    "c",
    T,
    model="backup",
    config="v1",
    session_id="s",
    segment="long",
    attempts=(
        Attempt("large", None, "429", 90.0, 0.25),
        Attempt("middle", "v2", None),
        Attempt("small", "v2", "timeout"),
    ),
)


def test_each_failed_attempt_is_a_row_with_the_calls_id_time_and_task_type() -> None:
    rows = fed(TRIED, rules=RULES).calls_rows()
    names = ("call_id", "attempt", "occurred_at", "task_type", "model", "config", "segment", "session_id", "error")
    assert [tuple(r[name] for name in names) for r in rows] == [
        ("c", 0, T, "task", "backup", "v1", "long", "s", None),
        ("c", 1, T, "task", "large", "v1", "long", "s", "429"),
        ("c", 3, T, "task", "small", "v2", "long", "s", "timeout"),
    ]
    verdicts = [(r["verdict"], r["verdict_source"], r["verdict_at"], r["statements"]) for r in rows[1:]]
    assert verdicts == [("failure", "call", T, 0)] * 2


def test_an_attempt_is_decided_at_once_and_takes_no_outcomes() -> None:
    oracle = fed(TRIED, vote("1", 1), rules=RULES, wm=T + 5 * H)
    assert [r["verdict"] for r in oracle.calls_rows()] == ["success", "failure", "failure"]
    assert list(oracle.newest_verdicts()) == ["c"]
    counters = oracle.counters()
    assert (counters["calls"], counters["attempts"], counters["successes"], counters["failures"]) == (1, 2, 1, 2)


def test_an_attempt_counts_in_rates_and_trials_of_its_own_group() -> None:
    oracle = fed(TRIED, vote("1", 1), rules=RULES)
    rates = {(r["model"], r["config"]): (r["calls"], r["successes"], r["failures"]) for r in oracle.rates_rows("1h")}
    assert rates == {("backup", "v1"): (1, 1, 0), ("large", "v1"): (1, 0, 1), ("small", "v2"): (1, 0, 1)}
    costs = {r["model"]: r["cost_nano"] for r in oracle.rates_rows("1h")}
    assert costs == {"backup": 0, "large": 250_000_000, "small": 0}
    assert oracle.trials() == {
        ("task", "backup", "v1"): {M: (1, 0)},
        ("task", "large", "v1"): {M: (0, 1)},
        ("task", "small", "v2"): {M: (0, 1)},
    }
    assert set(oracle.responses()["statements"]) == {(("task", "backup", "v1"), M, "user", True, 0)}


def test_attempts_are_not_made_twice_and_may_come_with_the_second_record() -> None:
    assert counted(fed(TRIED, TRIED, rules=RULES)) == (1, 0, 1, 0)
    oracle = fed(replace(TRIED, attempts=()), (TRIED, T + 7 * MINUTE_US), TRIED, rules=RULES)
    assert counted(oracle) == (1, 1, 1, 0)
    assert oracle.counters()["attempts"] == 2
    assert oracle.trials()[("task", "large", "v1")] == {M + 7: (0, 1)}


@pytest.mark.parametrize("wm", [T + H + LATENESS + 1])
def test_a_refused_call_makes_no_attempts(wm: int) -> None:
    assert fed((TRIED, wm), rules=RULES).counters()["attempts"] == 0
    assert fed(CALL, TRIED, rules=RULES).counters()["attempts"] == 0


def test_silence_and_required_sources_leave_attempts_alone() -> None:
    rules: Rules = replace(RULES, task_horizon_us={"task": H}, silence={"task": "success"}, require=("safety",))
    oracle = fed(TRIED, rules=rules, wm=T + 5 * H)
    assert [r["verdict"] for r in oracle.calls_rows()] == ["expired", "failure", "failure"]
