"""Prints the weekly digest."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from flows.reports.alerts import AlertRow
from flows.reports.alerts_view import alert_line
from flows.reports.digest import Week, week_of
from flows.reports.fitting import Column, config_name, fitted
from flows.reports.overview import Overview
from flows.reports.overview_view import show_tasks
from flows.reports.words import bare, counted, moment
from models.alarms.digits import significant

_SHOWN = 40
_COLOURS = {"critical": "red", "warning": "yellow", "info": "cyan"}


def show_digest(digest: Week, console: Console) -> None:
    """Print a digest: alerts, the first entries and what share of them may be false, and the week so far."""
    name_alerts(digest.alerts, console)
    if digest.first:
        console.print(
            f"Week {digest.week} was the first: nothing can be said of it, as there is no week before to compare with."
        )
    else:
        _show_entries(digest, console)
    if digest.running is not None:
        _show_running(digest.running, console)


def name_alerts(alerts: Sequence[AlertRow], console: Console) -> None:
    """Print a line for each alert, those that are open first."""
    for alert in alerts:
        is_open = alert["state"] != "closed"
        colour = _COLOURS[alert["severity"]] if is_open else "dim"
        words = "open alert" if is_open else "alert, closed since"
        console.print(Text("● ", colour) + Text(f"{words} · {alert['severity']} · {alert_line(alert)}"))


def _show_entries(digest: Week, console: Console) -> None:
    until = f"week {digest.week}, until {moment(digest.issued_at)}"
    if not digest.entries:
        beside = "Beside these alerts, no" if digest.alerts else "No"
        console.print(f"{beside} certain change in {counted(digest.groups, 'group')}, {until}.")
        return
    promise = f"on average at most {digest.false_discovery_rate:.0%} of these are false"
    console.print(f"{counted(len(digest.entries), 'change')} in {digest.groups:,} groups, {until}; {promise}:")
    shown = digest.entries[:_SHOWN]
    columns = [
        Column("before", [bare(entry["baseline"]) for entry in shown], least=50),
        Column("in the week", [bare(entry["current"]) for entry in shown]),
        Column("change", [_change(entry) for entry in shown]),
        Column("outcomes", [f"{entry['trials']:,}" for entry in shown], least=80),
        Column("e-value", [f"{significant(entry['e_value']):,}" for entry in shown], least=100),
    ]
    names = [(entry["task_type"], entry["model"] or "all", config_name(entry["config"])) for entry in shown]
    console.print(fitted(names, ("task type", "model", "config"), columns, console.width))
    if len(digest.entries) > _SHOWN:
        console.print(f"and {len(digest.entries) - _SHOWN:,} more (--json has them all)")


def _change(entry: dict[str, object]) -> str:
    baseline, current = entry["baseline"], entry["current"]
    known = isinstance(baseline, float) and isinstance(current, float)
    return f"{100 * (current - baseline):+.1f}" if known else "-"  # type: ignore[operator]


def _show_running(running: Overview, console: Console) -> None:
    console.print(f"\nWeek {week_of(running.as_of)} so far, against the 7 days before it:")
    show_tasks(running, console)
