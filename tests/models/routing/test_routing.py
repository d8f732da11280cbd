"""What routing recommends, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aftercall.records import Alert, Recommendation
from aftercall.times import HOUR_US, MINUTE_US
from models.messages import Group
from models.routing.routing import Routing, RoutingSettings, TaskRouting
from simulated.arms import START, A, B, C, Row, alert, arms, closed, when


def recommend(rows: list[Row], *alerts: Alert, hours: int = 1, **how: Any) -> Recommendation:
    return Routing(RoutingSettings(**how)).close(closed(rows, START + 60 * hours), list(alerts))[-1]


GOOD_AND_BAD = [Row(START, A, 95, 5, 100), Row(START, B, 70, 30, 100), Row(START + 3, C, 80, 20, 100)]


def test_the_better_arm_gets_the_weight_and_the_floor_holds() -> None:
    found = recommend(GOOD_AND_BAD, floor=0.01)
    by_arm = arms(found)
    assert list(by_arm) == [("a", "default"), ("b", "default"), ("c", "v2")]
    assert sum(arm.weight for arm in by_arm.values()) == pytest.approx(1.0, abs=1e-15)
    assert by_arm["a", "default"].weight > 0.95
    assert min(arm.weight for arm in by_arm.values()) >= 0.01 - 1e-9
    assert {arm.status for arm in by_arm.values()} == {"ok"}
    assert by_arm["a", "default"].rate_low < 0.95 < by_arm["a", "default"].rate_high
    assert found.reason.startswith("a is best")


def test_it_is_issued_at_the_boundary_lives_as_set_and_names_itself() -> None:
    found = recommend(GOOD_AND_BAD, every_us=HOUR_US, valid_for_us=2 * HOUR_US)
    assert (found.issued_at, found.valid_until) == (when(START + 60), when(START + 180))
    assert (found.seq, found.task_type) == (1, "triage")
    assert (
        found.recommendation_id == recommend(GOOD_AND_BAD, every_us=HOUR_US, valid_for_us=2 * HOUR_US).recommendation_id
    )
    assert found.recommendation_id != recommend(GOOD_AND_BAD[:2]).recommendation_id


def test_nothing_is_issued_before_the_boundary_nor_twice_for_the_same_evidence() -> None:
    routing = Routing(RoutingSettings(every_us=HOUR_US))
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
    routing = Routing(RoutingSettings(every_us=5 * MINUTE_US))
    before, first = routing.close(closed([*GOOD_AND_BAD, Row(START + 20, B, 1)], START + 60), [incident])
    assert (before.issued_at, first.issued_at) == (when(START + 5), when(START + 11))
    assert before.degraded == []
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
    rows = [Row(START + 60 * hour, A, 9, 1, 10) for hour in range(20)]
    rows += [Row(START + 60 * hour, A, 6, 4, 10) for hour in range(20, 26)]
    rows += [Row(START + 60 * hour, B, 8, 2, 10) for hour in range(26)]
    incident = alert(START + 60 * 25 + 5, changed_at=when(START + 60 * 20))
    found = arms(recommend(rows, incident, hours=26))
    assert found["a", "default"].n == pytest.approx(60, abs=2.5)
    assert found["a", "default"].rate == pytest.approx(0.6, abs=0.001)
    assert found["b", "default"].n > 200


def test_a_recovery_forgets_the_bad_hours_and_a_new_normal_does_not() -> None:
    rows = [Row(START + 60 * hour, A, 5, 5, 10) for hour in range(10)]
    rows += [Row(START + 60 * hour, A, 9, 1, 10) for hour in range(10, 13)]
    for evidence, outcomes in (({"current_after": 0.9}, 30), ({}, 130)):
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
    again = Routing.from_state(Routing.MIGRATIONS[2](Routing.MIGRATIONS[1](old)), settings)
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
    assert none_left.reason.startswith("every arm is over a limit, so the least bad gets all calls: b (costs 0.1 USD")
    assert [(arm.weight, arm.status) for arm in arms(none_left).values()] == [
        (0.0, "over_limit"),
        (1.0, "over_limit"),
        (0.0, "over_limit"),
    ]


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
    weights = [arm.weight for arm in arms(recommend(rows, floor=0.01)).values()]
    assert max(weights) == pytest.approx(1 / 150, abs=1e-6)
    assert sum(weights) == pytest.approx(1, abs=1e-12)
