"""Reads the weekly digest from a snapshot, and prints what changed in all groups together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aftercall.errors import ExitCode
from aftercall.printable import printable
from aftercall.records import DigestEntry
from aftercall.times import format_time, to_us
from flows.reports.snapshot_reader import InsightError, open_snapshot, rows
from flows.reports.words import arm_name, percent, points
from models.alarms.digits import significant

_SHOWN = 40


@dataclass(frozen=True)
class Week:
    """One digest; fields and `entries` as in `aftercall.records.Digest`. Times are aware, UTC."""

    week: str
    issued_at: datetime
    groups: int
    false_discovery_rate: float
    entries: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        issued_at = to_us(self.issued_at)
        return asdict(self) | {"issued_at": format_time(issued_at)}


def read_digest(snapshot: Path, week: str | None = None) -> Week:
    """The digest of an ISO week such as `2026-W47`, or the newest.

    Raises:
        InsightError: no such snapshot, no digest in it so far (exit code 4), or none of that week.
    """
    with open_snapshot(snapshot) as base:
        weeks = _weeks(base, snapshot)
        if not weeks:
            message = f"digest: {snapshot} must hold the digest of a week; none has ended yet (wait for Monday, UTC)"
            raise InsightError(message, exit_code=ExitCode.UNDECIDED)
        chosen = weeks[-1] if week is None else week
        if chosen not in weeks:
            message = (
                f"digest: the week must be one in {snapshot} ({weeks[0]} to {weeks[-1]}); got {chosen} "
                "(choose one of these)"
            )
            raise InsightError(message)
        ranked = rows(base, "SELECT * FROM digests WHERE week = ? ORDER BY rank", [chosen])
    entries = [{name: row[name] for name in DigestEntry.model_fields} for row in ranked if row["rank"] is not None]
    first = ranked[0]
    return Week(chosen, first["issued_at"], first["groups"], first["false_discovery_rate"], entries)


def show_digest(digest: Week, console: Console) -> None:
    """Print a digest: its `SHOWN` first entries, and what share of them may be false."""
    promise = f"on average at most {digest.false_discovery_rate:.0%} of these are false"
    until = f"week {digest.week}, until {digest.issued_at:%Y-%m-%d %H:%M} UTC"
    if not digest.entries:
        console.print(f"No certain change in {digest.groups:,} groups, {until}.")
        return
    table = Table("", "before", "within the week", "change", "outcomes", "e-value", box=None, header_style="dim")
    for entry in digest.entries[:_SHOWN]:
        both = entry["baseline"] is not None and entry["current"] is not None
        model = "all models" if entry["model"] is None else arm_name(entry["model"], entry["config"])
        name = f"{printable(entry['task_type'])} · {model}"
        table.add_row(
            Text(("▼ " if entry["direction"] == "down" else "▲ ") + name),
            percent(entry["baseline"]),
            percent(entry["current"]),
            points(entry["current"] - entry["baseline"] if both else None),
            f"{entry['trials']:,}",
            f"{significant(entry['e_value']):,}",
        )
    console.print(f"{len(digest.entries):,} changes in {digest.groups:,} groups, {until}; {promise}:")
    console.print(table)
    if len(digest.entries) > _SHOWN:
        console.print(f"and {len(digest.entries) - _SHOWN:,} more (--json has them all)")


def _weeks(base: duckdb.DuckDBPyConnection, snapshot: Path) -> list[str]:
    try:
        return [row["week"] for row in rows(base, "SELECT DISTINCT week FROM digests ORDER BY week")]
    except duckdb.CatalogException:
        message = f"digest: {snapshot} must be of an aftercall that writes digests; it is older (run it with this one)"
        raise InsightError(message) from None
