"""Prints the summary of a replay: counts, open alerts, and where to look next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from aftercall.printable import printable
from flows.reports.snapshot_reader import has_table, open_snapshot, rows
from flows.reports.words import moment

COUNTS = ("records", "calls", "completed", "outcomes", "marks", "duplicates", "waiting", "dead_letters")
_SELDOM = frozenset({"completed", "attempts", "marks"})
_SHOWN = 8
_TOGETHER = timedelta(hours=1)
VERDICTS = ("pending", "successes", "failures", "expired")


def summary(out: Path) -> dict[str, Any]:
    """Counts, dead letters by reason, and alerts of the snapshot in `out`."""
    snapshot = out / "outcomes.duckdb"
    with open_snapshot(snapshot) as base:
        (pipeline,) = rows(base, f"SELECT {', '.join((*COUNTS, 'attempts', *VERDICTS))}, watermark FROM pipeline")
        reasons = rows(base, "SELECT reason, count(*) AS count FROM dead_letters GROUP BY reason ORDER BY 2 DESC, 1")
        alerts = rows(
            base,
            "SELECT state, severity, direction, reason, task_type, model, config, metric, opened_at FROM alerts "
            "ORDER BY severity = 'info', opened_at DESC, task_type, model, config, metric",
        )
        written = has_table(base, "pipeline_warnings")
        warnings = (
            rows(base, "SELECT kind, subject, count, detail FROM pipeline_warnings ORDER BY ALL") if written else []
        )
    return {
        "snapshot": str(snapshot),
        **pipeline,
        "dead_letter_reasons": {row["reason"]: row["count"] for row in reasons},
        "warnings": warnings,
        "open_alerts": [alert for alert in alerts if alert["state"] != "closed"],
        "closed_alerts": sum(alert["state"] == "closed" for alert in alerts),
    }


def sum_of(names: Sequence[str], counts: dict[str, Any]) -> str:
    """The counts as terms of a sum; those that most runs do not have are left out where they are 0."""
    shown = [name for name in names if counts[name] or name not in _SELDOM]
    return " + ".join(f"{counts[name]:,} {name.replace('_', ' ')}" for name in shown)


def ends_text(calls_end: datetime | None, outcomes_end: datetime | None) -> str:
    """Where the files end, if calls and outcomes do not end together; else empty.

    >>> ends_text(datetime(2026, 9, 22), datetime(2026, 9, 25))
    'calls end 2026-09-22 00:00 UTC, outcomes go on until 2026-09-25 00:00 UTC'
    """
    if calls_end is None or outcomes_end is None or abs(outcomes_end - calls_end) < _TOGETHER:
        return ""
    (first, one), (last, other) = sorted(((calls_end, "calls"), (outcomes_end, "outcomes")))
    return f"{one} end {moment(first)}, {other} go on until {moment(last)}"


def show(counts: dict[str, Any], console: Console) -> None:
    """Print the result of `summary` as text, with when the files of a replay end, if `calls_end` and so on say so."""
    console.print(f"{counts['records']:,} records = {sum_of(COUNTS[1:], counts)}")
    console.print(f"{sum_of(('calls', 'attempts'), counts)} = {sum_of(VERDICTS, counts)}")
    if counts["dead_letter_reasons"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts["dead_letter_reasons"].items())
        console.print(f"dead letters: {reasons} (see the table dead_letters)")
    if ends := ends_text(counts.get("calls_end"), counts.get("outcomes_end")):
        console.print(ends, markup=False, soft_wrap=True)
    for warning in counts["warnings"][:_SHOWN]:
        console.print(f"warning: {printable(warning['detail'])} ({warning['count']:,})", markup=False, soft_wrap=True)
    if len(counts["warnings"]) > _SHOWN:
        console.print(f"and {len(counts['warnings']) - _SHOWN} more (see the table pipeline_warnings)")
    shown = counts["open_alerts"][:_SHOWN]
    if shown:
        more = f"; {_SHOWN} of them" if len(counts["open_alerts"]) > _SHOWN else ""
        console.print(f"\nalerts: {len(counts['open_alerts'])} open, {counts['closed_alerts']} closed{more}:")
        for alert in shown:
            console.print(f"  [bold]{alert['severity']}[/bold] {escape(alert['reason'])}")
    else:
        console.print(f"\nalerts: none open, {counts['closed_alerts']} closed")
    # Soft wrapping keeps paths and commands whole, so that they can be copied.
    console.print(f"\nsnapshot: {counts['snapshot']}", markup=False, soft_wrap=True)
    console.print(
        "  SELECT task_type, model, config, calls, rate, rate_low, rate_high FROM current_rates WHERE span = '7d'",
        markup=False,
        soft_wrap=True,
    )
