"""Defines the options that several commands share, and parses their values."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from aftercall.durations import parse_duration
from aftercall.errors import UsageError
from aftercall.times import parse_time, to_datetime

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="aftercall.toml; keys also as AFTERCALL_SECTION__KEY."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
SnapshotPath = Annotated[Path, typer.Option("--snapshot", metavar="FILE", help="The snapshot, or its folder.")]
SNAPSHOT = Path("outcomes.duckdb")
MOST_PER_SECOND: Final = 1e9
"""Beyond this a rate is a slip of the pen, and its sizes would leave the range of the prefixes."""


def snapshot_file(snapshot: Path) -> Path:
    """The snapshot file; `--snapshot` may name it or its folder."""
    return snapshot / SNAPSHOT if snapshot.is_dir() else snapshot


def span(text: str, option: str) -> timedelta:
    """The value of an option as a duration.

    Raises:
        UsageError: it is not a duration.
    """
    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise UsageError(f"{option}: {wrong} (write it like 48h)") from None


def moment(text: str | None, option: str) -> datetime | None:
    """The value of an option as an aware time in UTC; None if the option was not given.

    Raises:
        UsageError: it is not a time.
    """
    if text is None:
        return None
    try:
        return to_datetime(parse_time(text))
    except ValueError as wrong:
        raise UsageError(f"{option}: {wrong} (write it like 2026-01-31T08:00:00Z)") from None


def per_second(text: str, option: str) -> float:
    """The value of an option as a mean number of events per second.

    Raises:
        UsageError: it is not a number, not above 0, or over a billion.
    """
    with suppress(ValueError):
        rate = float(text)
        if 0 < rate <= MOST_PER_SECOND:
            return rate
    raise UsageError(
        f"{option}: must be a number above 0, at most {MOST_PER_SECOND:,.0f}; got {text!r} "
        "(give the mean over all task types, such as 12.5)"
    )
