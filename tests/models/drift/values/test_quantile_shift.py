"""Promised alarms on values: what nights and weekends do is none, and what changes raises one alarm per test."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, ShareChange
from models.alerts.severity import severity_of_alarm
from models.arrays import F64, I32
from models.drift.settings import DriftSettings
from models.drift.values.quantile_shift import QuantileShift
from models.drift.values.reference import Reference, offsets
from models.messages import NO_TRIALS, Closed, Scores, UnitTrials, Values
from simulated.trials import relation

pytestmark = pytest.mark.slow  # each draws weeks of values

DAY = 1440
START = 20_139 * DAY
SETTINGS = DriftSettings()


def minutes(days: int, per_hour: float, rng: np.random.Generator) -> I32:
    """Minutes after START of one group's calls."""
    return np.sort(rng.integers(0, days * DAY, rng.poisson(per_hour * 24 * days))).astype(np.int32)


def cycle(minute: I32, day: float, weekend: float) -> F64:
    """What the log of a latency is above its mean."""
    return day * np.sin(2 * np.pi * minute / DAY) + weekend * ((minute // DAY + 3) % 7 >= 5)


def calls(minute: I32, latency: F64, code: I32 | None = None) -> Values:
    """Calls of one group, or of those that `code` lists."""
    count = len(minute)
    at = (START + minute).astype(np.int64) * MINUTE_US
    codes = np.zeros(count, np.int32) if code is None else code
    none = np.full(count, np.nan)
    return Values(codes, START + minute, at, np.arange(count, dtype=np.uint64), latency, none, np.full(count, -1))


def closed(values: Values, begin: int, end: int) -> Closed:
    """The calls of some minutes."""
    part = slice(*np.searchsorted(values.minute, [START + begin, START + end]))
    names = [("t", "m", f"c{i}") for i in range(int(values.code.max()) + 1)]
    columns: tuple[Any, ...] = tuple(values)
    return Closed(START + end, names, NO_TRIALS, Values(*(column[part] for column in columns)))


def run(values: Values, days: int) -> list[Alarm]:
    watched = QuantileShift(SETTINGS)
    return [a for day in range(days) for a in watched.close(closed(values, day * DAY, (day + 1) * DAY))]


def lognormal(minute: I32, rng: np.random.Generator, shift: F64 | float = 0.0) -> F64:
    latency: F64 = np.exp(np.log(800) + shift + rng.normal(0, 0.6, len(minute)))
    return latency


def test_slower_calls_are_found_with_a_promise_and_both_quantiles_raise_an_alarm() -> None:
    rng = np.random.default_rng(1)
    minute = minutes(20, 60, rng)
    begun = 18 * DAY + 600
    slower = np.where(minute >= begun, 0.5, 0.0)
    alarms = run(calls(minute, lognormal(minute, rng, slower)), 20)
    first = sorted((alarm for alarm in alarms if relation(alarm) == "first"), key=lambda alarm: alarm.series)
    assert [(*a.series[::2], a.direction, severity_of_alarm(a)) for a in first] == [
        ("quantile", "latency_ms:p50", "up", "warning"),
        ("quantile", "latency_ms:p90", "up", "warning"),
    ]
    middle = first[0]
    assert middle.promise == SETTINGS.false_alarms_per_1000_groups_per_week
    assert middle.at / MINUTE_US - START - begun <= 180
    assert abs(middle.changed_at / MINUTE_US - START - begun) <= 60
    assert middle.baseline == pytest.approx(0.5, abs=0.05)
    assert middle.current == pytest.approx(0.8, abs=0.1)
    assert middle.effect_low is not None
    assert 0 < middle.effect_low < 0.3
    assert isinstance(middle.details, ShareChange)
    assert middle.details.level == pytest.approx(800, rel=0.08)


@pytest.mark.slow
def test_the_hours_of_the_day_and_the_weekend_are_none() -> None:
    rng = np.random.default_rng(2)
    minute = minutes(35, 60, rng)
    assert run(calls(minute, lognormal(minute, rng, cycle(minute, 0.4, 0.3))), 35) == []


def test_a_price_that_never_varied_may_vary_by_little() -> None:
    rng = np.random.default_rng(3)
    minute = minutes(20, 60, rng)
    for factor, kinds in ((1.01, set()), (1.3, {"latency_ms:p50", "latency_ms:p90"})):
        price = np.where(minute >= 18 * DAY, 100.0 * factor, 100.0)
        assert {alarm.series[2] for alarm in run(calls(minute, price), 20)} == kinds


@pytest.mark.parametrize("since", [None, 3, 19])
def test_worse_scores_of_one_judge_are_alarms_under_its_name(since: int | None) -> None:
    """`since`: the day on which calls begin to share conversations, after which scores carry no promise."""
    rng = np.random.default_rng(4)
    minute = minutes(20, 40, rng)
    scores = np.where(minute < 18 * DAY, rng.beta(8, 2, len(minute)), rng.beta(6, 3, len(minute)))
    one, watched, alarms = np.ones(len(minute), np.int32), QuantileShift(SETTINGS), list[Alarm]()
    source = (np.arange(len(minute)) % 2).astype(np.int32)
    scores[source == 1] = 0.5
    table = Scores(0 * one, START + minute, source, np.rint(scores * 100).astype(np.int32), one)
    for day in range(20):
        part = slice(*np.searchsorted(minute, [day * DAY, (day + 1) * DAY]))
        message = closed(calls(minute[:1], np.array([np.nan])), 0, 0)._replace(
            through=START + (day + 1) * DAY,
            sources=("critic", "flat"),
            scores=Scores(*(column[part] for column in table)),
        )
        if since is not None and day >= since:
            at = np.array([START + day * DAY + 700], np.int32)
            shares = UnitTrials(0 * at, at, np.ones(1, np.uint64), np.ones(1, np.int8), 1 + 0 * at)
            message = message._replace(units=shares)
        alarms += watched.close(message)
    first = [alarm for alarm in alarms if relation(alarm) == "first"]
    assert {(a.series[2], a.direction, severity_of_alarm(a)) for a in first} == {
        ("score:p50:critic", "down", "warning"),
        ("score:p10:critic", "down", "critical"),
    }
    shared = START + DAY * since + 700 if since is not None else 2**31
    assert [alarm.promise is None for alarm in alarms] == [alarm.at / MINUTE_US > shared for alarm in alarms]


def test_cuts_and_restores_change_nothing() -> None:
    """Also where groups appear in the middle of a message."""
    rng = np.random.default_rng(5)
    minute = minutes(19, 60, rng)
    code = np.where(minute > 2 * DAY, rng.integers(0, 3, len(minute)), 2).astype(np.int32)
    shift = np.where((minute > 17 * DAY) & (code != 1), 0.6, 0.0)
    values = calls(minute, lognormal(minute, rng, shift), code)
    whole = QuantileShift(SETTINGS).close(closed(values, 0, 19 * DAY))
    watched, parts = QuantileShift(SETTINGS), list[Alarm]()
    cuts = [0, *np.unique(rng.integers(0, 19 * DAY, 40)).tolist(), 19 * DAY]
    for begin, end in pairwise(cuts):
        parts += watched.close(closed(values, begin, end))
        watched = QuantileShift(SETTINGS, pickle.loads(pickle.dumps(watched.state())))
    assert len(whole) >= 3
    assert parts == whole


def test_a_reference_counts_what_was_added_however_often_it_merged() -> None:
    rng = np.random.default_rng(6)
    reference, plain = Reference(), dict[tuple[int, int], int]()
    for _ in range(200):
        slot, level, count = int(rng.integers(0, 168)), rng.integers(-5, 5, 3), rng.integers(1, 4, 3)
        level = np.unique(level)
        count = count[: len(level)]
        n = reference.add(slot, level, count)
        for one, number in zip(level.tolist(), count.tolist(), strict=True):
            plain[slot, one] = plain.get((slot, one), 0) + number
    slots, levels, counts = reference.counts()
    assert dict(zip(zip(slots.tolist(), levels.tolist(), strict=True), counts.tolist(), strict=True)) == plain
    assert n == sum(plain.values())


def test_offsets_are_what_hours_and_days_differ_by() -> None:
    slot = np.arange(168)
    hourly, daily = 10 * (slot % 24 >= 12), 6 * (slot // 24 == 3)
    found = offsets(slot, 40 + hourly + daily, np.full(168, 100_000))
    assert np.ptp(found - hourly - daily) <= 1
    assert (offsets(slot, 40 + hourly, np.full(168, 1)) == np.rint(7 / 57 * (hourly - 5))).all()


@pytest.mark.statistics
@pytest.mark.slow
@pytest.mark.parametrize("day", [0.0, 0.3], ids=["steady", "with nights and weekends"])
def test_no_alarm_where_nothing_is_wrong(day: float) -> None:
    """Twenty groups of five tested weeks; hours and days wander by a tenth and a twentieth of the log too."""
    rng = np.random.default_rng(7)
    minute = minutes(49, 60 * 20, rng)
    code = rng.integers(0, 20, len(minute)).astype(np.int32)
    hour, date = minute // 60, minute // DAY
    wander = rng.normal(0, 0.1, (20, 49 * 24))[code, hour] + rng.normal(0, 0.05, (20, 49))[code, date]
    values = calls(minute, lognormal(minute, rng, cycle(minute, day, day) + (wander if day else 0.0)), code)
    assert run(values, 49) == []
