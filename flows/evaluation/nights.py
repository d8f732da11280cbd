"""Says which night it is for a golden set, and when the next one begins: each night once, whatever the clocks do.

A night has the date on which it begins, on the clocks of the set's time zone, and lasts until the next one begins.
Where clocks skip its time, it begins as much later; where they show it twice, it begins at the first.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

EARLY: Final = timedelta(minutes=10)
"""By so much a cron may be early: what it starts belongs to the night that is about to begin."""
_ONE_DAY: Final = timedelta(days=1)


def begins(night: date, at: time, zone: ZoneInfo) -> datetime:
    """When a night begins, in UTC.

    >>> zone = ZoneInfo("Europe/Berlin")
    >>> [begins(date(2026, 3, day), time(2), zone).isoformat(" ", "minutes")[5:] for day in (28, 29, 30)]
    ['03-28 01:00+00:00', '03-29 01:00+00:00', '03-30 00:00+00:00']
    """
    return datetime.combine(night, at, zone).astimezone(UTC)


def night_of(now: datetime, at: time, zone: ZoneInfo) -> date:
    """The night that has begun last, or begins within `EARLY`; `now` is in UTC."""
    soon = now + EARLY
    latest = soon.astimezone(zone).date()
    while begins(latest, at, zone) > soon:
        latest -= _ONE_DAY
    return latest


def next_begin(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """When the next night begins, later than `now`; both in UTC."""
    night = now.astimezone(zone).date() - _ONE_DAY
    while begins(night, at, zone) <= now:
        night += _ONE_DAY
    return begins(night, at, zone)
