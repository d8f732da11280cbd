"""What holds of every decision."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import Recommendation
from aftercall.times import to_datetime
from models.routing.recommendation import ArmFacts, Usage, decide
from models.routing.wanted import TaskRouting
from models.stats.segment_shares import SegmentShares
from simulated.arms import START, alert

names = st.sampled_from([(model, config) for model in "abcd" for config in ("default", "v2")])
amounts = st.just(0.0) | st.floats(1e-6, 5000)
uses = st.builds(
    Usage,
    st.none() | st.floats(0, 10, allow_subnormal=False),
    st.floats(0.5, 500),
    st.floats(0, 4),
    st.none() | st.floats(0, 9000, allow_subnormal=False),
    st.floats(0.5, 500),
    st.floats(0, 1e6),
    st.just(0.0) | st.floats(0.01, 300),
)
facts = st.builds(ArmFacts, amounts, amounts, st.floats(1, 20), uses, st.sampled_from([0, 0, 0.02, 0.5]), st.booleans())
limits = st.none() | st.floats(0, 5)
patterns = st.lists(st.sampled_from(["a/.*", "b/.*", ".*/v2", "c/default"]).map(re.compile), max_size=2).map(tuple)
asked = st.builds(
    TaskRouting,
    value=st.none() | st.floats(0.01, 20),
    latency_weight=st.sampled_from([0.0, 0.1]),
    max_cost_usd=limits,
    max_latency_p95_ms=st.none() | st.just(1000.0),
    min_success_rate=st.none() | st.floats(0, 1),
    deny=patterns,
    segments=st.sampled_from([(), ("long",), ("long", "short")]),
)
scopes = st.tuples(st.none() | st.sampled_from("abcd"), st.none() | st.sampled_from(["default", "v2"]))


@settings(max_examples=250, deadline=None)
@given(st.data(), st.dictionaries(names, facts, min_size=1, max_size=6), asked, st.sampled_from([0, 0.01, 0.3]))
def test_weights_sum_to_one_and_none_goes_where_none_may(
    data: st.DataObject, known: dict[tuple[str, str], ArmFacts], wanted: TaskRouting, floor: float
) -> None:
    silenced = data.draw(st.lists(scopes, max_size=2))
    alerts = [
        alert(START, ("triage", *scope), kind="volume", metric="responses", alert_id=f"{at:032x}")
        for at, scope in enumerate(silenced)
    ]
    rates = data.draw(st.lists(st.floats(0, 1), min_size=2 * len(known), max_size=2 * len(known)))
    table = np.array(rates[: len(known) * len(wanted.segments)]).reshape(len(wanted.segments), len(known))
    shares = SegmentShares(table / 2, table / 2)
    before = decide(known, [], wanted, floor, 30, None, shares).weights
    found = decide(known, alerts, wanted, floor, 30, before, shares, "triage")
    for listed in found.segments:
        arms = {(arm["model"], arm["config"]): arm for arm in listed["arms"]}
        assert set(arms) == {arm for arm in known if wanted.allows(arm)}
        if not arms:
            continue
        weights = {arm: one["weight"] for arm, one in arms.items()}
        assert abs(sum(weights.values()) - 1) < 1e-12
        assert min(weights.values()) >= 0
        status = {arm: one["status"] for arm, one in arms.items()}
        able = [arm for arm in arms if not known[arm].retired] or list(arms)
        inside = [arm for arm in able if status[arm] != "over_limit"]
        # What may be served at all, else the least bad of it, has all.
        assert abs(sum(weights[arm] for arm in inside or able) - 1) < 1e-9
        for arm in set(arms) - set(inside or able):
            assert weights[arm] == 0
            assert status[arm] in {"retired", "over_limit"}
        if not inside:
            assert sorted(weights.values()) == [0.0] * (len(arms) - 1) + [1.0]
        quiet = {arm for arm in arms if any(m in {None, arm[0]} and c in {None, arm[1]} for m, c in silenced)}
        if inside and set(inside) - quiet:
            last = before[listed["segment"]]
            assert all(weights[arm] <= last[arm] for arm in quiet)
    record = Recommendation.sealed(
        seq=1,
        task_type="triage",
        issued_at=to_datetime(0),
        valid_until=to_datetime(1),
        segments=found.segments,
        degraded=found.degraded,
        reason=found.reason,
    )
    assert record.reason


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, facts, min_size=1, max_size=6), asked, st.randoms(use_true_random=False))
def test_the_order_of_arms_changes_nothing(
    known: dict[tuple[str, str], ArmFacts], wanted: TaskRouting, random: object
) -> None:
    shuffled = list(known.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(dict(shuffled), [], wanted, 0.01, 30) == decide(known, [], wanted, 0.01, 30)


def test_shares_that_are_set_apart_for_exploring_are_added_to_the_floor() -> None:
    known = {
        ("a", "x"): ArmFacts(9000, 1000),
        ("b", "x"): ArmFacts(500, 500, explore=0.04),
        ("c", "x"): ArmFacts(5, 500),
    }
    weights = [arm["weight"] for arm in decide(known, [], TaskRouting(), 0.01, 30).arms]
    assert weights == [0.94, 0.05, 0.01]
    greedy = {arm: fact._replace(explore=0.9) for arm, fact in known.items()}
    weights = [arm["weight"] for arm in decide(greedy, [], TaskRouting(), 0.0, 30).arms]
    assert [round(weight, 6) for weight in weights] == [0.333333] * 3


def test_a_retired_arm_has_no_weight_unless_all_are() -> None:
    known = {("a", "x"): ArmFacts(900, 100, retired=True), ("b", "x"): ArmFacts(500, 500)}
    found = decide(known, [], TaskRouting(), 0.1, 30)
    assert [(arm["weight"], arm["status"]) for arm in found.arms] == [(0.0, "retired"), (1.0, "ok")]
    assert "not called any more: a/x" in found.reason
    gone = {arm: fact._replace(retired=True) for arm, fact in known.items()}
    assert [arm["status"] for arm in decide(gone, [], TaskRouting(), 0.1, 30).arms] == ["retired", "retired"]
    assert decide(gone, [], TaskRouting(), 0.1, 30).arms[0]["weight"] > 0.8


def test_what_is_noted_of_an_arm_is_in_the_reason() -> None:
    known = {("a", "default"): ArmFacts(900, 100, note="restarted at 10:15"), ("b", "x"): ArmFacts(500, 500)}
    assert decide(known, [], TaskRouting(), 0.0, 30).reason.endswith("; a restarted at 10:15")


def test_the_weight_of_the_leader_does_not_rise_by_the_last_bit_once_it_is_silent() -> None:
    """Its weight is what the others leave of 1, and no round number."""
    rng = np.random.default_rng(8)
    for _ in range(100):
        known = {(name, "x"): ArmFacts(*rng.uniform(20, 200, 2)) for name in "abcd"}
        before = decide(known, [], TaskRouting(), 0.01, 30).weights
        leader = max(before[None], key=lambda arm: before[None][arm])
        quiet = alert(START, ("triage", *leader), kind="volume", metric="responses")
        better = {arm: fact._replace(successes=900.0) if arm == leader else fact for arm, fact in known.items()}
        after = decide(better, [quiet], TaskRouting(), 0.01, 30, before, None, "triage").weights
        assert after[None][leader] <= before[None][leader]
