"""Prints the overview of all task types."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.text import Text

from aftercall.durations import format_duration
from aftercall.printable import printable
from flows.reports.alerts_view import first_line, show_alert
from flows.reports.fitting import Column, fitted
from flows.reports.insights import Insight
from flows.reports.overview import LISTED, Overview
from flows.reports.suspicions_view import show_suspicions
from flows.reports.words import bare, moment

_STYLES: Final = {"alert": "red", "worse": "red", "not_enough_evidence": "yellow"}
_TASKS: Final = 40


def show_overview(found: Overview, console: Console) -> None:
    """Print open alerts, then one line for each task type, then what cannot be judged."""
    console.print(first_line(found.alerts))
    for alert in found.alerts[:LISTED]:
        show_alert(alert, console, found.routes.get(alert["task_type"]))
    if len(found.alerts) > LISTED:
        console.print(f"and {len(found.alerts) - LISTED:,} more (aftercall alerts --open)")
    if not found.tasks:
        console.print(f"No call in the snapshot's last days, up to {moment(found.as_of)}.")
        return
    spans = f"last {format_duration(found.lookback)} against the {format_duration(found.baseline)} before"
    console.print(f"\nSuccess rate of each task type, in %, {spans}, up to {moment(found.as_of)}")
    show_tasks(found, console)
    show_suspicions(found.suspicions, console)
    undecided = found.undecided
    if undecided:
        console.print("\nWhat cannot be judged:")
        for task, reason in undecided[:LISTED]:
            console.print(Text(f"  {printable(task)}: {reason}"))
        if len(undecided) > LISTED:
            console.print(f"  and {len(undecided) - LISTED:,} more (--json has them all)")
    console.print(Text("\nMore on a task type: aftercall insights TASK", "dim"))


def show_tasks(found: Overview, console: Console) -> None:
    """Print a line for each task type, those with an alert or a model that got worse first, then the busiest."""
    tasks = sorted(found.tasks, key=lambda one: (one.state not in ("alert", "worse"), -one.overall.current.calls))
    shown = tasks[:_TASKS]
    columns = [
        Column("before", [bare(one.overall.baseline.rate) for one in shown], least=50),
        Column("now", [bare(one.overall.best_rate) for one in shown]),
        Column("change", [_change(one) for one in shown], left=True),
        Column("outcomes", [f"{one.overall.current.resolved:,}" for one in shown], least=60),
        Column("alerts", [f"{len(one.alerts):,}" if one.alerts else "" for one in shown]),
    ]
    names = [(one.task_type,) for one in shown]
    console.print(fitted(names, ("task type",), columns, console.width, [_STYLES.get(one.state) for one in shown]))
    if len(tasks) > _TASKS:
        console.print(f"and {len(tasks) - _TASKS:,} more (--json has them all)")


def _change(one: Insight) -> str:
    """The change in points, and what it is worth."""
    points = "" if one.overall.best_delta is None else f"{100 * one.overall.best_delta:+.1f}"
    match one.evidence:
        case "worse":
            return f"{points}, worse".lstrip(", ")
        case "not_enough_evidence":
            return "too few outcomes"
        case _:
            return f"{points}, {'better' if one.overall.state == 'better' else 'not certain'}"
