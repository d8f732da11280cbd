"""Scores, latencies and success rates that one cause moves in one scope at one time are one alert with one headline."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest

from aftercall.records import Alert, Direction, to_json
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, Details, MeanChange, ShareChange, VolumeChange
from models.alerts.alerting import Alerting
from models.drift.detectors import Detector
from models.drift.success_rate.detector import SuccessRateDetector
from models.drift.values.mean_shift import MeanShift
from models.drift.values.quantile_shift import QuantileShift
from models.messages import Closed, Group, Scores
from models.routing import Routing, RoutingSettings
from simulated.trials import DAY, HOUR, NO_WAIT, START, Trials, for_alerts, simulate

GROUP: Group = ("refund", "atlas", "v1")
OTHER: Group = ("refund", "birch", "v1")
CHANGE, END = 16 * DAY, 18 * DAY


def scored(closed: Closed) -> Closed:
    """The same with a judge's score of each trial: about .8, and .6 of GROUP from the change on."""
    t = closed.trials
    n = (t.trial_successes + t.trial_failures).astype(np.int64)
    low = (t.minute >= START + CHANGE) & (np.array([closed.names[code] == GROUP for code in t.code], np.bool_))
    rows = []
    for at in range(len(n)):
        rng = np.random.default_rng([int(t.minute[at]), int(t.code[at])])
        levels, counts = np.unique(rng.integers(-15, 16, int(n[at])) + (60 if low[at] else 80), return_counts=True)
        rows += [(t.code[at], t.minute[at], 0, level, count) for level, count in zip(levels, counts, strict=True)]
    columns = np.array(rows, np.int32).reshape(-1, 5).T
    return closed._replace(sources=("judge",), scores=Scores(*columns))


def judged() -> Trials:
    return simulate({GROUP: [(0, 0.9), (CHANGE, 0.7)], OTHER: [(0, 0.9)]}, END, every=30, per_day=600.0)


def found(trials: Trials, cuts: tuple[int, ...] = ()) -> list[Alert]:
    detectors: list[Detector] = [SuccessRateDetector(NO_WAIT), MeanShift(NO_WAIT), QuantileShift(NO_WAIT)]
    stage, emitted = Alerting(for_alerts(NO_WAIT)), []
    for begin, end in pairwise((0, *cuts, END)):
        closed = scored(trials.between(begin, end))
        alarms: list[Alarm] = []
        for detector in detectors:
            alarms = detector.close(closed, alarms)
        emitted += stage.close(closed, alarms[::-1])
        stage = Alerting.from_state(stage.state(), for_alerts(NO_WAIT))
    return emitted


@pytest.fixture(scope="module")
def whole() -> list[Alert]:
    return found(judged())


def test_a_judges_scores_that_fall_with_the_success_rate_are_one_alert(whole: list[Alert]) -> None:
    assert len({one.alert_id for one in whole}) == 1
    assert [one.state for one in whole].count("opened") == 1
    last = whole[-1]
    assert (last.kind, last.metric, last.direction) == ("drift", "success_rate", "down")
    assert (last.task_type, last.model, last.config) == GROUP
    assert last.promise is not None
    assert {(one.metric.rpartition(":")[2], one.direction, one.over) for one in last.other_alarms} == {
        ("judge", "down", False)
    }
    assert "At the same time: " in last.reason
    assert "by 'judge'" in last.reason
    assert last.failures_per_day is not None


@pytest.mark.parametrize("cuts", [(CHANGE + HOUR,), tuple(range(CHANGE, END, 5 * HOUR)), (CHANGE + 601, CHANGE + 602)])
def test_it_is_the_same_alert_wherever_the_stream_is_cut_and_resumed(whole: list[Alert], cuts: tuple[int, ...]) -> None:
    assert list(map(to_json, found(judged(), cuts))) == list(map(to_json, whole))


# By hand


def alarm(minute: int, metric: str = "score:judge", direction: Direction = "down", **fields: Any) -> Alarm:
    """Of scores and latencies by `shift`, of their quantiles by `quantile`, of calls by `volume`."""
    kind = "volume" if metric == "calls" else "quantile" if ":p" in metric else "shift"
    details: Details = ShareChange(0.5, "") if kind == "quantile" else MeanChange("" if "score" in metric else "ms")
    known: dict[str, Any] = {
        "at": (START + minute) * MINUTE_US,
        "series": (kind, fields.pop("group", GROUP), metric),
        "direction": direction,
        "baseline": 0.8,
        "current": 0.6 if direction == "down" else 0.9,
        "effect_low": None,
        "effect_high": None,
        "changed_at": (START + fields.pop("changed", minute - 60)) * MINUTE_US,
        "promise": 1.0 if kind == "quantile" else None,
        "evidence": {},
        "details": VolumeChange(1, 50, "calls an hour") if kind == "volume" else details,
    }
    return Alarm(**(known | fields))


def rate_alarms(
    begin: int = 7 * DAY, hit: tuple[Group, ...] = (GROUP,), end: int = 10 * DAY
) -> tuple[Trials, list[Alarm]]:
    rates = {g: [(0, 0.9), *([(begin, 0.6)] if g in hit else [])] for g in (GROUP, OTHER, ("search", "atlas", "v1"))}
    trials = simulate(rates, end, every=30, per_day=600.0)
    return trials, SuccessRateDetector(NO_WAIT).close(trials.between(0, end))


def alerts_of(trials: Trials, alarms: list[Alarm], end: int = 10 * DAY) -> list[Alert]:
    return Alerting(for_alerts(NO_WAIT)).close(trials.between(0, end), alarms)


def first_minute(alarms: list[Alarm]) -> int:
    return min(one.at for one in alarms) // MINUTE_US - START


@pytest.mark.parametrize("later", [-60, 0, 120])
def test_the_success_rate_is_the_headline_whichever_alarms_first(later: int) -> None:
    trials, rates = rate_alarms()
    at = first_minute(rates) + later
    records = alerts_of(trials, [*rates, alarm(at, changed=7 * DAY), alarm(at, "score:p10:judge", changed=7 * DAY)])
    assert len({one.alert_id for one in records}) == 1
    assert [one.state for one in records].count("opened") == 1
    assert records[0].kind == ("quantile" if later < 0 else "drift")
    last = records[-1]
    assert (last.kind, last.metric) == ("drift", "success_rate")
    assert [one.metric for one in last.other_alarms] in (["score:p10:judge"], ["score:judge"])
    assert last.changed_at is not None
    assert last.failures_per_day is not None
    assert last.failures_per_day > 0
    assert len(records) <= 6, "one look each, and one update for what is beside it"


def test_a_score_that_alarmed_first_does_not_hide_the_drop_from_routing() -> None:
    trials, rates = rate_alarms()
    records = alerts_of(trials, [*rates, alarm(first_minute(rates) - 60, changed=7 * DAY)])
    closed = trials.between(0, 10 * DAY)
    called = closed.trials._replace(calls=closed.trials.trial_successes + closed.trials.trial_failures)
    issued = Routing(RoutingSettings()).close(closed._replace(trials=called), records)
    degraded = {(entry.model, entry.alert_id) for one in issued for entry in one.degraded}
    assert degraded == {("atlas", records[0].alert_id)}


@pytest.mark.parametrize(
    ("metric", "fields"),
    [
        ("score:judge", {"group": OTHER}),
        ("score:judge", {"changed": 7 * DAY + 2 * DAY}),
        ("score:judge", {"changed": 7 * DAY - 2 * DAY}),
        ("calls", {"group": ("refund", None, None), "changed": 7 * DAY}),
    ],
)
def test_another_scope_another_time_and_traffic_have_alerts_of_their_own(metric: str, fields: dict[str, Any]) -> None:
    trials, rates = rate_alarms()
    records = alerts_of(trials, [*rates, alarm(9 * DAY + HOUR, metric, **fields)])
    assert {one.metric for one in records} == {"success_rate", metric}
    assert len({one.alert_id for one in records}) == 2
    assert all(not one.other_alarms for one in records)


def test_alerts_on_parts_of_what_then_falls_as_a_whole_are_beside_it() -> None:
    trials, rates = rate_alarms(hit=(GROUP, OTHER))
    before = first_minute(rates) - 30
    latency = alarm(before, "latency_ms", "up", group=OTHER, changed=7 * DAY, baseline=800.0, current=1900.0)
    records = alerts_of(trials, [*rates, alarm(before, changed=7 * DAY), latency])
    newest = {one.alert_id: one for one in records}
    (part,) = [one for one in newest.values() if one.state == "closed"]
    (whole,) = [one for one in newest.values() if one.state != "closed"]
    assert (whole.task_type, whole.model, whole.metric) == ("refund", None, "success_rate")
    assert part.evidence["part_of"] == whole.alert_id
    assert {(one.metric, one.model) for one in whole.other_alarms} == {
        ("score:judge", "atlas"),
        ("latency_ms", "birch"),
    }
    assert "Typical latency rose from 800 ms to 1900 ms of task 'refund', model 'birch'" in whole.reason


def values(*alarms: Alarm) -> list[Alert]:
    nothing = simulate({GROUP: [(0, 0.9)]}, 60)
    return Alerting(for_alerts(NO_WAIT)).close(nothing.between(0, 6 * DAY), list(alarms))


def test_of_metrics_without_counts_the_promised_one_is_the_headline_and_the_worst_gives_the_severity() -> None:
    latency = alarm(100, "latency_ms", "up", baseline=800.0, current=1900.0)
    records = values(latency, alarm(160, "score:p10:judge", changed=100))
    assert [(one.state, one.metric, one.severity, one.promise is None) for one in records] == [
        ("opened", "latency_ms", "critical", True),
        ("updated", "score:p10:judge", "critical", False),
    ]
    assert [(one.metric, one.current) for one in records[1].other_alarms] == [("latency_ms", 1900.0)]
    assert len({one.alert_id for one in records}) == 1


def test_further_tests_of_the_same_metric_say_nothing_new() -> None:
    first = alarm(100, "latency_ms", "up", baseline=800.0, current=900.0)
    more = [
        alarm(130 + at, name, changed=90)
        for at, name in enumerate(("score:judge", "score:p10:judge", "score:p50:judge"))
    ]
    records = values(first, *more)
    assert [one.state for one in records] == ["opened", "updated"]
    assert len(records[-1].other_alarms) == 1


def test_it_closes_once_all_is_over_and_says_so_on_the_way() -> None:
    ended = {"ends": None}
    records = values(
        alarm(100, "latency_ms", "up", baseline=800.0, current=900.0),
        alarm(130, "tokens", "up", changed=90),
        alarm(2000, "latency_ms", "down", baseline=800.0, current=810.0, **ended),
        alarm(2100, "tokens", "down", **ended),
        alarm(2200, "tokens", "down", changed=2050, **ended),
    )
    assert [one.state for one in records] == ["opened", "updated", "updated", "closed"]
    assert "is back to 810 ms" in records[2].reason
    assert [one.over for one in records[2].other_alarms] == [False]
    assert [one.over for one in records[3].other_alarms] == [True]
    assert "(over)." in records[3].reason


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_in_which_detectors_raise_does_not_matter(order: tuple[int, ...]) -> None:
    alarms = [alarm(100, "score:judge"), alarm(100, "latency_ms", "up"), alarm(100, "score:p10:judge")]
    assert values(*(alarms[at] for at in order)) == values(*alarms)
