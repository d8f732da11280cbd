"""Converts times between RFC 3339 text on the wire and integer microseconds inside the pipeline.

Microseconds count from 1970 UTC. Every room takes its units of time from here. A minute, an hour or a day in a name
without `_US` is a number of whole ones since 1970 UTC: `us // MINUTE_US`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
QUARTER_US: Final = 15 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
WEEK_US: Final = 7 * DAY_US
MINUTES_PER_HOUR: Final = 60
MINUTES_PER_QUARTER: Final = 15
QUARTERS_PER_HOUR: Final = 4
MINUTES_PER_DAY: Final = 1440
HOURS_PER_DAY: Final = 24
DAYS_PER_WEEK: Final = 7
HOURS_PER_WEEK: Final = 168
MINUTES_PER_WEEK: Final = 10_080
MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0
NEVER: Final = -(2**63)
"""An absent time; the clock of a partition without a record."""
YEAR_2000_US: Final = 946_684_800_000_000
"""The earliest time an event may carry."""

_SHAPE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_EPOCH_DAY = EPOCH.toordinal()
_MICROSECOND = timedelta(microseconds=1)
_MIN_US = -_EPOCH_DAY * DAY_US + DAY_US
_MAX_US = (datetime(9999, 12, 31, tzinfo=UTC).toordinal() + 1 - _EPOCH_DAY) * DAY_US - 1
_MAX_FRACTION_DIGITS = 9


def parse_time(text: str) -> int:
    """Read an RFC 3339 time, strictly.

    Args:
        text: such as `2026-03-01T12:00:00Z` or `2026-03-01t13:00:00.25+01:00`. Seconds and an offset or `Z` are
            required; up to nine digits of a fraction are read, those beyond microseconds are cut off.

    Returns:
        Microseconds since 1970-01-01T00:00:00Z; negative before.

    Raises:
        ValueError: the text is no such time; the message is one clause with the rule and the text.

    >>> parse_time("1970-01-01T00:00:01.5Z")
    1500000
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        message = f"is not an RFC 3339 time such as 2026-03-01T12:00:00Z; got {_shown(text)}"
        raise ValueError(message)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if second is None:
        message = f"has no seconds; got {_shown(text)}"
        raise ValueError(message)
    if zone is None:
        message = f"has no offset and no Z; got {_shown(text)}"
        raise ValueError(message)
    if fraction is not None and len(fraction) > _MAX_FRACTION_DIGITS:
        message = f"has more than {_MAX_FRACTION_DIGITS} digits of a second; got {_shown(text)}"
        raise ValueError(message)
    if second == "60":
        message = f"is a leap second, which has no place on the time line here; got {_shown(text)}"
        raise ValueError(message)
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError as wrong:
        message = f"is not in the calendar ({wrong}); got {_shown(text)}"
        raise ValueError(message) from None
    seconds_of_day = local.hour * 3600 + local.minute * 60 + local.second - _offset_s(zone, text)
    micros = int((fraction or "")[:6].ljust(6, "0"))
    us = (local.toordinal() - _EPOCH_DAY) * DAY_US + seconds_of_day * 1_000_000 + micros
    if not _MIN_US <= us <= _MAX_US:
        message = f"is not in the calendar (in UTC, years are 1 to 9999); got {_shown(text)}"
        raise ValueError(message)
    return us


def format_time(us: int) -> str:
    """Write microseconds since 1970 UTC as RFC 3339 with `Z`, with a fraction only where it is not zero.

    Raises:
        ValueError: outside the years 1 to 9999.

    >>> format_time(1_500_000), format_time(0)
    ('1970-01-01T00:00:01.500000Z', '1970-01-01T00:00:00Z')
    """
    try:
        moment = to_datetime(int(us))
    except OverflowError:
        message = f"{us} us is outside the years 1 to 9999"
        raise ValueError(message) from None
    return moment.replace(tzinfo=None).isoformat() + "Z"


def to_datetime(us: int) -> datetime:
    """An aware datetime in UTC from microseconds since 1970 UTC.

    Raises:
        OverflowError: outside the years 1 to 9999.

    >>> to_datetime(1_500_000).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return EPOCH + us * _MICROSECOND


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime: the reverse of `to_datetime`.

    >>> to_us(to_datetime(1_500_000))
    1500000
    """
    return (moment - EPOCH) // _MICROSECOND


def duration_us(span: timedelta) -> int:
    """Whole microseconds of a span of time, exactly.

    >>> duration_us(timedelta(hours=1)) == HOUR_US
    True
    """
    return span // _MICROSECOND


def _offset_s(zone: str, text: str) -> int:
    if zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        message = f"has an offset beyond 23:59; got {_shown(text)}"
        raise ValueError(message)
    seconds = hours * 3600 + minutes * 60
    return -seconds if zone[0] == "-" else seconds


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
