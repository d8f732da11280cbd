"""Files end, and no service does: what comes after the last call in them is unknown, and no outage."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm
from models.drift.settings import DriftSettings, ReadUntil
from models.drift.volume.volume import Volume
from simulated.arrivals import DAY, START, Traffic, run, traffic, working

DAYS = 25
LAST = 22 * DAY + 15 * 60 + 20
"""The minute of the last call, in the middle of a busy hour."""


def until(calls: int | None = None, outcomes: int | None = None) -> Volume:
    """Reads files whose last records are of these minutes after START."""
    ends = (None if end is None else (START + end) * MINUTE_US for end in (calls, outcomes))
    return Volume(DriftSettings(read_until=ReadUntil(*ends)))


def export(seed: int = 1) -> Traffic:
    """Calls of 22 days and a half; outcomes go on for two days more."""
    stream = traffic(working(DAYS, 0.2, 0.5), seed=seed)
    calls = stream.calls.copy()
    calls[:, LAST + 1 :] = 0
    of_calls = stream.statements[1] - stream.statements[2] <= LAST
    return Traffic(calls, stream.statements[:, of_calls])


def on_calls(alarms: list[Alarm]) -> list[tuple[str, str]]:
    return [(alarm.series[1][0], alarm.direction) for alarm in alarms if alarm.series[2] == "calls"]


def test_calls_that_end_before_their_outcomes_raise_no_alarm_where_files_were_read() -> None:
    assert run(export(), volume=until(LAST, DAYS * DAY - 1)) == []


def test_a_service_whose_producers_all_stop_at_once_raises_an_alarm_for_each_task_type() -> None:
    assert on_calls(run(export(), volume=until())) == [(f"task-{task:02}", "down") for task in range(4)]


def test_a_task_type_that_is_gone_from_the_last_day_of_a_file_raises_an_alarm() -> None:
    stream = export()
    calls = stream.calls.copy()
    calls[2, LAST - DAY :] = 0
    assert on_calls(run(stream._replace(calls=calls), volume=until(LAST, DAYS * DAY - 1))) == [("task-02", "down")]


def test_outcomes_that_end_before_the_calls_are_not_missed() -> None:
    stream = traffic(working(DAYS, 0.2, 0.5))
    known = stream._replace(statements=stream.statements[:, stream.statements[1] <= LAST])
    assert run(known, volume=until(DAYS * DAY - 1, LAST)) == []
    silent = {alarm.series[2] for alarm in run(known, volume=until())}
    assert silent == {"responses:human_review"}


@pytest.mark.parametrize("minute", [0, 119])
def test_an_hour_is_watched_where_the_last_record_is_of_its_last_minute(minute: int) -> None:
    """The hour of the last call was read in part, and one hour without calls is too little."""
    stream = traffic(working(DAYS, 1.0, 1.0), per_hour=600.0, tasks=1)
    calls = stream.calls.copy()
    begin = 22 * DAY + 12 * 60
    calls[:, begin:] = 0
    calls[0, begin + minute] = 1
    found = on_calls(run(Traffic(calls, stream.statements[:, :0]), volume=until(begin + minute)))
    assert found == ([("task-00", "down")] if minute == 119 else [])


def test_cuts_change_nothing() -> None:
    stream, whole = export(), run(export(), volume=until())
    cuts = [0, *np.unique(np.random.default_rng(5).integers(0, DAYS * DAY, 40)).tolist(), DAYS * DAY]
    assert run(stream, cuts, until()) == whole
    assert run(stream, cuts, until(LAST, DAYS * DAY - 1)) == []
