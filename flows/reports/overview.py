"""Compares the two spans of all task types: open alerts first, then one line for each, then what cannot be judged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from aftercall.durations import format_duration
from aftercall.times import format_time, to_us
from flows.reports.alerts import AlertRow, concerning, open_alerts, plain_alert
from flows.reports.insights import Insight, check_span, why_undecided
from flows.reports.insights_degraded import degraded_models
from flows.reports.insights_rates import OF_VERDICTS
from flows.reports.insights_reading import read_tasks
from flows.reports.insights_spans import spans_of
from flows.reports.insights_whole import compare_tasks
from flows.reports.snapshot_reader import LATEST, Route, newest_route, open_snapshot
from flows.reports.suspicions import SuspicionRow, plain_suspicion, read_suspicions
from flows.reports.uncollected import uncollected

LISTED = 10
"""Open alerts that are shown in full."""


@dataclass(frozen=True)
class Overview:
    """All task types. Times are aware, UTC.

    Attributes:
        as_of: the end of the lookback.
        lookback: the span that is judged.
        baseline: the span before it.
        alerts: those that are open, of any kind, the costliest first.
        tasks: the comparison of each task type, by name, without recommendation.
        routes: the newest recommendation of task types with one of the costliest alerts.
        suspicions: changes that are not sure enough for an alert, at the end of the snapshot.
    """

    as_of: datetime
    lookback: timedelta
    baseline: timedelta
    alerts: list[AlertRow]
    tasks: list[Insight]
    routes: dict[str, Route | None]
    suspicions: list[SuspicionRow]

    @property
    def undecided(self) -> list[tuple[str, str]]:
        """Task types that cannot be judged, and why."""
        return [(one.task_type, why_undecided(one)) for one in self.tasks if one.evidence == "not_enough_evidence"]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: docs/reference.md, section 5."""
        return {
            "as_of": format_time(to_us(self.as_of)),
            "lookback": format_duration(self.lookback),
            "baseline": format_duration(self.baseline),
            "alerts": [plain_alert(alert) for alert in self.alerts],
            "task_types": [_plain(one) for one in self.tasks],
            "suspicions": [plain_suspicion(row) for row in self.suspicions],
            "undecided": [{"task_type": task, "reason": reason} for task, reason in self.undecided],
        }

    def to_json(self) -> str:
        """`to_dict` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


def overview(
    snapshot: Path,
    lookback: timedelta = timedelta(hours=48),
    baseline: timedelta = timedelta(hours=168),
    as_of: datetime | None = None,
) -> Overview:
    """Compare the last `lookback` of every task type with the `baseline` span before it.

    Raises:
        InsightError: no such snapshot, or a span that is not in whole hours.
    """
    check_span("lookback", lookback)
    check_span("baseline", baseline)
    with open_snapshot(snapshot) as base, uncollected():
        return overview_of(base, lookback, baseline, as_of)


def overview_of(
    base: duckdb.DuckDBPyConnection, lookback: timedelta, baseline: timedelta, as_of: datetime | None = None
) -> Overview:
    """`overview` of a snapshot that is open; spans in whole hours."""
    spans = spans_of(base, lookback, baseline, as_of)
    limit = LATEST if as_of is None else spans.end.replace(tzinfo=None)
    alerts = open_alerts(base, limit)
    tasks = []
    for task, (whole, arms) in compare_tasks(read_tasks(base, OF_VERDICTS, spans)).items():
        mine = concerning(alerts, task, arms.have)
        degraded = degraded_models(base, OF_VERDICTS, task, mine, arms, spans)
        tasks.append(Insight(task, None, spans.end, lookback, baseline, mine, whole, arms, degraded, None))
    routes = {task: newest_route(base, task, limit) for task in {one["task_type"] for one in alerts[:LISTED]}}
    suspected = read_suspicions(base) if as_of is None else []
    return Overview(spans.end, lookback, baseline, alerts, tasks, routes, suspected)


def _plain(one: Insight) -> dict[str, Any]:
    silent = {"source", "as_of", "lookback", "baseline", "routing_recommendation", "alerts", "suspicions"}
    plain = {name: value for name, value in one.to_dict(models=False).items() if name not in silent}
    return plain | {"alert_ids": [alert["alert_id"] for alert in one.alerts]}
