"""The detector of volumes raises the alarms of the slow reference, on traffic of every shape, wherever it resumes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aftercall.times import DAY_US, HOUR_US
from models import plain
from models.drift.calendar import Calendar, Planned, Zone
from models.drift.settings import DriftSettings
from models.drift.volume.detector import ArrivalDetector, Deviation
from models.drift.volume.responses import ResponseDetector
from oracle.arrivals import DAY, FEWER, MORE, WEEK, Found, ReferenceSeries, When

WEEKS = 7
START = 2_916 * WEEK + 4 * DAY
"""A Monday, in hours since 1970."""
CHANGE = START + 5 * WEEK + 3 * DAY + 1
CALENDAR = Calendar(
    zones={"away": Zone((0, CHANGE), (2, 1)), "half": Zone((0,), (5,))},
    holidays=frozenset(START // DAY + day for day in (8, 15, 29, 37)),
    planned=(Planned((START + 4 * WEEK) * HOUR_US + 7, (START + 4 * WEEK + 30) * HOUR_US, "away"),),
)
EAGER = DriftSettings(false_alarms_per_1000_groups_per_week=3000.0, new_normal_after_us=4 * DAY_US, calendar=CALENDAR)
TASKS = ("away", "half", "here", "moved", "rare", "jobs")


class Stream(NamedTuple):
    """Events per hour, shape (hours, tasks)."""

    events: np.ndarray


def stream(seed: int) -> Stream:
    """Office hours, nights, jobs at odd hours, next to nothing; some stop for a while, some are flooded."""
    rng = np.random.default_rng(seed)
    hour = np.arange(WEEKS * WEEK)
    local = (START + hour) % WEEK
    work = ((START + hour) // DAY + 3) % 7 < 5
    office = np.where(work & (local % DAY >= 8) & (local % DAY < 17), 20.0, 0.1)
    moved = np.where(hour >= 5 * WEEK, np.roll(office, 1), office)
    away = np.where(START + hour >= CHANGE, np.roll(office, 1), office)
    steady = 12 + 10 * np.sin(2 * np.pi * hour / DAY)
    rates = np.stack((away, steady, steady, moved, np.full(len(hour), 0.03), np.full(len(hour), 0.2)), axis=1)
    rates[4 * WEEK : 4 * WEEK + 30, 0] = 0.0
    for task, factor in ((1, 0.0), (2, 6.0), (5, 0.0), (0, 0.1)):
        begin = int(rng.integers(3 * WEEK, 6 * WEEK))
        rates[begin : begin + int(rng.integers(10, 120)), task] *= factor
    events = rng.poisson(rates)
    events[:, 5] = [rng.integers(20, 60, count).sum() for count in events[:, 5]]
    events[0] = 1
    return Stream(events.astype(float))


def expected(made: Stream, threshold: float) -> list[tuple[str, Found]]:
    found = []
    for row, task in enumerate(TASKS):
        series = ReferenceSeries((*FEWER, *MORE), threshold, EAGER.new_normal_after_us // HOUR_US)
        for at, events in enumerate(made.events[:, row].tolist()):
            hour = START + at
            local, before = CALENDAR.local(task, hour), CALENDAR.local(task, hour - 1)
            when = When(local, before, CALENDAR.is_holiday(task, hour), not CALENDAR.is_planned(task, hour))
            found += [(task, one) for one in series.hour(hour, when, events)]
    return found


def compared(found: Found) -> tuple[float, ...]:
    return (found.since, found.seen, found.foreseen, -1.0 if found.mean_r is None else found.mean_r)


@pytest.mark.slow
@settings(max_examples=4, phases=[Phase.explicit, Phase.reuse, Phase.generate], deadline=None)
@given(st.integers(0, 50), st.sets(st.integers(1, WEEKS * WEEK), max_size=6))
def test_the_detector_raises_the_alarms_of_the_reference(seed: int, resumes: set[int]) -> None:
    made = stream(seed)
    detector = ArrivalDetector(EAGER, more=True)
    threshold = EAGER.threshold_of("calls")
    detector.add([(task,) for task in TASKS], [threshold] * len(TASKS), START)
    got: list[tuple[str, int, Deviation]] = []
    for at, events in enumerate(made.events):
        if at in resumes:
            detector = ArrivalDetector(EAGER, more=True, state=plain.unpack(plain.pack(detector.state())))
        detector.normal(START + at)
        # Silences before a profile is known are not in the reference: they wait for more events than there are.
        for row, one in detector.advance_hour(START + at, events, np.ones(len(TASKS)), np.zeros(len(TASKS))):
            got.append((TASKS[row], START + at, one))
    want = sorted(expected(made, threshold), key=lambda one: (one[1].hour, one[0]))
    got.sort(key=lambda one: (one[1], one[0]))
    assert [(task, hour, one.direction == "down", one.over) for task, hour, one in got] == [
        (task, one.hour, one.down, one.mean_r is None) for task, one in want
    ]
    for (_, hour, deviation), (_, reference) in zip(got, want, strict=True):
        mean_r = deviation.mean_r
        mine = Found(hour, reference.down, deviation.since, deviation.seen, deviation.foreseen, mean_r)
        assert compared(mine) == pytest.approx(compared(reference), rel=1e-6)


@pytest.mark.slow
def test_the_traffic_has_what_makes_it_hard() -> None:
    found = [one for seed in (1, 2, 3) for one in expected(stream(seed), EAGER.threshold_of("calls"))]
    assert {one.down for _, one in found} == {True, False}
    assert {one.mean_r is None for _, one in found} == {True, False}
    assert {"half", "here"} <= {task for task, _ in found}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_the_detector_of_responses_raises_the_alarms_of_the_reference_where_falls_are_of_a_part(seed: int) -> None:
    """As many are due as calls make due; from the fifth week on fewer come: a half, a third, none, as many."""
    rng, hour = np.random.default_rng(seed), np.arange(WEEKS * WEEK)
    due = np.stack([20 + 15 * np.sin(2 * np.pi * hour / DAY + phase) for phase in range(4)], axis=1)
    rates = due * np.where(hour >= 4 * WEEK + 11, 1, 0)[:, None] * (np.array([0.45, 0.3, 0.0, 1.0]) - 1) + due
    rates[6 * WEEK :] = due[6 * WEEK :]
    days = np.repeat(rng.gamma(60.0, 1 / 60, (WEEKS * 7, 4)), DAY, axis=0)
    events = rng.poisson(rates * days).astype(float)
    events[0] = due[0] = 1.0
    rules = DriftSettings(false_alarms_per_1000_groups_per_week=30.0, new_normal_after_us=20 * DAY_US)
    threshold = rules.threshold_of("responses")
    detector = ResponseDetector(rules)
    detector.add([(f"task-{row}", "judge") for row in range(4)], [threshold] * 4, START)
    series = [ReferenceSeries((*FEWER, 0.5), threshold, 20 * DAY, least=1.5) for _ in range(4)]
    got, want = [], []
    for at in range(WEEKS * WEEK):
        if at % 300 == 299:
            detector = ResponseDetector(rules, plain.unpack(plain.pack(detector.state())))
        detector.normal(START + at)
        found = detector.advance_hour(START + at, events[at], due[at], np.zeros(4))
        got += [(row, at, one.direction == "down", one.seen) for row, one in sorted(found, key=lambda each: each[0])]
        for row, one in enumerate(series):
            when = When(START + at, START + at - 1)
            want += [
                (row, at, each.down, each.seen) for each in one.hour(START + at, when, events[at, row], due[at, row])
            ]
    assert got == want
    assert {row for row, _, down, _ in got if down} == {0, 1, 2}
    assert {row for row, _, down, _ in got if not down} >= {0, 2}
