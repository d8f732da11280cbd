"""A source whose success rate changes is an alert of its own, or stands beside the success rate that fell with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from aftercall.records import Alert, to_json
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm
from models.alerts.alerting import Alerting
from models.arrays import I32
from models.drift.detectors import Detector
from models.drift.success_rate.detector import SuccessRateDetector
from models.drift.success_rate.source_rates import SourceRates
from models.messages import Closed, Deployed, Group
from models.side_messages import OpinionTrials
from simulated.trials import DAY, HOUR, NO_WAIT, START, Trials, for_alerts, simulate

GROUP: Group = ("refund", "atlas", "v1")
OTHER: Group = ("refund", "birch", "v1")
WATCHING = replace(NO_WAIT, sources=("judge", "user"))
CHANGE, BACK, END = 12 * DAY, 15 * DAY, 17 * DAY
STEADY = [(0, 0.9)]
FALLEN = [(0, 0.9), (CHANGE, 0.7), (BACK, 0.9)]


def spoken(by: dict[str, Trials], begin: int, end: int) -> OpinionTrials:
    """What sources say in the minutes from `begin` on and before `end`; all groups are the same."""
    parts: list[tuple[I32, ...]] = []
    for number, trials in enumerate(by[name] for name in sorted(by)):
        t = trials.between(begin, end).trials
        for success, count in ((0, t.trial_failures), (1, t.trial_successes)):
            some = np.flatnonzero(count)
            none = np.zeros(len(some), np.int32)
            parts.append((t.code[some], t.minute[some], none + number, none + success, count[some]))
    code, minute, source, good, said = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((good, source, code, minute))
    none = np.zeros(len(order), np.int32)
    rest = good[order].astype(np.int8), none.astype(np.int16), none.astype(np.uint64), said[order]
    return OpinionTrials(code[order], minute[order], source[order], *rest)


def found(
    verdicts: Trials, by: dict[str, Trials], cuts: tuple[int, ...] = (), marks: tuple[int, ...] = ()
) -> list[Alert]:
    """Alerts; `marks`: minutes at which the judge's scorer changes."""
    detectors: list[Detector] = [SuccessRateDetector(WATCHING), SourceRates(WATCHING)]
    stage, emitted = Alerting(for_alerts(WATCHING)), []
    for begin, end in pairwise((0, *cuts, END)):
        sent = tuple(
            Deployed(START + at, (START + at) * MINUTE_US, "s-1", "*", "judge-v2", "judge")
            for at in marks
            if begin <= at < end
        )
        closed = verdicts.between(begin, end)
        closed = closed._replace(sources=tuple(sorted(by)), opinion_trials=spoken(by, begin, end), marks=sent)
        alarms: list[Alarm] = []
        for detector in detectors:
            alarms = detector.close(closed, alarms)
        emitted += stage.close(closed, alarms[::-1])
        stage = Alerting.from_state(stage.state(), for_alerts(WATCHING))
    return emitted


def stream(level: list[tuple[int, float]], seed: int, per_day: float = 400.0) -> Trials:
    """Trials of both groups, of which one has this level."""
    return simulate({GROUP: level, OTHER: STEADY}, END, every=30, per_day=per_day, seed=seed)


@pytest.fixture(scope="module")
def alone() -> list[Alert]:
    """Alerts where one source falls, of one group, and the verdicts do not."""
    return found(stream(STEADY, 1), {"judge": stream(STEADY, 2), "user": stream(FALLEN, 3)})


def test_a_source_that_falls_alone_is_one_alert_that_names_it(alone: list[Alert]) -> None:
    assert len({one.alert_id for one in alone}) == 1, "its roll-ups fell with it, and are nothing new"
    first = alone[0]
    assert (first.kind, first.metric, first.direction, first.severity) == (
        "drift",
        "success_rate:user",
        "down",
        "warning",
    )
    assert (first.task_type, first.model, first.config) == GROUP
    assert first.promise is not None
    assert first.caveat is None
    assert first.reason.startswith(
        "Success rate by source 'user' alone of task 'refund', model 'atlas', config 'v1' fell from "
    )
    assert f"It rests on {first.evidence['trials_since']:,.0f} outcomes of 'user' since then." in first.reason
    assert first.changed_at is not None
    assert abs(first.changed_at.timestamp() / 60 - START - CHANGE) < 12 * HOUR
    assert first.current is not None
    plain = 1 - first.evidence["failures_since"] / first.evidence["trials_since"]  # type: ignore[operator]
    assert first.current > plain, "an alarm selects outcomes that are worse than those to come"


def test_its_alert_is_closed_once_the_source_is_back(alone: list[Alert]) -> None:
    assert [one.state for one in alone][-1] == "closed"
    assert "is back to" in alone[-1].reason


def test_a_source_that_falls_with_the_success_rate_is_its_evidence() -> None:
    alerts = found(stream(FALLEN, 4), {"judge": stream(STEADY, 5), "user": stream(FALLEN, 4)})
    assert len({one.alert_id for one in alerts if one.direction == "down"}) == 1
    headline = [one for one in alerts if one.direction == "down"][-1]
    assert headline.metric == "success_rate"
    assert {(one.metric, one.direction) for one in headline.other_alarms} == {("success_rate:user", "down")}


def test_a_source_that_falls_sooner_gives_its_alert_to_the_success_rate() -> None:
    """The verdicts of few outcomes show later what all of the source's showed at once."""
    alerts = found(stream(FALLEN, 6, per_day=150.0), {"judge": stream(STEADY, 5), "user": stream(FALLEN, 7, 900.0)})
    falls = [one for one in alerts if one.direction == "down"]
    assert falls[0].metric == "success_rate:user"
    assert falls[-1].metric == "success_rate"
    assert falls[-1].alert_id == falls[0].alert_id
    assert len({one.alert_id for one in falls if one.state != "closed"}) == 1


def test_two_sources_that_fall_together_are_one_alert() -> None:
    alerts = found(stream(STEADY, 1), {"judge": stream(FALLEN, 8), "user": stream(FALLEN, 3)})
    assert len({one.alert_id for one in alerts}) == 1
    last = alerts[-1]
    assert {last.metric, *(one.metric for one in last.other_alarms)} == {"success_rate:judge", "success_rate:user"}


def test_a_changed_scorer_is_the_mark_of_an_alert_on_its_source_alone() -> None:
    steady, fallen = stream(STEADY, 1), stream(FALLEN, 8)
    for name, marked in (("judge", True), ("user", False)):
        by = {"judge": stream(STEADY, 2), "user": stream(STEADY, 3)} | {name: fallen}
        alerts = found(steady, by, marks=(CHANGE - 20,))
        assert {one.metric for one in alerts} == {f"success_rate:{name}"}
        assert (alerts[0].mark is not None) == marked


@pytest.mark.parametrize("cuts", [(CHANGE + HOUR,), tuple(range(CHANGE, END, 5 * HOUR)), (CHANGE + 601, CHANGE + 602)])
def test_alerts_are_the_same_wherever_the_stream_is_cut_and_resumed(alone: list[Alert], cuts: tuple[int, ...]) -> None:
    again = found(stream(STEADY, 1), {"judge": stream(STEADY, 2), "user": stream(FALLEN, 3)}, cuts)
    assert list(map(to_json, again)) == list(map(to_json, alone))


def test_without_sources_nothing_is_watched_beside_verdicts() -> None:
    closed = stream(STEADY, 1).between(0, END)
    said = closed._replace(sources=("user",), opinion_trials=spoken({"user": stream(FALLEN, 3)}, 0, END))
    detector = SourceRates(NO_WAIT)
    assert detector.close(said) == []
    assert detector.state() == {}
    assert NO_WAIT.threshold_of("calls") == 24_000
    assert WATCHING.threshold_of("calls") > 24_000, "an eighth of the promise is theirs"


def test_a_source_that_was_never_counted_cannot_be_taken_back() -> None:
    """Where a setting has just changed, the join takes back what an open minute never had."""
    said = spoken({"user": stream(STEADY, 3)}, 0, HOUR)
    taken = said._replace(count=-said.count)
    closed = Closed(START + HOUR, [GROUP, OTHER], *stream(STEADY, 1).between(0, HOUR)[2:4], ("user",))
    assert SourceRates(WATCHING).close(closed._replace(opinion_trials=taken)) == []
