"""What routing recommends, when, and that message cuts never matter."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import Alert, Recommendation, to_json
from aftercall.times import EPOCH, HOUR_US, MINUTE_US
from models.messages import Closed, Group, TrialDeltas, Values
from models.routing.routing import Routing, RoutingSettings, TaskRouting

START = 491_000 * 60
"""A full hour, in minutes."""
A, B, C = ("triage", "a", "default"), ("triage", "b", "default"), ("triage", "c", "v2")
OTHER_TASK = ("refund", "a", "default")


class Row(NamedTuple):
    minute: int
    group: Group
    successes: int = 0
    failures: int = 0
    calls: int = 1
    latency_ms: float = float("nan")
    cost_usd: float = float("nan")


def closed(rows: list[Row], through: int) -> Closed:
    rows = sorted(rows, key=lambda row: (row.minute, row.group))
    names = sorted({row.group for row in rows}, reverse=True)
    code = np.array([names.index(row.group) for row in rows], np.int32)

    def column(name: str, kind: Any = np.int32) -> Any:
        return np.array([getattr(row, name) for row in rows], kind)

    minute, successes, failures = column("minute"), column("successes"), column("failures")
    trials = TrialDeltas(
        code, minute, np.maximum(successes, 0), np.maximum(failures, 0), successes, failures, column("calls")
    )
    values = Values(
        code,
        minute,
        minute.astype(np.int64) * MINUTE_US,
        np.arange(len(rows), dtype=np.uint64),
        column("latency_ms", float),
        column("cost_usd", float),
        np.full(len(rows), -1),
    )
    return Closed(through, names, trials, values)


def alert(minute: int, group: tuple[str, str | None, str | None] = A, **fields: Any) -> Alert:
    """An alert raised by `minute`."""
    at = when(minute + 1)
    state = fields.pop("state", "opened")
    base: dict[str, Any] = {
        "seq": 1,
        "alert_id": "0" * 31 + "1",
        "state": state,
        "kind": "drift",
        "severity": "warning",
        "opened_at": at,
        "updated_at": at,
        "closed_at": at if state == "closed" else None,
        "task_type": group[0],
        "model": group[1],
        "config": group[2],
        "metric": "success_rate",
        "direction": "down",
        "baseline": 0.9,
        "current": 0.7,
        "effect_low": -0.3,
        "effect_high": -0.1,
        "changed_at": at - timedelta(hours=1),
        "promise": None,
        "reason": "a does worse",
        "evidence": {},
    }
    return Alert.sealed(**(base | fields))


def when(minute: int) -> datetime:
    return EPOCH + timedelta(minutes=minute)


def arms(recommendation: Recommendation) -> dict[tuple[str, str], Any]:
    return {(arm.model, arm.config): arm for arm in recommendation.segments[0].arms}


def recommend(rows: list[Row], *alerts: Alert, hours: int = 1, **how: Any) -> Recommendation:
    return Routing(RoutingSettings(**how)).close(closed(rows, START + 60 * hours), list(alerts))[-1]


GOOD_AND_BAD = [Row(START, A, 95, 5, 100), Row(START, B, 70, 30, 100), Row(START + 3, C, 80, 20, 100)]


def test_the_better_arm_gets_the_weight_and_the_floor_holds() -> None:
    found = recommend(GOOD_AND_BAD)
    by_arm = arms(found)
    assert list(by_arm) == [("a", "default"), ("b", "default"), ("c", "v2")]
    assert sum(arm.weight for arm in by_arm.values()) == pytest.approx(1.0, abs=1e-15)
    assert by_arm["a", "default"].weight > 0.95
    assert min(arm.weight for arm in by_arm.values()) >= 0.01 - 1e-9
    assert {arm.status for arm in by_arm.values()} == {"ok"}
    assert by_arm["a", "default"].rate_low < 0.95 < by_arm["a", "default"].rate_high
    assert found.reason.startswith("a is best")


def test_it_is_issued_at_the_boundary_lives_as_set_and_names_itself() -> None:
    found = recommend(GOOD_AND_BAD, valid_for_us=2 * HOUR_US)
    assert (found.issued_at, found.valid_until) == (when(START + 60), when(START + 180))
    assert (found.seq, found.task_type) == (1, "triage")
    assert found.recommendation_id == recommend(GOOD_AND_BAD, valid_for_us=2 * HOUR_US).recommendation_id
    assert found.recommendation_id != recommend(GOOD_AND_BAD[:2]).recommendation_id


def test_nothing_is_issued_before_the_boundary_nor_twice_for_the_same_evidence() -> None:
    routing = Routing(RoutingSettings())
    assert routing.close(closed(GOOD_AND_BAD, START + 59), []) == []
    assert len(routing.close(closed([], START + 60), [])) == 1
    assert routing.close(closed([], START + 600), []) == []


def test_without_evidence_all_arms_are_drawn_alike_and_the_reason_states_it() -> None:
    found = recommend([Row(START, A, 29, 0), Row(START, B, 1, 20)])
    assert [arm.weight for arm in arms(found).values()] == [0.5, 0.5]
    assert {arm.status for arm in arms(found).values()} == {"exploring"}
    assert "no arm has 30 resolved calls" in found.reason


def test_an_alert_issues_at_once_and_names_the_degraded_arm() -> None:
    incident = alert(START + 10)
    routing = Routing(RoutingSettings())
    first, second = routing.close(closed([*GOOD_AND_BAD, Row(START + 20, B, 1)], START + 60), [incident])
    assert (first.issued_at, second.issued_at) == (when(START + 11), when(START + 60))
    assert arms(first)["a", "default"].status == "degraded"
    assert [(one.model, one.config, one.reason, one.alert_id) for one in first.degraded] == [
        ("a", "default", "a does worse", incident.alert_id)
    ]
    assert "degraded: a" in first.reason


def test_a_closed_alert_ends_the_degradation() -> None:
    found = recommend(GOOD_AND_BAD, alert(START + 10), alert(START + 30, state="closed"))
    assert found.issued_at == when(START + 31)
    assert found.degraded == []


def test_an_alert_on_a_model_degrades_all_its_configs_and_one_on_latency_none() -> None:
    rows = [*GOOD_AND_BAD, Row(START, ("triage", "a", "v2"), 60, 1, 61)]
    found = recommend(rows, alert(START + 10, ("triage", "a", None)))
    assert [(one.model, one.config) for one in found.degraded] == [("a", "default"), ("a", "v2")]
    assert recommend(rows, alert(START + 10, metric="latency_ms", direction="up")).degraded == []


def test_an_alert_on_a_model_over_all_task_types_degrades_it_where_it_is_called() -> None:
    other: Group = ("search", "b", "default")
    rows = [*GOOD_AND_BAD, Row(START, other, 60, 1, 61), Row(START + 20, B, 1)]
    incident = alert(START + 10, ("*", "a", None))
    routing = Routing(RoutingSettings())
    found = routing.close(closed(rows, START + 60), [incident])
    at_once = [one for one in found if one.issued_at == when(START + 11)]
    assert [(one.task_type, [part.model for part in one.degraded]) for one in at_once] == [("triage", ["a"])]
    ended = routing.close(closed([], START + 90), [alert(START + 70, ("*", "a", None), state="closed")])
    assert [(one.task_type, one.degraded) for one in ended] == [("triage", [])]


def test_an_alert_on_a_config_degrades_it_on_all_models() -> None:
    rows = [Row(START, ("triage", model, config), 60, 1, 61) for model in "ab" for config in ("v1", "v2")]
    found = recommend(rows, alert(START + 10, ("triage", None, "v2")))
    assert [(one.model, one.config) for one in found.degraded] == [("a", "v2"), ("b", "v2")]
    assert recommend(rows, alert(START + 10, ("triage", None, None))).degraded == []


def test_a_reset_keeps_only_evidence_since_the_change() -> None:
    rows = [Row(START + 60 * hour, A, 90, 10, 100) for hour in range(20)]
    rows += [Row(START + 60 * hour, A, 60, 40, 100) for hour in range(20, 26)]
    rows += [Row(START + 60 * hour, B, 80, 20, 100) for hour in range(26)]
    incident = alert(START + 60 * 25 + 5, changed_at=when(START + 60 * 20))
    found = arms(recommend(rows, incident, hours=26))
    assert found["a", "default"].n == pytest.approx(600, abs=25)
    assert found["a", "default"].rate == pytest.approx(0.6, abs=0.001)
    assert found["b", "default"].n > 2000


def test_a_recovery_forgets_the_bad_hours_and_a_new_normal_does_not() -> None:
    rows = [Row(START + 60 * hour, A, 50, 50, 100) for hour in range(10)]
    rows += [Row(START + 60 * hour, A, 90, 10, 100) for hour in range(10, 13)]
    for evidence, outcomes in (({"current_after": 0.9}, 300), ({}, 1300)):
        incident = alert(START + 60 * 12 + 5, state="closed", evidence=evidence)
        assert arms(recommend(rows, incident, hours=13))["a", "default"].n == pytest.approx(outcomes, rel=0.05)


def test_withdrawn_outcomes_leave_the_posterior() -> None:
    rows = [Row(START, A, 50, 0, 50), Row(START, B, 40, 10, 50), Row(START + 5, A, -50, 50, 0)]
    found = arms(recommend(rows))
    assert found["a", "default"].rate == 0.0
    assert found["a", "default"].n == 50


def test_older_outcomes_weigh_less() -> None:
    rows = [Row(START, A, 1000, 0, 1000), Row(START + 7 * 24 * 60, A, 0, 100, 100)]
    found = arms(recommend(rows, hours=7 * 24 + 1))
    assert found["a", "default"].n == pytest.approx(1000 / np.e + 100, abs=3)


def test_an_arm_that_is_not_called_any_more_is_dropped() -> None:
    rows = [*GOOD_AND_BAD, Row(START + 8 * 24 * 60, A, 1)]
    assert list(arms(recommend(rows, hours=8 * 24 + 1))) == [("a", "default")]


def test_of_too_many_arms_those_with_most_calls_compete_ties_by_name() -> None:
    calls = {"a": 40, "b": 50, "c": 40, "d": 40, "e": 10}
    rows = [Row(START, ("triage", model, "default"), 9, 1, count) for model, count in calls.items()]
    found = recommend(rows, max_arms=3)
    assert [model for model, _ in arms(found)] == ["a", "b", "c"]
    assert sum(arm.weight for arm in arms(found).values()) == pytest.approx(1.0)
    assert "2 other arms have fewer calls and do not compete" in found.reason
    assert "do not compete" not in recommend(rows, max_arms=5).reason
    pinned = recommend(rows, max_arms=3, tasks={"triage": TaskRouting(pinned=("e", "default"))})
    assert arms(pinned)["e", "default"].weight == 1.0


def test_calls_count_whose_outcomes_are_still_out() -> None:
    rows = [Row(START, A, 9, 1, 10), Row(START, B, 9, 1, 10), Row(START, C, 0, 0, 50)]
    assert list(arms(recommend(rows, max_arms=2))) == [("a", "default"), ("c", "v2")]


def test_a_state_without_counts_of_calls_goes_on_with_the_resolved_ones() -> None:
    routing, settings = Routing(RoutingSettings()), RoutingSettings(max_arms=1)
    routing.close(
        closed([Row(START, A, 9, 1, 10), Row(START, B, 29, 1, 30), Row(START + 61, A, 1, 0, 1)], START + 62), []
    )
    old = routing.state()
    evidence = old["tasks"]["triage"]["evidence"]
    evidence |= {name: evidence[name][:6] for name in ("open", "settled")}
    evidence["history"] = [(hour, active, counts[:6]) for hour, active, counts in evidence["history"]]
    again = Routing.from_state(Routing.MIGRATIONS[1](old), settings)
    (found,) = again.close(closed([], START + 120), [])
    assert list(arms(found)) == [("b", "default")]


def test_folded_groups_are_never_arms() -> None:
    rows = [*GOOD_AND_BAD, Row(START, ("triage", "__other__", "__other__"), 99, 1, 100)]
    assert len(arms(recommend(rows))) == 3
    folded = [Row(START, ("__other__", "__other__", "__other__"), 99)]
    assert Routing(RoutingSettings()).close(closed(folded, START + 60), []) == []


def test_arms_over_their_limits_get_nothing() -> None:
    rows = [Row(START + i, A, 1, 0, 1, 900.0, 0.5) for i in range(40)]
    rows += [Row(START + i, B, 1, 0, 1, 100.0, 0.1) for i in range(40)]
    rows += [Row(START + i, C, i % 2, 1 - i % 2, 1, 100.0, 0.1) for i in range(40)]
    for limit in (TaskRouting(max_cost_usd=0.3), TaskRouting(max_latency_ms=500.0)):
        found = arms(recommend(rows, tasks={"triage": limit}))
        assert found["a", "default"].status == "over_limit"
        assert found["a", "default"].weight == 0.0
        assert found["b", "default"].weight > 0.9
    none_left = recommend(rows, tasks={"triage": TaskRouting(max_cost_usd=0.01)})
    assert "limits are left out" in none_left.reason
    assert sum(arm.weight for arm in arms(none_left).values()) == pytest.approx(1)


def test_with_a_value_the_cheaper_arm_may_win() -> None:
    rows = [Row(START + i, A, 10, 0, 10, cost_usd=0.5) for i in range(50)]
    rows += [Row(START + i, B, 9, 1, 10, cost_usd=0.01) for i in range(50)]
    assert arms(recommend(rows))["a", "default"].weight > 0.9
    assert arms(recommend(rows, tasks={"triage": TaskRouting(value=1.0)}))["b", "default"].weight > 0.9
    assert arms(recommend(rows, tasks={"triage": TaskRouting(value=100.0)}))["a", "default"].weight > 0.9


def test_a_pinned_arm_gets_everything_even_before_its_first_call() -> None:
    for pinned in (("b", "default"), ("new", "v1")):
        found = recommend(GOOD_AND_BAD, tasks={"triage": TaskRouting(pinned=pinned)})
        assert (arms(found)[pinned].weight, arms(found)[pinned].status) == (1.0, "pinned")
        assert sum(arm.weight for arm in arms(found).values()) == 1.0


def test_more_arms_than_the_floor_allows_are_drawn_alike() -> None:
    rows = [Row(START, ("triage", f"m{i:03}", "default"), 50, i % 50, 100) for i in range(150)]
    weights = [arm.weight for arm in arms(recommend(rows)).values()]
    assert max(weights) == pytest.approx(1 / 150, abs=1e-6)
    assert sum(weights) == pytest.approx(1, abs=1e-12)


minutes = st.integers(START, START + 60 * 30) | st.integers(START + 60, START + 150)
"""Spread out, and crowded into few hours, so that cuts fall between rows of one hour."""
groups = st.sampled_from([A, B, C, OTHER_TASK, ("triage", "__other__", "__other__")])
histories = st.lists(
    st.builds(
        Row,
        minutes,
        groups,
        st.integers(-30, 60),
        st.integers(-30, 30),
        st.integers(0, 60),
        st.sampled_from([float("nan"), 0.1, 333.333, 5e12]),
        st.sampled_from([float("nan"), 0.0, 1 / 3, 1e6]),
    ),
    max_size=40,
    unique_by=lambda row: (row.minute, row.group),
)
raised = st.lists(
    st.builds(
        lambda minute, group, state, back, direction, number, evidence: alert(
            minute,
            group,
            state=state,
            direction=direction,
            alert_id=f"{number:032x}",
            evidence=evidence,
            changed_at=when(minute - back),
        ),
        st.integers(START, START + 60 * 30),
        st.sampled_from(
            [A, B, ("triage", "a", None), ("triage", None, None), OTHER_TASK, ("*", "a", None), ("*", None, "v2")]
        ),
        st.sampled_from(["opened", "updated", "closed"]),
        st.integers(0, 2000),
        st.sampled_from(["up", "down"]),
        st.integers(0, 2),
        st.sampled_from([{}, {"current_after": 0.9}]),
    ),
    max_size=5,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    histories,
    raised,
    st.sets(minutes, max_size=12),
    st.booleans(),
    st.sampled_from([HOUR_US, 25 * MINUTE_US, 6 * HOUR_US, 90_000_000]),
)
def test_recommendations_do_not_depend_on_how_minutes_are_cut(
    rows: list[Row],
    alerts: list[Alert],
    cuts: set[int],
    resume: bool,  # noqa: FBT001 - drawn by Hypothesis
    every_us: int,
) -> None:
    how = RoutingSettings(every_us=every_us, tasks={"refund": TaskRouting(value=0.5, max_cost_usd=100.0)})
    alerts.sort(key=lambda one: (one.updated_at, one.alert_id, one.event_id))
    end = START + 60 * 32
    whole = Routing(how).close(closed(rows, end), alerts)
    routing = Routing(how)
    pieces: list[Recommendation] = []
    previous = 0
    for through in sorted({*cuts, end}):
        part = [row for row in rows if previous <= row.minute < through]
        emitted = [one for one in alerts if when(previous) < one.updated_at <= when(through)]
        pieces += routing.close(closed(part, through), emitted)
        if resume:
            routing = Routing.from_state(routing.state(), how)
        previous = through
    assert [to_json(one) for one in pieces] == [to_json(one) for one in whole]


def test_minute_by_minute_gives_the_same_as_one_message_where_rows_are_dense() -> None:
    rng = np.random.default_rng(1)
    rows = [
        Row(START + minute, group, int(rng.integers(-9, 10)), int(rng.integers(-9, 10)), 5, 1 / 3, rng.random())
        for minute in range(300)
        for group in (A, B, C)
    ]
    alerts = [alert(START + 100, changed_at=when(START + 30)), alert(START + 200, state="closed")]
    whole = Routing(RoutingSettings(min_evidence=1)).close(closed(rows, START + 300), alerts)
    routing = Routing(RoutingSettings(min_evidence=1))
    pieces: list[Recommendation] = []
    for minute in range(300):
        emitted = [one for one in alerts if one.updated_at == when(START + minute + 1)]
        pieces += routing.close(closed(rows[3 * minute : 3 * minute + 3], START + minute + 1), emitted)
    assert len(whole) == 7
    assert [to_json(one) for one in pieces] == [to_json(one) for one in whole]


@pytest.mark.statistics
@pytest.mark.slow
def test_regret_after_a_drop_stays_far_below_a_router_that_does_not_learn() -> None:
    rng = np.random.default_rng(20261120)
    rates = {A: 0.85, B: 0.82, C: 0.75}
    routing = Routing(RoutingSettings(memory_us=24 * HOUR_US))
    weights = dict.fromkeys(rates, 1 / 3)
    lost = fixed = calls = 0.0
    hours = 96
    for hour in range(hours):
        truth = rates | ({A: 0.70} if hour >= hours // 2 else {})
        best = max(truth.values())
        rows = []
        for group, weight in weights.items():
            n = int(rng.poisson(1000 * weight))
            wins = int(rng.binomial(n, truth[group]))
            rows.append(Row(START + 60 * hour, group, wins, n - wins, n))
            lost += n * (best - truth[group])
            calls += n
        fixed += 1000 * (best - truth[A])
        emitted = [alert(START + 60 * hour + 30, A)] if hour == hours // 2 + 2 else []
        found = routing.close(closed(rows, START + 60 * (hour + 1)), emitted)[-1]
        weights = {("triage", *arm): entry.weight for arm, entry in arms(found).items()}
    assert 1000 * lost / calls < 12
    assert lost < fixed / 4
