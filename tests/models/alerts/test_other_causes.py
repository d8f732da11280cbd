"""Alarms without counts: what moves together is one, and closes when all of it is back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aftercall.records import Alert, Direction
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, MeanChange, ShareChange, VolumeChange
from models.alerts.incidents import Incidents
from models.alerts.other_causes import OtherCauses, joined
from models.alerts.scope import Scope, covers
from models.alerts.sentences import promise_text
from models.messages import AnyGroup
from simulated.trials import START

words = st.sampled_from(["a", "b"])


def alarm(minute: int, group: AnyGroup, direction: Direction = "up", **fields: Any) -> Alarm:
    known: dict[str, Any] = {
        "at": (START + minute) * MINUTE_US,
        "series": ("shift", group, "latency_ms"),
        "direction": direction,
        "baseline": 100.0,
        "current": 150.0,
        "effect_low": 40.0,
        "effect_high": 60.0,
        "changed_at": (START + minute - 5) * MINUTE_US,
        "promise": None,
        "evidence": {},
        "details": MeanChange("ms"),
    }
    return Alarm(**(known | fields))


def alerts_of(*alarms: Alarm) -> list[Alert]:
    causes = OtherCauses(Incidents())
    return [record for one in alarms for record in causes.explain(one)]


def test_a_slow_provider_is_one_alert_over_all_its_tasks() -> None:
    found = alerts_of(
        *(alarm(10 + at, (task, "atlas", "v1")) for at, task in enumerate(("refund", "search", "triage")))
    )
    assert len({one.alert_id for one in found}) == 1
    assert [one.state for one in found] == ["opened", "updated"]
    assert (found[-1].task_type, found[-1].model) == ("*", "atlas")
    assert "has changed in 2 groups" in found[-1].reason


def test_a_source_gone_silent_in_all_tasks_is_one_alert() -> None:
    found = alerts_of(alarm(10, ("refund", None, None)), alarm(12, ("search", None, None)))
    assert len({one.alert_id for one in found}) == 1
    assert (found[-1].task_type, found[-1].model) == ("*", None)


def test_what_has_nothing_in_common_or_came_much_later_is_another_alert() -> None:
    apart = alerts_of(alarm(10, ("refund", "atlas", "v1")), alarm(11, ("search", "birch", "v1")))
    later = alerts_of(alarm(10, ("refund", "atlas", "v1")), alarm(2000, ("search", "atlas", "v1")))
    assert [len({one.alert_id for one in found}) for found in (apart, later)] == [2, 2]


def test_it_closes_when_the_last_member_is_back() -> None:
    group, other = ("refund", "atlas", "v1"), ("search", "atlas", "v1")
    found = alerts_of(alarm(10, group), alarm(11, other), alarm(500, group, "down"), alarm(600, other, "down"))
    assert [one.state for one in found] == ["opened", "updated", "closed"]
    assert found[-1].closed_at is not None
    assert found[-1].reason.endswith("is over.")


def test_the_same_group_again_updates_its_alert() -> None:
    group = ("refund", "atlas", "v1")
    found = alerts_of(alarm(10, group), alarm(900, group, current=200.0))
    assert [(one.state, one.seq, one.current) for one in found] == [("opened", 1, 150.0), ("updated", 2, 200.0)]


def test_several_tests_of_one_metric_are_one_alert_and_its_end_is_reported_once() -> None:
    group = ("refund", "atlas", "v1")
    p90, p50 = (("quantile", group, f"latency_ms:p{level}") for level in (90, 50))
    found = alerts_of(
        alarm(10, group),
        alarm(30, group, series=p90, promise=1.0, changed_at=(START + 8) * MINUTE_US),
        alarm(40, group, series=p50, promise=1.0),
        alarm(900, group, "down", series=p90),
        alarm(950, group, "down", changed_at=(START + 890) * MINUTE_US),
        alarm(960, group, series=p50, changed_at=(START + 20) * MINUTE_US),
    )
    assert [(one.state, one.promise) for one in found] == [
        ("opened", None),
        ("updated", promise_text(1.0)),
        ("closed", promise_text(1.0)),
    ]
    assert len({one.alert_id for one in found}) == 1


def test_scores_without_a_promise_say_why() -> None:
    group = ("refund", "atlas", "v1")
    series = ("quantile", group, "score:p50:judge")
    (agreeing,) = alerts_of(alarm(10, group, "down", series=series, details=ShareChange(0.5, "")))
    assert agreeing.promise is None
    assert agreeing.caveat is not None
    assert "share conversations" in agreeing.caveat
    (alone,) = alerts_of(alarm(10, group, "down", series=series, details=ShareChange(0.5, ""), promise=1.0))
    assert (alone.promise, alone.caveat) == (promise_text(1.0), None)


@given(st.tuples(words, words, words), st.tuples(words, words, words))
def test_what_is_joined_covers_both_and_names_what_they_share(one: Scope, other: Scope) -> None:
    both = joined(one, other)
    if both is None:
        assert one[:2] != other[:2]
        return
    assert covers(both, one)
    assert covers(both, other)
    assert both == joined(other, one)
    assert both[0] is not None or both[1] is not None


def answers(minute: int, group: AnyGroup, metric: str, direction: Direction = "down", **fields: Any) -> Alarm:
    """Fewer answers of a source or an arm, with a promise."""
    known = {
        "promise": 1.0,
        "details": VolumeChange(10.0, 30.0, "statements per call"),
        "baseline": 0.3,
        "current": 0.1,
    }
    return alarm(minute, group, direction, series=("volume", group, metric), **(known | fields))


def test_fewer_answers_of_an_arm_and_of_its_task_type_are_one_alert_whichever_comes_first() -> None:
    arm, whole = ("triage", "atlas", "v2"), ("triage", None, None)
    pairs = [(arm, "responses"), (whole, "responses:user_feedback")]
    for first, second in (pairs, pairs[::-1]):
        found = alerts_of(answers(60, *first), answers(180, *second, changed_at=(START + 50) * MINUTE_US))
        assert len({one.alert_id for one in found}) == 1
        assert [one.state for one in found] == ["opened", "updated"]
        assert found[-1].other_alarms
        assert found[-1].promise is not None


def test_fewer_answers_of_another_task_type_or_week_are_another_alert() -> None:
    arm = answers(60, ("triage", "atlas", "v2"), "responses")
    elsewhere = answers(180, ("search", None, None), "responses:user_feedback", changed_at=(START + 50) * MINUTE_US)
    later = answers(9000, ("triage", None, None), "responses:user_feedback")
    for other in (elsewhere, later):
        assert len({one.alert_id for one in alerts_of(arm, other)}) == 2
