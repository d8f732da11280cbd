"""Parses many RFC 3339 times at once, as one byte matrix per length of text.

The matrix is parsed column by column. Only the common shapes of the years 2000 to 2199 are read this way; every other
text goes to `aftercall.times`, which decides.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from aftercall.times import EPOCH, NEVER, YEAR_2000_US, parse_time
from connectors.batch import I64, U8, Bools

_FIRST_YEAR, _LAST_YEAR = 2000, 2199
_MONTHS = [(year, month) for year in range(_FIRST_YEAR, _LAST_YEAR + 1) for month in range(1, 13)]
_DAYS_BEFORE = np.array([(datetime(y, m, 1, tzinfo=UTC) - EPOCH).days for y, m in _MONTHS], dtype=np.int64)
_DAYS_IN = np.array([calendar.monthrange(y, m)[1] for y, m in _MONTHS], dtype=np.int64)
_SECONDS_END = len("2026-03-01T12:00:00")
_FRACTION_DIGITS = 9
_OFFSET_WIDTH = len("+01:00")
_SHORTEST, _LONGEST = _SECONDS_END + 1, _SECONDS_END + len(".123456789") + _OFFSET_WIDTH
_PAIRS = np.array([0, 2, 5, 8, 11, 14, 17])
"""Where the pairs of digits begin: century, year, month, day, hour, minute, second."""
_LEAST = np.array([[_FIRST_YEAR // 100], [0], [1], [1], [0], [0], [0]], dtype=np.uint8)
_MOST = np.array([[_LAST_YEAR // 100], [99], [12], [31], [23], [59], [59]], dtype=np.uint8)
_BETWEEN = {4: "-", 7: "-", 13: ":", 16: ":"}
_ZERO = ord("0")
_SEPARATOR = "\n"


def parse_times(texts: list[str]) -> tuple[I64, Bools]:
    """Read times as `aftercall.times.parse_time` does.

    Returns:
        Microseconds since 1970 UTC, `NEVER` where not accepted, and whether each is a time not before 2000.
    """
    count = len(texts)
    if count == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
    width = len(texts[0])
    joined = _SEPARATOR.join(texts)
    if len(joined) == count * (width + 1) - 1 and _SHORTEST <= width <= _LONGEST and joined.isascii():
        rows = np.frombuffer((joined + _SEPARATOR).encode(), dtype=np.uint8).reshape(count, width + 1)
        # No time contains the separator: if each row is a time followed by the separator, the rows are the texts.
        if (rows[:, -1] == ord(_SEPARATOR)).all():
            us, sure = _parse(rows[:, :-1])
            if sure.all():
                return us, sure
    return _parse_by_width(texts)


def _parse_by_width(texts: list[str]) -> tuple[I64, Bools]:
    times = np.full(len(texts), NEVER, dtype=np.int64)
    sure = np.zeros(len(texts), dtype=np.bool_)
    text = np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.cumsum(lengths) - lengths
    for width in np.unique(lengths).tolist():
        if _SHORTEST <= width <= _LONGEST:
            rows = np.flatnonzero(lengths == width)
            times[rows], sure[rows] = _parse(text[starts[rows, None] + np.arange(width)])
    if not sure.all():
        _parse_one_by_one(texts, times, sure)
    return times, sure


def _parse_one_by_one(texts: list[str], times: I64, sure: Bools) -> None:
    for row in np.flatnonzero(~sure).tolist():
        times[row] = NEVER
        try:
            us = parse_time(texts[row])
        except ValueError:
            continue
        if us >= YEAR_2000_US:
            times[row], sure[row] = us, True


def _parse(rows: U8) -> tuple[I64, Bools]:
    """Parse rows of one width; a row ends in Z or in an offset."""
    zulu = (rows[:, -1] | 32) == ord("z")
    if zulu.all():
        return _parse_columns(np.ascontiguousarray(rows.T), zone_width=1)
    times = np.full(len(rows), NEVER, dtype=np.int64)
    sure = np.zeros(len(rows), dtype=np.bool_)
    for mask, zone_width in ((zulu, 1), (~zulu, _OFFSET_WIDTH)):
        if mask.any() and rows.shape[1] >= _SECONDS_END + zone_width:
            times[mask], sure[mask] = _parse_columns(np.ascontiguousarray(rows[mask].T), zone_width)
    return times, sure


def _parse_columns(text: U8, zone_width: int) -> tuple[I64, Bools]:
    """Parse all rows; `text[i]` is the i-th character of every row."""
    end = len(text) - zone_width
    digits = text - _ZERO  # wraps below "0", so that whatever is no digit is above 9
    sure = (text[10] | 32) == ord("t")
    for i, character in _BETWEEN.items():
        sure &= text[i] == ord(character)
    tens, ones = digits[_PAIRS], digits[_PAIRS + 1]
    pairs = tens * 10 + ones
    sure &= ((tens <= 9) & (ones <= 9) & (pairs >= _LEAST) & (pairs <= _MOST)).all(axis=0)
    month = pairs[0].astype(np.int16) * 1200 + pairs[1].astype(np.int16) * 12 + pairs[2]
    month = np.where(sure, month - (_FIRST_YEAR * 12 + 1), 0)
    sure &= pairs[3] <= _DAYS_IN[month]
    hour, minute, second = pairs[4:].astype(np.int32)
    seconds = (_DAYS_BEFORE[month] + pairs[3] - 1) * 86_400 + ((hour * 60 + minute) * 60 + second)
    if zone_width == _OFFSET_WIDTH:
        offset, valid = _offset_s(text[end:], digits[end:])
        seconds -= offset
        sure &= valid
    us = seconds * 1_000_000
    if end > _SECONDS_END:
        fraction = digits[_SECONDS_END + 1 : end]
        sure &= (text[_SECONDS_END] == ord(".")) & (0 < len(fraction) <= _FRACTION_DIGITS)
        sure &= (fraction <= 9).all(axis=0)
        us += _micros(fraction)
    sure &= us >= YEAR_2000_US
    return us, sure


def _micros(fraction: U8) -> NDArray[np.int32]:
    """Digits behind the point as microseconds; those beyond the sixth are cut off."""
    six = np.zeros((6, fraction.shape[1]), dtype=np.uint8)
    six[: len(fraction)] = fraction[:6]
    high, middle, low = (six[::2] * 10 + six[1::2]).astype(np.int32)
    us: NDArray[np.int32] = (high * 100 + middle) * 100 + low
    return us


def _offset_s(zone: U8, digits: U8) -> tuple[I64, Bools]:
    """Seconds of the offset in `zone`, and where it is a valid one."""
    minus = zone[0] == ord("-")
    valid = (minus | (zone[0] == ord("+"))) & (zone[3] == ord(":"))
    for i in (1, 2, 4, 5):
        valid &= digits[i] <= 9
    hours, minutes = _number(digits, 1, 3), _number(digits, 4, 6)
    valid &= (hours < 24) & (minutes < 60)
    seconds = hours * 3600 + minutes * 60
    return np.where(minus, -seconds, seconds), valid


def _number(digits: U8, start: int, stop: int) -> I64:
    value: I64 = digits[start].astype(np.int64)
    for i in range(start + 1, stop):
        value = value * 10 + digits[i]
    return value
