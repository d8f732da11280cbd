"""Says in a line per task type and day that calls came too late to be evidence: a backfill, an outage that is over."""

from __future__ import annotations

from typing import Final

from aftercall.times import DAY_US, HOUR_US, MINUTE_US, to_datetime
from connectors.batch import Warned
from models.groups import LateCalls

LATE_CALLS: Final = "late_calls"
"""The kind of these warnings. Each says how many there have been within the day."""
_IN_DAYS: Final = 2 * DAY_US


def late_warning(late: LateCalls) -> Warned:
    """The line, as it stands after these calls."""
    at = late.minute * MINUTE_US
    day = f"{to_datetime(at):%Y-%m-%d}"
    calls = f"{late.of_day:,} call{'s' if late.of_day > 1 else ''}"
    ages = _ages(at - late.newest, at - late.oldest)
    detail = (
        f"{calls} of {ages} ago arrived on {day} for task type '{late.task_type}': "
        "they count in the rates of their own time, and are no evidence about the present"
    )
    return Warned(LATE_CALLS, f"{late.task_type} on {day}", late.fresh, at, at, detail)


def _ages(least: int, most: int) -> str:
    """A span of ages, us, in hours or days.

    >>> _ages(90 * 60 * 1_000_000, 5 * 3_600_000_000), _ages(12 * 86_400_000_000, 12 * 86_400_000_000)
    ('2 to 5 hours', '12 days')
    """
    unit, name = (DAY_US, "days") if least >= _IN_DAYS else (HOUR_US, "hours")
    low, high = round(least / unit), round(most / unit)
    return f"{low} {name}" if low == high else f"{low} to {high} {name}"
