"""Reads and writes sizes such as `512MiB` and `200GiB`."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_PATTERN: Final = re.compile(rf"([0-9]{{1,15}}) ?({'|'.join(_UNITS)})")
RULE: Final = f"a size: a whole number and one of {', '.join(reversed(_UNITS))}, such as 512MiB or 200GiB"


def parse_size(text: str) -> int:
    """Read a whole number with one unit; returns bytes.

    Raises:
        ValueError: the text is anything else.

    >>> parse_size("2KiB")
    2048
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"must be {RULE}; got {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def format_size(size: int) -> str:
    """Write bytes in the largest unit that divides them; `parse_size` reads the same size back.

    >>> format_size(200 << 30), format_size(1000)
    ('200GiB', '1000B')
    """
    unit = next(unit for unit, factor in _UNITS.items() if size % factor == 0 and (size or unit == "B"))
    return f"{size // _UNITS[unit]}{unit}"
