"""Rare, lumpy, scheduled and local traffic raises no alarm, and what stops is still missed; sentences are true."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import HOUR_US
from models import plain
from models.alarms.alarm import Alarm, VolumeChange
from models.alerts.sentences import sentence_of
from models.alerts.severity import severity_of_alarm
from models.arrays import F64, I64
from models.drift.calendar import Calendar, Planned, Zone
from models.drift.migrations import to_4
from models.drift.settings import DriftSettings
from models.drift.volume.detector import ArrivalDetector, Measure

DAY, WEEK = 24, 168
START = 2_916 * WEEK + 4 * DAY
"""A Monday, in hours since 1970."""
SERIES = 12


def alarms(events: F64 | I64, calendar: Calendar | None = None, promise: float = 1.0) -> list[Alarm]:
    """All alarms on calls per hour, shape (hours, series)."""
    rules = DriftSettings(false_alarms_per_1000_groups_per_week=promise, calendar=calendar or Calendar())
    detector, count = ArrivalDetector(rules, more=True), events.shape[1]
    detector.add([(f"task-{row}",) for row in range(count)], [rules.threshold_of("calls")] * count, START)
    found = []
    for at, arrived in enumerate(np.asarray(events, np.float64)):
        hour = START + at
        detector.normal(hour)
        deviations = detector.advance_hour(hour, arrived, np.ones(count), detector.usual(hour))
        measures = []
        for row, one in deviations:
            series = ("volume", (detector.keys[row][0], None, None), "calls")
            measures.append(Measure(series, one.foreseen / max(hour + 1 - one.since, 1.0), "calls an hour"))
        found += detector.alarms(deviations, measures, hour)
    return found


def poisson(rate: float | F64, weeks: int, seed: int = 1) -> I64:
    """Shape (hours, SERIES)."""
    rates = np.broadcast_to(np.asarray(rate), (weeks * WEEK,))[:, None]
    return np.random.default_rng(seed).poisson(rates, (weeks * WEEK, SERIES))


def jobs(a_day: float, weeks: int, seed: int = 1) -> I64:
    """Jobs of 30 to 60 calls at odd hours, as in case 08."""
    rng, lumps = np.random.default_rng(seed), poisson(a_day / DAY, weeks, seed)
    return np.array([[rng.integers(30, 61, many).sum() for many in row] for row in lumps.tolist()])


def office(weeks: int, changes: tuple[int, ...] = ()) -> F64:
    """20 calls an hour from 9 to 17, Monday to Friday; from each change on an hour later."""
    hour = START + np.arange(weeks * WEEK)
    local = hour - sum((np.arange(weeks * WEEK) >= change).astype(int) for change in changes)
    return np.where((local % DAY >= 9) & (local % DAY < 17) & ((local // DAY + 3) % 7 < 5), 20.0, 0.0)


def bursty(weeks: int) -> I64:
    rng = np.random.default_rng(3)
    return rng.poisson(rng.gamma(0.5, 20.0, (weeks * WEEK, SERIES)))


NOTHING_WRONG: dict[str, Callable[[], I64]] = {
    "a call in nine days": lambda: poisson(1 / 9 / DAY, 40),
    "a call a day": lambda: poisson(1 / DAY, 20),
    "five calls a day": lambda: poisson(5 / DAY, 20),
    "four jobs a day at odd hours": lambda: jobs(4.0, 12),
    "a job a day at odd hours": lambda: jobs(1.0, 20),
    "hours of negative binomial calls": lambda: bursty(12),
    "clocks that change, where no zone is set": lambda: poisson(office(12, (5 * WEEK,)), 12),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NOTHING_WRONG))
def test_traffic_of_every_shape_raises_no_alarm_where_nothing_is_wrong(name: str) -> None:
    assert alarms(NOTHING_WRONG[name]()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "hours"),
    [(jobs(4.0, 9), 9 * DAY), (bursty(9), 4 * DAY), (poisson(20.0, 9), 2)],
    ids=["jobs", "bursty", "steady"],
)
def test_what_stops_is_missed_in_a_time_that_its_lumps_allow(events: I64, hours: int) -> None:
    stop = 6 * WEEK + 12
    stopped = events.copy()
    stopped[stop:] = 0
    found = [alarm for alarm in alarms(stopped) if alarm.ends is None]
    assert [alarm.direction for alarm in found] == ["down"] * SERIES
    assert np.median([alarm.at / HOUR_US - START - stop for alarm in found]) <= hours


def test_of_fewer_than_five_expected_none_are_missed() -> None:
    events = poisson(2 / DAY, 12)
    events[8 * WEEK :] = 0
    for alarm in alarms(events, promise=1000.0):
        assert isinstance(alarm.details, VolumeChange)
        assert alarm.direction == "up" or alarm.details.expected >= 5


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 60.0), st.floats(0.0, 12.0), st.integers(1, 200), st.sampled_from([1, 20]))
def test_sentence_and_direction_agree(seed: int, rate: float, factor: float, hours: int, size: int) -> None:
    """Whatever comes: what fell is less than was expected, what rose is more, and the sentence has both in order."""
    events = poisson(rate, 6, seed) * size
    events[3 * WEEK : 3 * WEEK + hours] = poisson(rate * factor, 2, seed)[:hours] * size
    for alarm in alarms(events, promise=1e5):
        if alarm.ends is not None:
            assert "is back to" in sentence_of(alarm)
            continue
        assert isinstance(alarm.details, VolumeChange)
        seen, expected = alarm.details.seen, alarm.details.expected
        assert (alarm.current < alarm.baseline, seen < expected) == ((alarm.direction == "down"),) * 2
        assert max(seen, expected) >= 2 * min(seen, expected)
        assert ("fell to" if alarm.direction == "down" else "rose to") in sentence_of(alarm)
        assert alarm.details.per_day >= 0


def test_the_end_of_a_small_task_among_large_ones_is_information() -> None:
    events = poisson(200.0, 6)
    events[:, 0] = poisson(0.5, 6, seed=2)[:, 0]
    events[4 * WEEK :, :2] = 0
    severities = {alarm.series[1][0]: severity_of_alarm(alarm) for alarm in alarms(events)}
    assert severities == {"task-0": "info", "task-1": "critical"}


# Local time


def test_a_zone_makes_the_change_of_clocks_no_change() -> None:
    change = 5 * WEEK + 3
    zones = {f"task-{row}": Zone((0, START + change), (2, 1)) for row in range(SERIES)}
    assert alarms(poisson(office(9, (change,)), 9), Calendar(zones)) == []


@pytest.mark.slow
def test_after_the_clocks_have_changed_an_outage_at_noon_is_found_as_before() -> None:
    events = poisson(office(9, (5 * WEEK,)), 9)
    stop = 7 * WEEK + 2 * DAY + 12
    events[stop:] = 0
    found = alarms(events)
    assert [alarm.direction for alarm in found if alarm.ends is None] == ["down"] * SERIES
    assert max(alarm.at / HOUR_US - START - stop for alarm in found) <= 4


@pytest.mark.slow
def test_holidays_are_compared_with_holidays() -> None:
    """Of four holidays nothing comes on the first two, and the profile of working days does not learn it."""
    days = (15, 22, 36, 43)
    calendar = Calendar(holidays=frozenset(START // DAY + day for day in days))
    events = poisson(office(9), 9)
    for day in days:
        events[day * DAY : (day + 1) * DAY] = 0
    assert alarms(events, calendar) == []
    assert alarms(events) != []
    last = days[-1] * DAY
    events[last : last + DAY] = poisson(office(9), 9)[last : last + DAY] * 3
    assert {alarm.direction for alarm in alarms(events, calendar) if alarm.ends is None} == {"up"}


@pytest.mark.slow
def test_planned_work_mutes_its_task_type_and_no_other_and_is_not_learned() -> None:
    begin = 4 * WEEK + DAY + 9
    work = Planned((START + begin) * HOUR_US + 1, (START + begin + 30) * HOUR_US, "task-3")
    events = poisson(20.0, 7)
    events[begin : begin + 30, 3:5] = 0
    found = alarms(events, Calendar(planned=(work,)))
    assert {alarm.series[1][0] for alarm in found} == {"task-4"}
    again = begin + WEEK
    events[again : again + 30, 3] = 0
    assert {alarm.series[1][0] for alarm in alarms(events, Calendar(planned=(work,)))} == {"task-3", "task-4"}


# States of version 3


def test_a_profile_of_version_3_goes_on_with_what_it_has_learned() -> None:
    def old(ratios: int, rows: int) -> dict[str, F64]:
        of_week, of_ratios, plain_columns = (np.ones((rows, n)) for n in (WEEK, ratios, 1))
        names = ("r", "cusum", "since", "seen", "foreseen", "gain", "evidence")
        more = ("day_events", "day_due", "day_spread", "hours_off", "hours_scale", "hours", "days_off", "days_scale")
        profile = {"events": of_week * 40, "exposure": of_week * 2} | dict.fromkeys(names, of_ratios)
        profile |= dict.fromkeys(more, plain_columns[:, 0]) | {"days": np.ones(rows)}
        return profile | {"began": np.full(rows, START - 5.0 * WEEK), "hours": np.full(rows, 400.0)}

    def series(ratios: int, rows: int) -> dict[str, object]:
        quiet = {name: np.full(rows, 100.0) for name in ("longest", "seen", "due", "poorest")}
        quiet |= {"began": np.full(rows, START - 5.0 * WEEK), "last": np.full(rows, START - 1.0)}
        keys = [(f"task-{row}",) for row in range(rows)]
        columns = {name: np.zeros(rows) for name in ("open", "opened", "back")} | {"threshold": np.full(rows, 24e3)}
        book: dict[str, dict[str, object]] = {"open": {}, "origin": {}, "count": {}}
        return {"keys": keys, "profile": old(ratios, rows), "quiet": quiet, "book": book, **columns}

    state = {"volume": {"calls": series(5, 3), "responses": series(3, 0), "next": START}}
    migrated = plain.unpack(plain.pack(to_4(state)))["volume"]["calls"]
    detector = ArrivalDetector(DriftSettings(), more=True, state=migrated)
    found = []
    for at in range(2 * WEEK):
        events = np.array([20.0, 20.0, 0.0 if at > WEEK else 20.0])
        found += detector.advance_hour(START + at, events, np.ones(3), np.ones(3))
    assert [(row, one.direction) for row, one in found] == [(2, "down")]
