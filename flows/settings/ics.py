"""Reads the whole days of an iCalendar file (RFC 5545): holidays, once or every year."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice, takewhile
from typing import Any, Final

from dateutil.rrule import rrulestr
from icalendar import Calendar

UNTIL: Final = date(2100, 1, 1)
"""What repeats itself for ever is followed so far."""
_MOST_OF_ONE: Final = 1_000
_LONGEST: Final = 366


def days_of(data: bytes) -> list[date]:
    """All days of all events.

    Raises:
        ValueError: it is no calendar, has no events, or one that is no whole day or repeats itself but yearly; one
            clause.
    """
    try:
        events = Calendar.from_ical(data).walk("VEVENT")
    except (ValueError, IndexError, KeyError) as wrong:
        raise ValueError(f"it is no calendar: {wrong}") from None
    if not events:
        raise ValueError("it has no events")
    return [day for event in events for day in _days(event)]


def _days(event: Any) -> Iterator[date]:
    name = str(event.get("SUMMARY", "an event"))
    if "DTSTART" not in event:
        raise ValueError(f"{name!r} has no DTSTART")
    start, end = event.decoded("DTSTART"), event.decoded("DTEND", None)
    if datetime in {type(start), type(end)}:
        raise ValueError(f"{name!r} is no whole day: give it DTSTART;VALUE=DATE")
    length = (end - start).days if end is not None else event.decoded("DURATION", timedelta(days=1)).days
    if not 1 <= length <= _LONGEST:
        raise ValueError(f"{name!r} has {length} days")
    for first in _starts(event, start, name):
        yield from (first + timedelta(days=day) for day in range(length))


def _starts(event: Any, start: date, name: str) -> Iterator[date]:
    rule = event.get("RRULE")
    if rule is None:
        yield start
        return
    if rule.get("FREQ") != ["YEARLY"]:
        raise ValueError(f"{name!r} repeats itself, and not yearly")
    text = rule.to_ical().decode()
    moments = rrulestr(text, dtstart=datetime.combine(start, time()), ignoretz=True)
    excluded = event.get("EXDATE", [])
    left_out = {one.dt for group in (excluded if isinstance(excluded, list) else [excluded]) for one in group.dts}
    dates = (moment.date() for moment in moments)
    yield from (day for day in islice(takewhile(lambda day: day < UNTIL, dates), _MOST_OF_ONE) if day not in left_out)
