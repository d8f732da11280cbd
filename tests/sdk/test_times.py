"""Times on the wire are read strictly and written back exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import format_time, parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
FIRST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@given(st.integers(FIRST, LAST))
def test_what_is_written_is_read_back(us: int) -> None:
    assert parse_time(format_time(us)) == us


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2500, 1, 1)),  # noqa: DTZ001 - the zone is put on below
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_it_reads_what_the_standard_library_reads(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone)
    assert parse_time(aware.isoformat()) == (aware - EPOCH) // timedelta(microseconds=1)


def test_a_fraction_is_cut_to_microseconds_and_written_only_where_it_is_not_zero() -> None:
    assert parse_time("1970-01-01t00:00:00.123456999z") == 123_456
    assert format_time(0) == "1970-01-01T00:00:00Z"
    assert format_time(1) == "1970-01-01T00:00:00.000001Z"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-03-01T12:00:00", "no offset"),
        ("2026-03-01T12:00Z", "no seconds"),
        ("2026-12-31T23:59:60Z", "leap second"),
        ("2026-02-29T12:00:00Z", "not in the calendar"),
        ("2026-03-01T24:00:00Z", "not in the calendar"),
        ("0001-01-01T00:00:00+00:01", "not in the calendar"),
        ("9999-12-31T23:59:59-00:01", "not in the calendar"),
        ("2026-03-01T12:00:00+24:00", "offset beyond"),
        ("2026-03-01T12:00:00.1234567890Z", "more than 9 digits"),
        ("2026-03-01 12:00:00Z", "not an RFC 3339 time"),
        ("2026-03-01T12:00:00Z\n", "not an RFC 3339 time"),
        ("２026-03-01T12:00:00Z", "not an RFC 3339 time"),
        ("", "not an RFC 3339 time"),
    ],
)
def test_a_bad_time_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_time(text)


def test_a_time_outside_the_calendar_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="outside the years"):
        format_time(LAST + 1)
