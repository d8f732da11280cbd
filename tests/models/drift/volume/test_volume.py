"""Silent sources and traffic that stops or multiplies: noticed in time, and no night or weekend is taken for one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from aftercall.times import MINUTE_US
from models import plain
from models.alarms.alarm import Alarm, VolumeChange
from models.alerts.severity import severity_of_alarm
from models.drift.settings import DriftSettings
from models.drift.volume.volume import Volume
from models.messages import Attempts
from simulated.arrivals import DAY, START, Traffic, run, traffic, working
from simulated.trials import relation


def hours(alarm: Alarm, minute: int) -> float:
    """From a minute after START to the alarm."""
    return (alarm.at / MINUTE_US - START - minute) / 60


def summary(alarm: Alarm) -> tuple[str, str, str, str]:
    """Task type, metric, direction, and how it stands to the open alarm."""
    _, (task, _, _), metric = alarm.series
    return task, metric, alarm.direction, relation(alarm)


def test_a_source_that_falls_silent_at_noon_is_missed_within_two_hours() -> None:
    stop = 25 * DAY + 720
    (alarm,) = run(traffic(working(27, 0.2, 0.5)).without(2, stop))
    assert summary(alarm) == ("task-02", "responses:human_review", "down", "first")
    assert hours(alarm, stop) <= 2
    assert abs(alarm.changed_at / MINUTE_US - START - stop) <= 60
    assert severity_of_alarm(alarm) == "critical"
    assert alarm.promise == 1.0
    assert alarm.baseline == pytest.approx(0.5, rel=0.1)
    assert alarm.current == 0
    assert alarm.effect_high is not None
    assert alarm.effect_high < -0.25
    assert isinstance(alarm.details, VolumeChange)
    assert (alarm.details.seen, alarm.details.unit) == (0, "statements per call")


def test_people_who_work_in_office_hours_raise_no_alarm_and_are_missed_when_they_stop() -> None:
    stream = traffic(working(35, 0.2, 0.5), people=True)
    assert run(stream) == []
    stop = 28 * DAY + 600
    missed = run(stream.without(1, stop))
    assert [summary(alarm) for alarm in missed] == [("task-01", "responses:human_review", "down", "first")]
    assert hours(missed[0], stop) <= 27


def test_before_two_weeks_are_known_only_a_long_silence_counts_and_without_a_promise() -> None:
    stop = 3 * DAY + 720
    stream = traffic(working(5, 0.5, 1.0), per_hour=600.0)
    assert run(stream) == []
    missed = run(stream.without(0, stop))
    assert [(*summary(alarm), alarm.promise) for alarm in missed] == [
        ("task-00", "responses:human_review", "down", "first", None)
    ]
    assert hours(missed[0], stop) <= 4
    weekend = traffic(working(12, 0.0, 0.0), people=True)
    assert run(weekend) == []


def test_where_calls_stop_their_responses_are_not_missed() -> None:
    stream = traffic(working(27, 0.2, 0.5))
    stop = 25 * DAY + 720
    calls = stream.calls.copy()
    calls[1, stop:] = 0
    kept = (stream.statements[0] != 1) | (stream.statements[1] - stream.statements[2] < stop)
    alarms = run(Traffic(calls, stream.statements[:, kept]))
    assert [summary(alarm) for alarm in alarms] == [("task-01", "calls", "down", "first")]
    assert hours(alarms[0], stop) <= 2


def test_a_flood_raises_an_alarm_that_its_end_ends() -> None:
    stream = traffic(working(26, 0.2, 0.5))
    calls = stream.calls.copy()
    begin, end = 22 * DAY + 600, 22 * DAY + 1000
    calls[3, begin:end] *= 8
    alarms = [alarm for alarm in run(stream._replace(calls=calls)) if alarm.series[2] == "calls"]
    assert [summary(alarm)[2:] for alarm in alarms] == [("up", "first"), ("down", "recovery")]
    flood, over = alarms
    assert hours(flood, begin) <= 2
    assert flood.current == pytest.approx(8 * 60, rel=0.2)
    assert 0 < hours(over, end) < 12
    assert (flood.promise, over.promise) == (1.0, 1.0)


def test_a_silence_that_lasts_becomes_normal_and_its_series_is_learned_from_scratch() -> None:
    stop = 20 * DAY
    stream = traffic(working(45, 0.2, 0.5), tasks=1).without(0, stop)
    alarms = run(stream)
    assert [summary(alarm) for alarm in alarms] == [("task-00", "responses:human_review", "down", "first")]


def test_a_few_calls_a_day_ask_for_patience() -> None:
    assert run(traffic(working(30, 0.2, 0.5), per_hour=1.0)) == []


def test_cuts_and_restores_change_nothing() -> None:
    stream = traffic(working(20, 0.2, 0.5), tasks=2).without(1, 17 * DAY)
    whole = run(stream)
    rng, volume, parts = np.random.default_rng(4), Volume(DriftSettings()), list[Alarm]()
    cuts = [0, *np.unique(rng.integers(0, 20 * DAY, 60)).tolist(), 20 * DAY]
    for begin, end in pairwise(cuts):
        parts += volume.close(stream.closed(begin, end))
        volume = Volume(DriftSettings(), pickle.loads(pickle.dumps(volume.state())))
    assert whole
    assert parts == whole


def test_what_sends_nothing_for_weeks_is_forgotten() -> None:
    volume = Volume(DriftSettings())
    assert volume.close(traffic(working(1, 1.0, 1.0), per_hour=3.0).closed(0, DAY)) == []
    empty = traffic(working(1, 0.0, 0.0)).closed(0, 0)
    volume.close(empty._replace(through=START + 2 * DAY))
    assert len(volume.state()["calls"]["keys"]) == 4
    volume.close(empty._replace(through=START + 40 * DAY))
    state = volume.state()
    assert (state["calls"]["keys"], state["responses"]["keys"], state["sources"]) == ([], [], {})


GROWTH = 1.1 ** (np.arange(63 * DAY) / DAY / 7)
PLAIN = working(63, 0.1, 0.3)
NOTHING_WRONG: dict[str, Callable[[], Traffic]] = {
    "day cycle and weekends": lambda: traffic(PLAIN, tasks=20),
    "people answer in office hours": lambda: traffic(PLAIN, tasks=20, people=True, seed=2),
    "busy, people answer in office hours": lambda: traffic(PLAIN, 300.0, 20, people=True, seed=3),
    "five calls an hour": lambda: traffic(PLAIN, 5.0, 20, seed=4),
    "days differ by 20 %": lambda: traffic(PLAIN, tasks=20, seed=5, days_differ=0.2),
    "days differ by 30 %, growing": lambda: traffic(PLAIN * GROWTH, tasks=20, seed=6, days_differ=0.3),
    "traffic falls by half": lambda: traffic(PLAIN * np.where(GROWTH < 1.1**4.4, 1, 0.5), tasks=20, seed=7),
}


@pytest.mark.statistics
@pytest.mark.slow
@pytest.mark.parametrize("name", list(NOTHING_WRONG))
def test_no_alarm_where_nothing_is_wrong(name: str) -> None:
    """Nine weeks of twenty task types each."""
    found = [alarm for alarm in run(NOTHING_WRONG[name]()) if relation(alarm) == "first"]
    assert len(found) == 0, f"{name}: {len(found)} false alarms in 180 group-weeks"


def test_retries_in_an_incident_are_no_traffic() -> None:
    """Failed attempts are among the calls of trials; a volume that knows how many they are takes no notice of them."""
    made = traffic(working(22, 0.3, 0.5), tasks=2)
    one, other = Volume(DriftSettings(), None), Volume(DriftSettings(), None)
    for begin in range(0, 22 * DAY, 6 * 60):
        closed = made.closed(begin, begin + 6 * 60)
        # From the 20th day on each call was tried three times before.
        tried = closed.trials.calls * (3 if begin >= 20 * DAY else 0)
        table = closed.trials
        attempts = Attempts(table.code, table.minute, table.minute // 60, tried)
        more = closed._replace(trials=table._replace(calls=table.calls + tried), attempts=attempts)
        assert one.close(closed) == other.close(more)
    assert plain.pack(one.state()) == plain.pack(other.state())
