"""An arm whose feedback stays out is neither better nor worse."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.records import Alert, OtherAlarm, Recommendation
from models.routing.routing import Routing, RoutingSettings
from simulated.arms import START, A, B, C, Row, alert, arms, closed, when

HOUR = 60
Key = tuple[str, str]


def quiet(minute: int, group: Any = A, **fields: Any) -> Alert:
    base: dict[str, Any] = {"kind": "volume", "metric": "responses", "alert_id": "0" * 31 + "7", "direction": "down"}
    return alert(minute, group, **(base | fields))


def hours(routing: Routing, first: int, count: int, rates: dict[Any, float], *alerts: Alert) -> list[Recommendation]:
    """So many hours with 200 outcomes of each arm in each."""
    rows = [
        Row(START + HOUR * hour, group, round(200 * rate), 200 - round(200 * rate), 200)
        for hour in range(first, first + count)
        for group, rate in rates.items()
    ]
    return routing.close(closed(rows, START + HOUR * (first + count)), list(alerts))


def weight(found: Recommendation, key: Key = ("a", "default")) -> float:
    return float(arms(found)[key].weight)


def test_the_weight_of_a_silent_arm_never_rises_and_the_reason_names_it() -> None:
    routing = Routing(RoutingSettings())
    before = hours(routing, 0, 3, {A: 0.80, B: 0.80, C: 0.80})[-1]
    # Nothing but praise of `a` comes now: it is what is left of its feedback.
    found = hours(routing, 3, 12, {A: 1.0, B: 0.80, C: 0.80}, quiet(START + HOUR * 3))
    assert all(weight(one) <= weight(before) for one in found)
    assert arms(found[-1])["a", "default"].status == "silent"
    assert "answered less than usual, so with no more weight than before: a (" in found[-1].reason
    assert sum(arm.weight for arm in arms(found[-1]).values()) == pytest.approx(1.0, abs=1e-12)
    after = hours(routing, 15, 1, {A: 1.0, B: 0.80, C: 0.80}, quiet(START + HOUR * 15, state="closed"))
    assert arms(after[-1])["a", "default"].status == "ok"
    assert weight(after[-1]) > 0.9


def test_the_weight_of_a_silent_arm_may_fall() -> None:
    routing = Routing(RoutingSettings())
    before = hours(routing, 0, 3, {A: 0.82, B: 0.80, C: 0.80})[-1]
    found = hours(routing, 3, 6, {A: 0.3, B: 0.80, C: 0.80}, quiet(START + HOUR * 3))[-1]
    assert weight(found) < weight(before) / 4


def test_where_the_source_of_all_arms_is_silent_they_keep_their_weights() -> None:
    routing = Routing(RoutingSettings())
    before = hours(routing, 0, 3, {A: 0.84, B: 0.80, C: 0.80})[-1]
    stopped = quiet(START + HOUR * 3, ("triage", None, None), metric="responses:judge")
    found = hours(routing, 3, 12, {A: 0.5, B: 1.0, C: 0.80}, stopped)
    for one in found:
        assert {key: arm.weight for key, arm in arms(one).items()} == {
            key: pytest.approx(arm.weight, abs=1e-8) for key, arm in arms(before).items()
        }
        assert {arm.status for arm in arms(one).values()} == {"silent"}


def test_more_answers_fewer_calls_and_other_tasks_silence_nothing() -> None:
    others = [
        quiet(START + HOUR * 3, direction="up"),
        quiet(START + HOUR * 3, metric="calls", alert_id="0" * 31 + "8"),
        quiet(START + HOUR * 3, ("*", "b", None), alert_id="0" * 31 + "9"),
    ]
    routing = Routing(RoutingSettings())
    hours(routing, 0, 3, {A: 0.80, C: 0.80})
    found = hours(routing, 3, 2, {A: 0.80, C: 0.80}, *others)[-1]
    assert {arm.status for arm in arms(found).values()} == {"ok"}


def test_silence_beside_another_cause_is_seen_until_it_is_over() -> None:
    def beside(minute: int, *, over: bool) -> Alert:
        other = OtherAlarm(
            kind="volume",
            metric="responses:judge",
            direction="down",
            task_type="triage",
            model="a",
            config="default",
            baseline=None,
            current=None,
            changed_at=when(minute),
            promised=True,
            over=over,
            text="",
        )
        return alert(minute, metric="latency_ms", direction="up", other_alarms=[other])

    routing = Routing(RoutingSettings())
    hours(routing, 0, 3, {A: 0.80, B: 0.80})
    found = hours(routing, 3, 1, {A: 0.80, B: 0.80}, beside(START + HOUR * 3, over=False))[-1]
    assert [arm.status for arm in arms(found).values()] == ["silent", "ok"]
    found = hours(routing, 4, 1, {A: 0.80, B: 0.80}, beside(START + HOUR * 4, over=True))[-1]
    assert [arm.status for arm in arms(found).values()] == ["ok", "ok"]


def test_an_arm_that_collapses_beside_its_silence_begins_anew_all_the_same() -> None:
    routing = Routing(RoutingSettings())
    hours(routing, 0, 12, {A: 0.90, B: 0.80})
    drop = alert(START + HOUR * 12, changed_at=when(START + HOUR * 11))
    found = hours(routing, 12, 1, {A: 0.30, B: 0.80}, quiet(START + HOUR * 12), drop)[-1]
    assert arms(found)["a", "default"].n < 800
    assert [one.model for one in found.degraded] == ["a"]
    assert arms(found)["a", "default"].status == "silent"


def test_silence_and_weights_outlive_a_restart() -> None:
    def run(*, resume: bool) -> list[Recommendation]:
        routing, found = Routing(RoutingSettings()), list[Recommendation]()
        for hour, rates in enumerate([{A: 0.8, B: 0.8}] * 3 + [{A: 1.0, B: 0.8}] * 4):
            found += hours(routing, hour, 1, rates, *([quiet(START + HOUR * 3)] if hour == 3 else []))
            if resume:
                routing = Routing.from_state(routing.state(), RoutingSettings())
        return found

    whole = run(resume=False)
    assert whole == run(resume=True)
    assert weight(whole[-1]) <= weight(whole[2])
