"""Looks up in the IANA database by how many hours a time zone differs from UTC when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from aftercall.times import HOUR_US, to_us
from models.drift import UTC_ZONE, Zone

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Between them changes of the clocks are looked up; beyond them clocks stay as they were."""


@lru_cache
def zone_of(name: str) -> Zone:
    """The offsets of a time zone, hour by hour: some 20 ms for each zone.

    >>> zone_of("UTC").offsets
    (0,)
    """
    zone, day = ZoneInfo(name), timedelta(days=1)
    begins, offsets = [_hour(_FIRST)], [_offset(zone, _FIRST)]
    at = _FIRST
    while at < _LAST:
        if _offset(zone, at + day) != offsets[-1]:
            # On that day clocks change; twice in a day they do not.
            moved = next(hour for hour in range(1, 25) if _offset(zone, at + timedelta(hours=hour)) != offsets[-1])
            begins.append(_hour(at) + moved)
            offsets.append(_offset(zone, at + day))
        at += day
    return UTC_ZONE if offsets == [0] else Zone(tuple(begins), tuple(offsets))


def _hour(at: datetime) -> int:
    return to_us(at) // HOUR_US


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset() or timedelta()
    return offset // timedelta(hours=1)
