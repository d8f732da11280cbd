"""A source that speaks in batches is missed once its rhythm is known and it stays away, and not before."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm
from models.arrays import I64
from models.drift.settings import DriftSettings
from models.drift.volume.volume import Volume
from models.messages import NO_VALUES, Closed, Responses, TrialDeltas
from models.stats.minute_delays import bucket_of

HOUR, DAY = 60, 1440
MONDAY = 20_136 * DAY
PER_HOUR = 30


def alarms(days: int, statements: list[tuple[int, int]], calls: I64 | None = None) -> list[Alarm]:
    """Of the responses; `statements` are (minute of the statement, minute of its call), after MONDAY."""
    made = np.full(days * 24, PER_HOUR) if calls is None else calls
    volume, found = Volume(DriftSettings()), list[Alarm]()
    said: dict[int, list[int]] = {}
    for minute, called in statements:
        said.setdefault(minute // HOUR, []).append(minute - called)
    for hour in range(days * 24):
        at = np.array([MONDAY + hour * HOUR], np.int32)
        none, one = np.zeros(1, np.int32), np.ones(1, np.int32)
        trials = TrialDeltas(none, at, none, none, none, none, np.array([made[hour]], np.int32))
        delays = np.array(said.get(hour, []), np.int64)
        zeros, ones = np.zeros(len(delays), np.int32), np.ones(len(delays), np.int32)
        responses = Responses(zeros, zeros + at[0], zeros, ones.astype(np.int8), bucket_of(delays), ones, ones)
        through = MONDAY + (hour + 1) * HOUR
        closed = Closed(through, [("support", "m", "c")], trials, NO_VALUES, ("judge",), responses=responses)
        found += volume.close(closed)
        assert one.all()
    return [alarm for alarm in found if alarm.series[2].startswith("responses")]


def batches(days: list[int], back: int, share: float, hours: list[int], seed: int = 4) -> list[tuple[int, int]]:
    """At the i-th of these days and hours, statements on a share of the calls of `back` days before."""
    rng = np.random.default_rng(seed)
    found = []
    for day, hour in zip(days, hours, strict=True):
        at = day * DAY + hour * HOUR
        calls = [call for call in range(max(0, at - back * DAY), at) if rng.random() < share * PER_HOUR / HOUR]
        found += [(at + int(rng.integers(50)), call) for call in calls]
    return sorted(found)


@pytest.mark.parametrize("share", [0.1, 0.33, 1.0])
def test_a_reviewer_of_each_monday_raises_no_alarm(share: float) -> None:
    mondays = list(range(7, 70, 7))
    assert alarms(70, batches(mondays, 7, share, [9, 9, 10, 9, 11, 9, 9, 8, 9])) == []


def test_a_nightly_judge_that_is_late_or_early_by_hours_raises_no_alarm() -> None:
    rng = np.random.default_rng(1)
    nights = list(range(1, 42))
    assert alarms(42, batches(nights, 1, 0.5, rng.integers(1, 6, len(nights)).tolist())) == []


def test_a_reviewer_of_two_days_a_month_raises_no_alarm() -> None:
    days = [3, 4, 33, 34, 63, 64]
    assert alarms(66, batches(days, 20, 0.2, [9] * 6)) == []


def test_a_nightly_judge_that_stays_away_is_missed_within_two_nights() -> None:
    nights = list(range(1, 30))
    found = alarms(40, batches(nights, 1, 0.5, [2] * len(nights)))
    assert [alarm.direction for alarm in found] == ["down"]
    assert found[0].at / MINUTE_US / DAY - MONDAY / DAY <= 29 + 2 / 24 + 2


def test_a_reviewer_of_each_monday_who_stays_away_is_missed_before_the_third_monday() -> None:
    mondays = list(range(7, 50, 7))
    found = alarms(75, batches(mondays, 7, 0.33, [9] * len(mondays)))
    assert [alarm.direction for alarm in found] == ["down"]
    assert found[0].at / MINUTE_US / DAY - MONDAY / DAY < 49 + 14


@pytest.mark.parametrize("day", [4, 20])
def test_after_a_burst_that_was_all_answered_no_answers_are_due(day: int) -> None:
    """600 calls within an hour, answered within two hours; the others within one, at all hours."""
    rng = np.random.default_rng(3)
    calls = np.full(30 * 24, 4)
    calls[day * 24 + 10] += 600
    statements = []
    for hour, count in enumerate(calls.tolist()):
        called = hour * HOUR + rng.integers(HOUR, size=count)
        statements += [(int(at + rng.integers(1, 120)), int(at)) for at in called]
    statements = [each for each in sorted(statements) if each[0] < 30 * DAY]
    assert alarms(30, statements, calls) == []
