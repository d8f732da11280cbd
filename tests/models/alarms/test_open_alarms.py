"""At most one alarm is open for each series: the next moves it again, ends it, or comes after time has freed it."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import DAY_US, HOUR_US, to_us
from models.alarms.alarm import Alarm, OpenAlarm, RateChange, Series
from models.alarms.digits import rounded, significant
from models.alarms.open_alarms import OpenAlarms

SERIES: Series = ("drift", ("refund", "atlas", None), "success_rate")
OTHER: Series = ("drift", ("search", "atlas", None), "success_rate")
START = to_us(datetime(2026, 3, 2, tzinfo=UTC))


def alarm(hour: int, **fields: Any) -> Alarm:
    known: dict[str, Any] = {
        "at": START + hour * HOUR_US,
        "series": SERIES,
        "direction": "down",
        "baseline": 0.9,
        "current": 0.8,
        "effect_low": -0.15,
        "effect_high": -0.05,
        "changed_at": START + (hour - 1) * HOUR_US,
        "promise": 1.0,
        "evidence": {"threshold": 2000.0},
        "details": RateChange(inherited=False),
    }
    return Alarm(**(known | fields))


def test_the_first_alarm_is_as_its_detector_found_it_and_the_next_moves_it_again() -> None:
    book = OpenAlarms(7 * DAY_US)
    assert book.add(alarm(1), (10.0, 100.0)) == alarm(1)
    assert book.origin(SERIES, "down") == (10.0, 100.0)
    assert book.origin(SERIES, "up") is None
    assert book.add(alarm(2, current=0.7), (11.0, 120.0)) == alarm(2, current=0.7, again=True)
    assert book.origin(SERIES, "down") == (10.0, 100.0), "later alarms are compared with the first baseline"


def test_a_recovery_names_the_alarm_that_it_ends_and_is_measured_from_its_baseline() -> None:
    book = OpenAlarms(7 * DAY_US)
    book.add(alarm(1), (1.0,))
    book.add(alarm(2, current=0.7), (2.0,))
    over = book.add(alarm(30, direction="up", baseline=0.7, current=0.8912345678), (3.0,))
    assert over.ends == OpenAlarm("down", START + HOUR_US, 0.9, 0.7, promised=True)
    assert (over.baseline, over.current, over.effect_low, over.effect_high) == (0.9, 0.891235, None, None)
    assert book.add(alarm(40, direction="up"), (4.0,)) == alarm(40, direction="up"), "the series is free again"


@pytest.mark.parametrize("promise", [None, 1.0])
def test_a_recovery_is_promised_as_the_alarm_that_it_ends(promise: float | None) -> None:
    book = OpenAlarms(7 * DAY_US)
    book.add(alarm(1, promise=promise), ())
    assert book.add(alarm(9, direction="up"), ()).promise == promise


@given(st.integers(0, 10 * 24), st.booleans())
def test_time_frees_a_series_after_the_set_time_and_no_other(hours: int, by_name: bool) -> None:  # noqa: FBT001
    book = OpenAlarms(5 * DAY_US)
    book.add(alarm(0), ())
    book.add(alarm(0, series=OTHER, at=START + 20 * DAY_US), ())
    book.expire(START + hours * HOUR_US, SERIES if by_name else None)
    assert (book.origin(SERIES, "down") is None) == (hours >= 5 * 24)
    assert book.origin(OTHER, "down") == ()


def test_a_resumed_book_goes_on_as_the_one_before() -> None:
    book = OpenAlarms(7 * DAY_US)
    book.add(alarm(1), (1.0, 2.0))
    resumed = OpenAlarms(7 * DAY_US, pickle.loads(pickle.dumps(book.state())))
    recovery = alarm(30, direction="up")
    assert resumed.origin(SERIES, "down") == (1.0, 2.0)
    assert resumed.add(recovery, ()) == book.add(recovery, ())


def test_a_state_that_holds_whole_records_is_read() -> None:
    """Detectors once made records themselves, and stored them."""
    record = {
        "alert_id": "0" * 32, "seq": 2, "kind": "drift", "metric": "success_rate", "task_type": "refund",
        "model": "atlas", "config": None, "direction": "down", "opened_at": datetime(2026, 3, 2, 1, tzinfo=UTC),
        "closed_at": None, "changed_at": datetime(2026, 3, 2, tzinfo=UTC), "promise": "At most 1 false alarm.",
        "state": "updated", "reason": "It fell.", "severity": "warning", "baseline": 0.9, "current": 0.75,
        "effect_low": -0.2, "effect_high": -0.1, "evidence": {}, "updated_at": datetime(2026, 3, 2, 5, tzinfo=UTC),
    }  # fmt: skip
    state = {"open": {SERIES: record}, "origin": {SERIES: (5.0, 50.0)}, "count": {(SERIES, "down"): 1}}
    book = OpenAlarms(7 * DAY_US, state)
    assert book.origin(SERIES, "down") == (5.0, 50.0)
    assert book.state().keys() == state.keys()
    over = book.add(alarm(30, direction="up"), ())
    assert over.ends == OpenAlarm("down", START + HOUR_US, 0.9, 0.75, promised=True)


@given(st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_evidence_is_rounded_to_six_digits(evidence: dict[str, float]) -> None:
    found = rounded(evidence)
    assert found.keys() == evidence.keys()
    for name, value in found.items():
        assert value == significant(value)
        assert math.isclose(value, evidence[name], rel_tol=1e-5, abs_tol=1e-300)
