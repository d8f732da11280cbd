"""Each night once, whatever the clocks do."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.evaluation.golden_serve import due
from flows.evaluation.nights import EARLY, begins, next_begin, night_of
from flows.settings import Settings
from flows.settings.golden import Golden

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"]
CLOCK = st.times().map(lambda one: one.replace(second=0, microsecond=0, tzinfo=None, fold=0))


@given(st.integers(0, 3 * 366 * 24 * 60), CLOCK, st.sampled_from(ZONES))
def test_a_moment_lies_in_the_night_that_has_begun_last(minute: int, at: time, name: str) -> None:
    now, zone = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minute), ZoneInfo(name)
    night = night_of(now, at, zone)
    assert begins(night, at, zone) <= now + EARLY < begins(night + timedelta(days=1), at, zone)
    assert now < next_begin(now, at, zone)
    assert next_begin(next_begin(now, at, zone) - timedelta(minutes=1), at, zone) == next_begin(now, at, zone)


@pytest.mark.parametrize(
    ("day", "first", "hours"), [(date(2026, 3, 29), "01:00", 23), (date(2026, 10, 25), "00:00", 25)]
)
def test_a_night_at_two_is_run_once_where_clocks_skip_two_or_show_it_twice(day: date, first: str, hours: int) -> None:
    golden = Golden(dataset="d", agent="a", timezone="Europe/Berlin")
    zone = ZoneInfo("Europe/Berlin")
    begun = begins(day, golden.begins_at, zone)
    assert f"{begun:%H:%M}" == first
    assert begins(day + timedelta(days=1), golden.begins_at, zone) - begun in {
        timedelta(hours=23),
        timedelta(hours=24),
        timedelta(hours=25),
    }
    settings, tried, ran = Settings(golden={"night": golden}), set[tuple[str, str]](), Counter[date]()
    now = datetime.combine(day - timedelta(days=1), time(), UTC)
    while now < datetime.combine(day + timedelta(days=2), time(), UTC):
        for _ in due(settings, now, tried):
            ran[night_of(now, golden.begins_at, zone)] += 1
        now += timedelta(minutes=7)
    assert set(ran.values()) == {1}
    assert [day in ran, hours in {23, 25}] == [True, True]


def test_a_night_that_was_missed_is_run_for_six_hours_and_not_later() -> None:
    settings = Settings(golden={"one": Golden(dataset="d", agent="a")})
    assert list(due(settings, datetime(2026, 5, 1, 7, 59, tzinfo=UTC), set())) == ["one"]
    assert list(due(settings, datetime(2026, 5, 1, 8, 0, tzinfo=UTC), set())) == []


def test_a_cron_that_is_some_minutes_early_belongs_to_the_night_that_begins() -> None:
    at, zone = time(2), ZoneInfo("UTC")
    assert night_of(datetime(2026, 5, 1, 1, 51, tzinfo=UTC), at, zone) == date(2026, 5, 1)
    assert night_of(datetime(2026, 5, 1, 1, 49, tzinfo=UTC), at, zone) == date(2026, 4, 30)
