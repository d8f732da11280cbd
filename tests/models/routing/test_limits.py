"""An arm is over a limit only where it surely is."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from models.routing.facts import ArmFacts, Usage
from models.routing.limits import excess, mean_low
from models.routing.recommendation import decide
from models.routing.routing import Routing, RoutingSettings
from models.routing.wanted import TaskRouting
from simulated.arms import START, A, B, C, Row, alert, arms, closed

SURE = 30
DEAR = TaskRouting(max_cost_usd=0.3)


def test_the_first_dear_calls_do_not_rule_an_arm_out() -> None:
    for calls in range(1, SURE):
        uses = Usage(cost_usd=5.0, costed=calls, cost_spread=0.0)
        assert excess(uses, 1.0, 0.0, DEAR, SURE) is None
    found = excess(Usage(cost_usd=5.0, costed=SURE), 1.0, 0.0, DEAR, SURE)
    assert found is not None
    assert found.words == "costs 5 USD a call, at most 0.3 wanted"


def test_one_call_that_was_very_dear_does_not_rule_an_arm_out() -> None:
    """One call of 30 USD among 60 of 0.1: the mean of 0.6 is twice the limit, and says nothing."""
    mean = (30 + 59 * 0.1) / 60
    spread = (30**2 + 59 * 0.01) / 60 - mean**2
    assert mean > 0.5
    assert excess(Usage(mean, 60, spread), 1.0, 0.0, DEAR, SURE) is None


@pytest.mark.statistics
def test_an_arm_just_within_its_limit_is_hardly_ever_over_it_and_one_beyond_is_found() -> None:
    """Costs with a coefficient of variation of 1, as calls of an agent have, looked at after every call."""
    rng = np.random.default_rng(7)
    wrong = right = 0
    for _ in range(400):
        costs = rng.exponential(0.3, 500)
        wrong += any(over(costs[:n], 0.3) for n in range(SURE, 500, 5))
        right += over(2 * costs[:200], 0.3)
    assert wrong / 400 < 0.05
    assert right / 400 > 0.95


def over(costs: np.ndarray, limit: float) -> bool:
    return mean_low(float(costs.mean()), float(costs.var()), len(costs)) > limit


def test_latency_of_95_percent_is_judged_by_the_share_of_slow_calls() -> None:
    wanted = TaskRouting(max_latency_p95_ms=1000)
    for calls, slow, is_over in (
        (100, 5, False),
        (100, 12, False),
        (100, 25, True),
        (29, 29, False),
        (5000, 350, True),
    ):
        found = excess(Usage(latency_ms=500.0, timed=calls, slow=slow), 1.0, 0.0, wanted, SURE)
        assert (found is not None) is is_over, (calls, slow)
    found = excess(Usage(latency_ms=500.0, timed=100, slow=25), 1.0, 0.0, wanted, SURE)
    assert found is not None
    assert found.words == "takes over 1,000 ms in 25 % of calls, at most 5 % wanted"


def test_the_least_rate_is_missed_where_the_interval_lies_below() -> None:
    wanted = TaskRouting(min_success_rate=0.8)
    poor, unsure = ArmFacts(50, 50), ArmFacts(14, 8)
    found = decide({("a", "x"): poor, ("b", "x"): ArmFacts(90, 10), ("c", "x"): unsure}, [], wanted, 0.0, 30)
    assert [arm["status"] for arm in found.arms] == ["over_limit", "ok", "exploring"]
    assert found.arms[0]["weight"] == 0.0
    assert "over a limit: a/x succeeds less than 80 % of the time" in found.reason


def test_the_least_bad_of_arms_that_are_all_over_a_limit_has_every_call() -> None:
    facts = {
        ("a", "x"): ArmFacts(90, 10, uses=Usage(cost_usd=3.0, costed=100)),
        ("b", "x"): ArmFacts(60, 40, uses=Usage(cost_usd=0.5, costed=100)),
        ("c", "x"): ArmFacts(99, 1, uses=Usage(cost_usd=9.0, costed=100)),
    }
    found = decide(facts, [], DEAR, 0.05, 30)
    assert [(arm["weight"], arm["status"]) for arm in found.arms] == [
        (0.0, "over_limit"),
        (1.0, "over_limit"),
        (0.0, "over_limit"),
    ]
    assert found.reason == (
        "every arm is over a limit, so the least bad gets all calls: b/x (costs 0.5 USD a call, at most 0.3 wanted)"
    )


def test_a_pinned_arm_stays_pinned_over_its_limit() -> None:
    facts = {("a", "x"): ArmFacts(90, 10, uses=Usage(cost_usd=3.0, costed=100)), ("b", "x"): ArmFacts(60, 40)}
    (one, other) = decide(facts, [], TaskRouting(max_cost_usd=0.3, pinned=("a", "x")), 0.0, 30).arms
    assert (one["weight"], one["status"], other["weight"]) == (1.0, "pinned", 0.0)


def test_denied_arms_are_left_out_also_where_nothing_else_is_left() -> None:
    facts = {("a", "x"): ArmFacts(90, 10), ("b", "x"): ArmFacts(60, 40), ("b", "y"): ArmFacts(60, 40)}
    found = decide(facts, [], TaskRouting(deny=(re.compile("a/.*"),)), 0.0, 30)
    assert [(arm["model"], arm["config"]) for arm in found.arms] == [("b", "x"), ("b", "y")]
    assert sum(arm["weight"] for arm in found.arms) == 1.0
    assert found.reason.endswith("1 arm is not allowed")
    none = decide(facts, [], TaskRouting(allow=(re.compile("z/.*"),)), 0.0, 30)
    assert none.segments == [{"segment": None, "arms": []}]
    assert none.reason == "none of the 3 arms that are called is allowed, so none is drawn"


def test_where_every_arm_is_denied_recommendations_go_on_without_arms() -> None:
    routing = Routing(RoutingSettings(tasks={"triage": TaskRouting(allow=(re.compile("z/.*"),))}))
    for hour in range(3):
        rows = [Row(START + 60 * hour, group, 90, 10, 100) for group in (A, B)]
        found = routing.close(closed(rows, START + 60 * (hour + 1)), [alert(START + 60 * hour + 5)])
        assert [one.segments[0].arms for one in found] == [[]] * len(found)
        assert found[-1].reason.startswith("none of the 2 arms")


def test_a_second_of_latency_costs_what_it_is_said_to() -> None:
    """The arm with the greatest `value p - cost - latency_weight seconds`."""
    facts = {
        ("fast", "x"): ArmFacts(4000, 1000, uses=Usage(0.01, 5000, 0.0, 500.0, 5000)),
        ("slow", "x"): ArmFacts(4250, 750, uses=Usage(0.01, 5000, 0.0, 4000.0, 5000)),
    }

    def weights(**wanted: float) -> list[float]:
        return [arm["weight"] for arm in decide(facts, [], TaskRouting(**wanted), 0.0, 30).arms]  # type: ignore[arg-type]

    assert weights(value=1.0)[1] > 0.99
    # 3.5 s for 5 points: worth it up to 1.4 cents a second.
    assert weights(value=1.0, latency_weight=0.005)[1] > 0.99
    assert weights(value=1.0, latency_weight=0.03)[0] > 0.99
    assert weights(value=10.0, latency_weight=0.03)[1] > 0.99


def test_few_dear_calls_do_not_take_an_arm_out_of_the_utility() -> None:
    facts = {
        ("a", "x"): ArmFacts(900, 100, uses=Usage(0.1, 1000)),
        ("b", "x"): ArmFacts(30, 2, uses=Usage(3.0, 1)),
    }
    found = decide(facts, [], TaskRouting(value=5.0), 0.0, 30)
    assert found.arms[1]["weight"] > 0.05


def test_what_calls_take_is_read_from_closed_minutes() -> None:
    rng = np.random.default_rng(3)
    rows = [
        Row(START + i % 50, group, 4, 1, 5, float(latency * rng.uniform(0.9, 1.1)), 0.1)
        for group, latency in ((A, 3000.0), (B, 400.0), (C, 500.0))
        for i in range(50)
    ]
    rows = list({(row.minute, row.group): row for row in rows}.values())
    how = RoutingSettings(tasks={"triage": TaskRouting(max_latency_p95_ms=1000.0)})
    found = Routing(how).close(closed(rows, START + 60), [])[-1]
    assert arms(found)["a", "default"].status == "over_limit"
    assert "a takes over 1,000 ms in 100 % of calls" in found.reason
    assert math.isclose(sum(arm.weight for arm in arms(found).values()), 1.0)
