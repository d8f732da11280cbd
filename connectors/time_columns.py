"""Many RFC 3339 times at once: the text of all is one byte matrix per length, parsed column by column.

Only the common shapes of the years 2000 to 2199 are read this way; every other text goes to `aftercall.times`, whose
word is final.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from aftercall.times import YEAR_2000_US, parse_time
from connectors.columns import I64, NEVER, Bools

_FIRST_YEAR, _LAST_YEAR = 2000, 2199
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = [(year, month) for year in range(_FIRST_YEAR, _LAST_YEAR + 1) for month in range(1, 13)]
_DAYS_BEFORE = np.array([(datetime(y, m, 1, tzinfo=UTC) - _EPOCH).days for y, m in _MONTHS], dtype=np.int64)
_DAYS_IN = np.array([calendar.monthrange(y, m)[1] for y, m in _MONTHS], dtype=np.int64)
_SECONDS_END = len("2026-03-01T12:00:00")
_FRACTION_DIGITS = 9
_OFFSET_WIDTH = len("+01:00")
_SHORTEST, _LONGEST = _SECONDS_END + 1, _SECONDS_END + len(".123456789") + _OFFSET_WIDTH
_DIGITS = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
_ZERO = ord("0")

_Bytes = NDArray[np.uint8]


def parse_times(texts: list[str]) -> tuple[I64, Bools]:
    """Read times as `aftercall.times.parse_time` does.

    Returns:
        Microseconds since 1970 UTC, `NEVER` where not accepted, and whether each is a time not before 2000.
    """
    count = len(texts)
    found = np.full(count, NEVER, dtype=np.int64)
    sure = np.zeros(count, dtype=np.bool_)
    if count == 0:
        return found, sure
    text = np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)
    lengths = np.fromiter(map(len, texts), np.int64, count)
    width = int(lengths[0])
    if (lengths == width).all():
        if _SHORTEST <= width <= _LONGEST:
            found, sure = _parse(text.reshape(count, width))
    else:
        starts = np.cumsum(lengths) - lengths
        for width in np.unique(lengths).tolist():
            if _SHORTEST <= width <= _LONGEST:
                rows = np.flatnonzero(lengths == width)
                found[rows], sure[rows] = _parse(text[starts[rows, None] + np.arange(width)])
    if not sure.all():
        _parse_one_by_one(texts, found, sure)
    return found, sure


def _parse_one_by_one(texts: list[str], found: I64, sure: Bools) -> None:
    for row in np.flatnonzero(~sure).tolist():
        found[row] = NEVER
        try:
            us = parse_time(texts[row])
        except ValueError:
            continue
        if us >= YEAR_2000_US:
            found[row], sure[row] = us, True


def _parse(rows: _Bytes) -> tuple[I64, Bools]:
    """Rows of one width; a row ends in Z or in an offset."""
    zulu = (rows[:, -1] | 32) == ord("z")
    if zulu.all():
        return _parse_columns(np.ascontiguousarray(rows.T), zone_width=1)
    found = np.full(len(rows), NEVER, dtype=np.int64)
    sure = np.zeros(len(rows), dtype=np.bool_)
    for mask, zone_width in ((zulu, 1), (~zulu, _OFFSET_WIDTH)):
        if mask.any() and rows.shape[1] >= _SECONDS_END + zone_width:
            found[mask], sure[mask] = _parse_columns(np.ascontiguousarray(rows[mask].T), zone_width)
    return found, sure


def _parse_columns(text: _Bytes, zone_width: int) -> tuple[I64, Bools]:
    """`text[i]` is the i-th character of every row."""
    end = len(text) - zone_width
    fraction = range(_SECONDS_END + 1, end)
    sure = (text[4] == ord("-")) & (text[7] == ord("-")) & ((text[10] | 32) == ord("t"))
    sure &= (text[13] == ord(":")) & (text[16] == ord(":"))
    if end > _SECONDS_END:
        sure &= text[_SECONDS_END] == ord(".")
        sure &= 0 < len(fraction) <= _FRACTION_DIGITS
    digits = text - _ZERO  # wraps below "0", so that everything else is beyond 9
    for i in (*_DIGITS, *fraction):
        sure &= digits[i] <= 9
    year = _number(digits, 0, 4)
    month, day = _number(digits, 5, 7), _number(digits, 8, 10)
    hour, minute, second = _number(digits, 11, 13), _number(digits, 14, 16), _number(digits, 17, 19)
    sure &= (year >= _FIRST_YEAR) & (year <= _LAST_YEAR) & (month >= 1) & (month <= 12)
    sure &= (hour < 24) & (minute < 60) & (second < 60) & (day >= 1)
    index = np.where(sure, (year - _FIRST_YEAR) * 12 + month - 1, 0)
    sure &= day <= _DAYS_IN[index]
    seconds = (_DAYS_BEFORE[index] + day - 1) * 86_400 + hour * 3600 + minute * 60 + second
    if zone_width == _OFFSET_WIDTH:
        offset, known = _offset_s(text[end:], digits[end:])
        seconds -= offset
        sure &= known
    us = seconds * 1_000_000
    for place, i in enumerate(fraction[:6]):
        us += digits[i].astype(np.int64) * 10 ** (5 - place)
    sure &= us >= YEAR_2000_US
    return us, sure


def _offset_s(zone: _Bytes, digits: _Bytes) -> tuple[I64, Bools]:
    minus = zone[0] == ord("-")
    known = (minus | (zone[0] == ord("+"))) & (zone[3] == ord(":"))
    for i in (1, 2, 4, 5):
        known &= digits[i] <= 9
    hours, minutes = _number(digits, 1, 3), _number(digits, 4, 6)
    known &= (hours < 24) & (minutes < 60)
    seconds = hours * 3600 + minutes * 60
    return np.where(minus, -seconds, seconds), known


def _number(digits: _Bytes, start: int, stop: int) -> I64:
    value: I64 = digits[start].astype(np.int64)
    for i in range(start + 1, stop):
        value = value * 10 + digits[i]
    return value
