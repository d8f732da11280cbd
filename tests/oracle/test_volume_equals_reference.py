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
