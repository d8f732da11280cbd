"""Reads the weekly digest from a snapshot: what changed in all groups together, the alerts, and the week so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from aftercall.errors import ExitCode
from aftercall.records import DigestEntry
from aftercall.times import format_time, to_us
from flows.reports.alerts import AlertRow, alerts_within, plain_alert
from flows.reports.overview import Overview, overview_of
from flows.reports.snapshot_reader import InsightError, open_snapshot, rows

_SEVEN_DAYS = timedelta(weeks=1)


@dataclass(frozen=True)
class Week:
    """One digest; fields and `entries` as in `aftercall.records.Digest`. Times are aware, UTC.

    Attributes:
        first: whether it is the first week with calls, of which nothing can be said.
        alerts: those that were open within the week; of the newest, until now.
        running: the week that has not ended, against the one before; None where another week was asked for, or where
            it has just begun.
    """

    week: str
    issued_at: datetime
    groups: int
    false_discovery_rate: float
    entries: list[dict[str, Any]]
    first: bool
    alerts: list[AlertRow]
    running: Overview | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "week": self.week,
            "issued_at": format_time(to_us(self.issued_at)),
            "groups": self.groups,
            "false_discovery_rate": self.false_discovery_rate,
            "entries": self.entries,
            "first_week": self.first,
            "alerts": [plain_alert(alert) for alert in self.alerts],
            "running": None if self.running is None else {"week": week_of(self.running.as_of)} | self.running.to_dict(),
        }


class NoWeekError(InsightError):
    """No week has ended so far; `alerts` are those that are open."""

    exit_code = ExitCode.UNDECIDED
    alerts: list[AlertRow]


def read_digest(snapshot: Path, week: str | None = None) -> Week:
    """The digest of an ISO week such as `2026-W47`, or the newest.

    Raises:
        InsightError: no such snapshot, or none of that week; `NoWeekError` if there is no digest so far.
    """
    with open_snapshot(snapshot) as base:
        weeks = _weeks(base, snapshot)
        if not weeks:
            raise _no_week(base, snapshot)
        chosen = weeks[-1] if week is None else week
        if chosen not in weeks:
            message = (
                f"digest: the week must be one in {snapshot} ({weeks[0]} to {weeks[-1]}); got {chosen} "
                "(choose one of these)"
            )
            raise InsightError(message)
        ranked = rows(base, "SELECT * FROM digests WHERE week = ? ORDER BY rank", [chosen])
        start = start_of(chosen)
        alerts = alerts_within(base, start, None if week is None else start + _SEVEN_DAYS)
        first, running = _is_first(base, start), _running(base, chosen) if week is None else None
    entries = [{name: row[name] for name in DigestEntry.model_fields} for row in ranked if row["rank"] is not None]
    head = ranked[0]
    return Week(
        chosen, head["issued_at"], head["groups"], head["false_discovery_rate"], entries, first, alerts, running
    )


def start_of(week: str) -> datetime:
    """Monday, 00:00 UTC, of an ISO week."""
    year, _, number = week.partition("-W")
    return datetime.combine(date.fromisocalendar(int(year), int(number), 1), datetime.min.time(), UTC)


def week_of(at: datetime) -> str:
    """The ISO week of a time.

    >>> week_of(datetime(2026, 11, 30, tzinfo=UTC))
    '2026-W49'
    """
    year, number, _ = at.isocalendar()
    return f"{year}-W{number:02}"


def _is_first(base: duckdb.DuckDBPyConnection, start: datetime) -> bool:
    """Whether no call is older than the week."""
    (found,) = rows(base, "SELECT min(window_start) AS first FROM rates WHERE grain = '1d'")
    return found["first"] is not None and found["first"] >= start


def _running(base: duckdb.DuckDBPyConnection, ended: str) -> Overview | None:
    """The week of the newest calls, where it has not ended: outcomes may go on for longer than calls."""
    (found,) = rows(base, "SELECT max(as_of) AS until FROM current_rates")
    if found["until"] is None or week_of(found["until"]) <= ended:
        return None
    hours = (found["until"] - start_of(week_of(found["until"]))) // timedelta(hours=1)
    return None if not hours else overview_of(base, timedelta(hours=hours), _SEVEN_DAYS)


def _no_week(base: duckdb.DuckDBPyConnection, snapshot: Path) -> NoWeekError:
    message = (
        f"digest: {snapshot} must hold the digest of a week; none has ended yet, and of the first nothing can be said "
        "(wait for Monday, UTC)"
    )
    error = NoWeekError(message)
    error.alerts = alerts_within(base, None, None)
    return error


def _weeks(base: duckdb.DuckDBPyConnection, snapshot: Path) -> list[str]:
    try:
        return [row["week"] for row in rows(base, "SELECT DISTINCT week FROM digests ORDER BY week")]
    except duckdb.CatalogException:
        message = f"digest: {snapshot} must be of an aftercall that writes digests; it is older (run it with this one)"
        raise InsightError(message) from None
