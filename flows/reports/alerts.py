"""Reads alerts from a snapshot: all, those that are open, and those that concern a task type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from aftercall.records import Alert
from aftercall.times import format_time, to_us
from aftercall.vocabulary import EVERY_TASK
from flows.reports.snapshot_reader import LATEST, Route, newest_route, open_snapshot, rows

AlertRow = dict[str, Any]
"""The fields of `aftercall.records.Alert`; times aware, UTC; those that are JSON in the snapshot are parsed."""
_SEVERITIES: Final = ("critical", "warning", "info")


@dataclass(frozen=True)
class Alerts:
    """All alerts of a snapshot, or the open ones: those first, the costliest of them first; then the newest.

    `routes`: the newest recommendation of each task type with an open one.
    """

    alerts: list[AlertRow]
    routes: dict[str, Route | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"alerts": [plain_alert(alert) for alert in self.alerts]}


def read_alerts(snapshot: Path, *, only_open: bool) -> Alerts:
    """The alerts of a snapshot.

    Raises:
        InsightError: no such snapshot.
    """
    with open_snapshot(snapshot) as base:
        found = open_alerts(base)
        routes = {task: newest_route(base, task) for task in {alert["task_type"] for alert in found}}
        closed = [] if only_open else rows(base, "SELECT * FROM alerts WHERE state = 'closed'")
    newest = sorted(map(parsed, closed), key=lambda alert: (alert["opened_at"], alert["alert_id"]), reverse=True)
    return Alerts(found + newest, routes)


def open_alerts(base: duckdb.DuckDBPyConnection, limit: datetime = LATEST) -> list[AlertRow]:
    """The alerts that were open at `limit` (naive, UTC), the costliest first."""
    query = "SELECT * FROM alerts WHERE opened_at <= ? AND (closed_at IS NULL OR closed_at > ?)"
    return costliest_first(map(parsed, rows(base, query, [limit, limit])))


def alerts_within(base: duckdb.DuckDBPyConnection, start: datetime | None, end: datetime | None) -> list[AlertRow]:
    """The alerts that were open at some time of [start, end), open ones first, the costliest first.

    Without a start those that are open now; without an end those that were open since then.
    """
    limit = LATEST if end is None else end.replace(tzinfo=None)
    since = LATEST if start is None else start.replace(tzinfo=None)
    query = "SELECT * FROM alerts WHERE opened_at < ? AND (closed_at IS NULL OR closed_at > ?)"
    found = costliest_first(map(parsed, rows(base, query, [limit, since])))
    return sorted(found, key=lambda alert: alert["state"] == "closed")


def costliest_first(alerts: Iterable[AlertRow]) -> list[AlertRow]:
    """By failures a day, those of no known cost among those that cost nothing; then by severity and time."""
    return sorted(
        alerts,
        key=lambda alert: (
            -(alert["failures_per_day"] or 0.0),
            _SEVERITIES.index(alert["severity"]),
            alert["opened_at"],
            alert["alert_id"],
        ),
    )


def concerning(
    alerts: Iterable[AlertRow], task: str, calls: Callable[[str | None, str | None], bool]
) -> list[AlertRow]:
    """The alerts on a task type; those on all task types if it calls one of their arms.

    `calls`: whether it calls an arm of this model, or of any, and of this config, or of any.
    """
    return [
        alert
        for alert in alerts
        if alert["task_type"] == task or (alert["task_type"] == EVERY_TASK and calls(alert["model"], alert["config"]))
    ]


def covers(alert: AlertRow, model: str | None, config: str | None) -> bool:
    """Whether an arm is in the alert's scope, but for the task type."""
    return alert["model"] in (None, model) and alert["config"] in (None, config)


def of_success(alert: AlertRow, direction: str) -> bool:
    """Whether the alert is about success rates that went this way, `down` or `up`."""
    return (alert["metric"], alert["direction"]) == ("success_rate", direction)


def plain_alert(alert: AlertRow) -> dict[str, Any]:
    """The fields of a record of `agent.alerts`, with times as text."""
    fields = {name: alert.get(name) for name in Alert.model_fields}
    return {name: format_time(to_us(value)) if isinstance(value, datetime) else value for name, value in fields.items()}


def parsed(row: AlertRow) -> AlertRow:
    """Texts of JSON parsed; columns that an earlier version did not have, empty."""
    return {
        "failures_per_day": None,
        "caveat": None,
        **row,
        "evidence": json.loads(row.get("evidence") or "{}"),
        "slices": json.loads(row.get("slices") or "[]"),
        "split": json.loads(row.get("split") or "[]"),
        "mixes": json.loads(row.get("mixes") or "[]"),
        "other_alarms": json.loads(row.get("other_alarms") or "[]"),
        "mark": json.loads(row.get("mark") or "null"),
    }
