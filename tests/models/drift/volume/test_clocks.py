"""Where no zone is set, work at local hours raises no alarm when clocks change, and its end is still missed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection.arrivals import START, WEEK, alarms
from benchmarks.detection.clocks import local_hours
from models.arrays import F64, I64
from models.drift import ArrivalDetector, DriftSettings

DAY, SERIES, WEEKS = 24, 80, 8


def drawn(seed: int) -> I64:
    """Each series has its country, its work and its change of clocks; shape (hours, SERIES)."""
    rng = np.random.default_rng(seed)
    return rng.poisson(local_hours(rng, START, WEEKS * WEEK, SERIES))


def office(hours: int, night: float) -> F64:
    """100 calls an hour on working days from 9 to 17."""
    local = START + np.arange(hours)
    there = (local % DAY >= 9) & (local % DAY < 17) & ((local // DAY + 3) % 7 < 5)
    return np.where(there, 100.0, night)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4])
def test_clocks_that_change_raise_no_alarm_in_any_country_in_either_direction_however_thin_nights_are(
    seed: int,
) -> None:
    assert alarms(drawn(seed), promise=1.0) == ([], [])


@pytest.mark.slow
def test_what_stops_in_the_week_after_the_clocks_have_changed_is_missed_before_the_next_day_of_work() -> None:
    """In the autumn work begins an hour later; on Wednesday at noon it stops."""
    change, stop = 5 * WEEK - DAY + 1, 5 * WEEK + 2 * DAY + 12
    rates = office(6 * WEEK, 0.5)
    rates[change:] = np.roll(rates, 1)[change:]
    events = np.random.default_rng(5).poisson(rates[:, None], (6 * WEEK, 20))
    events[stop:] = 0
    promised, others = alarms(events, promise=1.0)
    assert others == []
    assert sorted(row for _, row, _ in promised) == list(range(20))
    assert np.median([hour + 1 - stop for hour, _, _ in promised]) <= 20


@pytest.mark.slow
def test_the_noise_of_nights_and_weekends_moves_no_profile() -> None:
    """Hours that are alike differ by chance, and one of three profiles always looks best."""
    events = np.random.default_rng(7).poisson(office(WEEKS * WEEK, 10.0)[:, None], (WEEKS * WEEK, SERIES))
    rules = DriftSettings()
    detector = ArrivalDetector(rules, more=True)
    detector.add([(f"task-{row}",) for row in range(SERIES)], [rules.threshold_of("calls")] * SERIES, START)
    moved = np.zeros(SERIES)
    for at, arrived in enumerate(events.astype(np.float64)):
        detector.advance_hour(START + at, arrived, np.ones(SERIES), detector.usual(START + at))
        moved += np.abs(detector.state()["profile"]["moved"])
    assert not moved.any()
