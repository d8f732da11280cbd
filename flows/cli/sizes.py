"""Formats the sizes of `aftercall check --calls-per-second` as a table and as JSON values."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any, Final

from aftercall.durations import format_duration
from aftercall.printable import printable
from aftercall.times import HOUR_S, MINUTE_S
from flows.reports.sizing import HorizonSize, Sizing

WIDTH: Final = 80
COLUMNS: Final = ("horizon", "calls held", "memory", "disk up to", "resume")
_MARK: Final = "# "


def as_table(sizes: Sizing) -> str:
    """A table of at most 80 columns, in comments of TOML, so that the output of `check` remains a settings file."""
    several = len(sizes.horizons) > 1
    mix = ", each line as if all calls had its horizon" if several else ""
    title = f"Estimates at {_rate(sizes)}{mix}:"
    note = (
        "Of P processes each holds 1/P of the calls. Memory and disk are those of held calls: live.duckdb, snapshots "
        f"and the processes themselves are not included. An epoch of {format_duration(sizes.epoch)} stores about "
        f"{readable(sizes.epoch_bytes, 'B')} of changes."
    )
    lines = [*_wrapped(title), "", *_rows(sizes), "", *_wrapped(note)]
    return "".join(f"{_MARK}{line}".rstrip() + "\n" for line in lines)


def as_plain(sizes: Sizing) -> dict[str, Any]:
    """JSON values: whole calls and bytes, seconds with three digits, durations as in the settings."""
    return {
        "calls_per_second": sizes.calls_per_second,
        "epoch": format_duration(sizes.epoch),
        "epoch_bytes": round(sizes.epoch_bytes),
        "horizons": [
            {name: round(value) if isinstance(value, float) else value for name, value in asdict(size).items()}
            | {"horizon": format_duration(size.horizon), "resume_s": round(size.resume_s, 3)}
            for size in sizes.horizons
        ],
    }


def memory_excess(sizes: Sizing, machine_bytes: float) -> str | None:
    """A warning if the calls of the longest horizon would not fit into this many bytes of memory, else None."""
    longest = sizes.horizons[0]
    if longest.memory_bytes <= machine_bytes:
        return None
    horizon, needed = format_duration(longest.horizon), readable(longest.memory_bytes, "B")
    return (
        f"--calls-per-second: held calls must fit into the memory of this machine, {readable(machine_bytes, 'B')}; at "
        f"{_rate(sizes)} with a horizon of {horizon} they would take {needed} (shorten the horizon, or run on a "
        "machine with more memory; each of P processes takes 1/P)"
    )


def physical_memory() -> float:
    """Bytes of memory that this machine has; infinite if the system does not report it."""
    try:
        pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return math.inf
    return pages * page_bytes if min(pages, page_bytes) > 0 else math.inf


def readable(value: float, unit: str = "") -> str:
    """A quantity >= 0 with two or three digits and an SI prefix; below 1,000 a whole number.

    >>> readable(25_956_000), readable(2_076_480_000, "B"), readable(999_960, "B"), readable(0.2)
    ('26.0 M', '2.1 GB', '1.0 MB', '< 1')
    """
    if 0 < value < 0.5:
        return f"< 1 {unit}".rstrip()
    prefix = ""
    for larger in "kMGTPE":
        if value < 999.5:
            break
        value, prefix = value / 1000, larger
    digits = 1 if prefix and value < 99.95 else 0
    return f"{value:.{digits}f} {prefix}{unit}".rstrip()


def readable_s(seconds: float) -> str:
    """A time >= 0 in seconds, minutes or hours.

    >>> readable_s(0.04), readable_s(2.43), readable_s(31.1), readable_s(600), readable_s(9000)
    ('< 0.1 s', '2.4 s', '31 s', '10 min', '2.5 h')
    """
    if seconds < 0.1:
        return "< 0.1 s"
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.{1 if seconds < 9.95 else 0}f} s"
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    return f"{seconds / HOUR_S:,.1f} h"


def _rate(sizes: Sizing) -> str:
    return f"{sizes.calls_per_second:,.15g} calls/s"


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH - len(_MARK))


def _rows(sizes: Sizing) -> list[str]:
    """The heading, and a line per horizon; names of task types get the width that the figures leave."""
    cells = [COLUMNS, *map(_figures, sizes.horizons)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    figures = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + "  " for row in cells]
    width = WIDTH - len(_MARK) - len(figures[0])
    names = [_fitted(_names(size, several=len(sizes.horizons) > 1), width) for size in sizes.horizons]
    return [row + name for row, name in zip(figures, ["task types", *names], strict=True)]


def _figures(size: HorizonSize) -> tuple[str, ...]:
    return (
        format_duration(size.horizon),
        readable(size.calls_held),
        readable(size.memory_bytes, "B"),
        readable(size.state_bytes_at_most, "B"),
        readable_s(size.resume_s),
    )


def _names(size: HorizonSize, *, several: bool) -> list[str]:
    if not several:
        return ["all"]
    return [*(["all others"] if size.default else []), *map(printable, size.task_types)]


def _fitted(names: Sequence[str], width: int) -> str:
    """As many of the names as fit, then how many more there are; a first name that is too long is cut."""
    for shown in range(min(len(names), width), 0, -1):
        text = ", ".join(names[:shown]) + _more(len(names) - shown)
        if len(text) <= width:
            return text
    more = _more(len(names) - 1)
    return f"{names[0][: width - len(more) - 3]}...{more}"


def _more(names: int) -> str:
    return f" and {names:,} more" if names else ""
