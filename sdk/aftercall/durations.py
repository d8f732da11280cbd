"""Reads and writes durations such as `90s`, `15m`, `48h` and `30d`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PATTERN = re.compile(r"([0-9]{1,12})([smhd])")
LONGEST = timedelta(days=36_500)
"""A hundred years: with longer durations, sums with times leave the calendar."""
RULE = f"a duration: a whole number and one of s, m, h, d, such as 90s or 30d, at most {LONGEST.days}d"


def parse_duration(text: str) -> timedelta:
    """Read a whole number with one unit: s, m, h or d.

    Raises:
        ValueError: the text is anything else, or over 100 years.

    >>> parse_duration("48h")
    datetime.timedelta(days=2)
    """
    match = _PATTERN.fullmatch(text.strip())
    seconds = int(match[1]) * _UNITS[match[2]] if match else None
    if seconds is None or seconds > LONGEST.total_seconds():
        raise ValueError(f"must be {RULE}; got {text!r}")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write whole seconds in the largest unit that divides them; `parse_duration` reads the same duration back.

    Up to two days are written in hours, as is usual: 48h.

    Raises:
        ValueError: the duration is negative, or not of whole seconds.

    >>> format_duration(timedelta(days=30)), format_duration(timedelta(hours=48)), format_duration(timedelta(0))
    ('30d', '48h', '0s')
    """
    seconds, rest = divmod(duration, timedelta(seconds=1))
    if seconds < 0 or rest:
        raise ValueError(f"a duration is written in whole seconds >= 0; got {duration!r}")
    for unit, size in _UNITS.items():
        if seconds and seconds % size == 0 and not (unit == "d" and seconds <= 2 * size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
