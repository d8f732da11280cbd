"""Compares two spans of a task type in a snapshot, and reports what got worse.

The lookback is compared with the baseline span before it, by the time of the calls. Repeated looks do not inflate the
error rate: see `models.stats.comparison`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

from aftercall.durations import format_duration
from flows.reports.alerts import AlertRow, concerning, of_success, open_alerts, plain_alert
from flows.reports.insights_arms import Arms
from flows.reports.insights_compare import ArmInsight
from flows.reports.insights_degraded import DegradedModel, degraded_models
from flows.reports.insights_mix import mix_of
from flows.reports.insights_rates import rates_of
from flows.reports.insights_reading import read_tasks
from flows.reports.insights_rules import RuleInsight, rules_of
from flows.reports.insights_spans import GRAIN, spans_of
from flows.reports.insights_whole import compare_tasks
from flows.reports.snapshot_reader import LATEST, InsightError, Route, newest_route, open_snapshot, rows
from flows.reports.suspicions import SuspicionRow, plain_suspicion, read_suspicions
from flows.reports.uncollected import uncollected
from flows.reports.words import counted
from models.stats.traffic_mix import Portion

Evidence = Literal["worse", "not_enough_evidence", "no_model_worse"]


@dataclass(frozen=True)
class Insight:
    """The result of `insights`. Times are aware, UTC. `source`: whose statements are compared; None: the verdicts.

    `as_of`: the end of the lookback. `alerts`: those that are open on the task type, of any kind, the costliest first.
    `suspicions`: changes that are not sure enough for one, at the end of the snapshot.
    `split`: the parts of the change of the verdicts' plain rate, empty where no dimension has several values.
    `rules`: those of contracts that judged calls of the task type, those violated most first.
    """

    task_type: str
    source: str | None
    as_of: datetime
    lookback: timedelta
    baseline: timedelta
    alerts: list[AlertRow]
    overall: ArmInsight
    arms: Arms
    degraded: list[DegradedModel]
    route: Route | None
    suspicions: list[SuspicionRow] = field(default_factory=list)
    split: list[Portion] = field(default_factory=list)
    rules: list[RuleInsight] = field(default_factory=list)

    @property
    def evidence(self) -> Evidence:
        """What the two spans show; "not enough evidence" is never "no model is worse"."""
        if self.degraded:
            return "worse"
        undecided = self.arms.undecided.all() or self.overall.state == "not_enough_evidence"
        return "not_enough_evidence" if undecided else "no_model_worse"

    @property
    def state(self) -> Evidence | Literal["alert"]:
        """`alert` where one is open that is not on a rise of the success rate, else what the spans show."""
        return self.evidence if all(of_success(alert, "up") for alert in self.alerts) else "alert"

    def to_dict(self, *, models: bool = True) -> dict[str, Any]:
        """Plain values for JSON: the names of docs/reference.md, section 5, then intervals and counts.

        `models`: with those of each model and rule.
        """
        return {
            "task_type": self.task_type,
            "source": self.source,
            "as_of": _text(self.as_of),
            "lookback": format_duration(self.lookback),
            "baseline": format_duration(self.baseline),
            "baseline_success_rate": self.overall.baseline.rate,
            "current_success_rate": self.overall.current.rate,
            "performance_delta": self.overall.delta,
            "performance_delta_relative": _relative(self.overall),
            "performance_delta_low": self.overall.delta_low,
            "performance_delta_high": self.overall.delta_high,
            "response_rate": None if self.overall.silence is None else self.overall.silence.answered,
            "state": self.state,
            "alerts": [plain_alert(alert) for alert in self.alerts],
            "degraded_models": [_plain(degraded) for degraded in self.degraded],
            "suspicions": [plain_suspicion(row) for row in self.suspicions],
            "routing_recommendation": None if self.route is None else _plain(self.route),
            "overall": _plain_arm(self.overall),
        } | (self._parts() if models else {})

    def _parts(self) -> dict[str, Any]:
        return {
            "models": [*map(_plain_arm, self.arms)],
            "split": self.plain_split(),
            "contract_rules": [*map(_plain, self.rules)],
        }

    def plain_split(self) -> list[dict[str, Any]]:
        """`split`, as in an alert."""
        return [part.rounded() for part in self.split]

    def to_json(self) -> str:
        """`to_dict` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


def insights(
    snapshot: Path,
    task: str,
    lookback: timedelta = timedelta(hours=48),
    baseline: timedelta = timedelta(hours=168),
    as_of: datetime | None = None,
    source: str | None = None,
) -> Insight:
    """Compare the last `lookback` of a task type with the `baseline` span before it.

    Args:
        snapshot: `outcomes.duckdb`; opened read-only.
        task: the task type.
        lookback: whole hours, > 0.
        baseline: whole hours, > 0.
        as_of: end of the lookback, rounded up to a full hour; None: the end of the snapshot. Rates of past spans use
            all outcomes in the snapshot, also those that arrived after `as_of`.
        source: compare what this source says instead of verdicts; without alerts, detection delays and routing, which
            rest on verdicts.

    Raises:
        InsightError: no such snapshot, task type or source, or a span that is not in whole hours.
    """
    for name, span in (("lookback", lookback), ("baseline", baseline)):
        check_span(name, span)
    with open_snapshot(snapshot) as base, uncollected():
        _check_task(base, snapshot, task)
        rates = rates_of(base, snapshot, task, source)
        spans = spans_of(base, lookback, baseline, as_of)
        limit = LATEST if as_of is None else spans.end.replace(tzinfo=None)
        # How soon a drop is noticed at the present traffic says nothing of another time, or of another judge.
        tasks = read_tasks(base, rates, spans, task, power=source is None and as_of is None)
        ((overall, arms),) = compare_tasks(tasks).values()
        alerts = [] if source is not None else concerning(open_alerts(base, limit), task, arms.have)
        degraded = degraded_models(base, rates, task, alerts, arms, spans)
        route = newest_route(base, task, limit) if source is None else None
        # What is suspected is of the end of the snapshot, and of verdicts.
        suspected = read_suspicions(base, task) if source is None and as_of is None else []
        split = mix_of(base, task, arms, spans) if source is None else []
        rules = rules_of(base, task, spans) if source is None else []
    compared_arms = (alerts, overall, arms, degraded, route, suspected, split, rules)
    return Insight(task, source, spans.end, lookback, baseline, *compared_arms)


def why_undecided(insight: Insight) -> str:
    """Why a task type cannot be judged."""
    before, now = insight.overall.baseline, insight.overall.current
    for side, span in ((now, f"last {format_duration(insight.lookback)}"), (before, "time before")):
        if not side.calls:
            return f"no call in the {span}"
        if not side.resolved:
            return f"none of {counted(side.calls, 'call')} in the {span} has a verdict"
    if insight.overall.state == "not_enough_evidence":
        return f"{counted(before.resolved, 'outcome')} before and {now.resolved:,} now are too few"
    return f"no model has enough of its {counted(before.resolved, 'outcome')} before and {now.resolved:,} now"


def check_span(name: str, span: timedelta) -> None:
    """Refuse a span that is not in whole hours.

    Raises:
        InsightError: it is not.
    """
    if span < GRAIN or span % GRAIN:
        raise InsightError(
            f"insights: {name} must be whole hours, at least 1h; got {_span(span)} (rates are kept by the hour)"
        )


def _relative(overall: ArmInsight) -> float | None:
    """The change as a share of the baseline's rate."""
    return None if overall.delta is None or not overall.baseline.rate else overall.delta / overall.baseline.rate


def _check_task(base: duckdb.DuckDBPyConnection, snapshot: Path, task: str) -> None:
    if rows(base, "SELECT 1 FROM rates WHERE task_type = ? LIMIT 1", [task]):
        return
    tasks = [row["task_type"] for row in rows(base, "SELECT DISTINCT task_type FROM rates ORDER BY task_type")]
    listed = ", ".join(tasks) or "none yet"
    message = f"insights: the task type must be one in {snapshot} ({listed}); got {task!r} (choose one of these)"
    raise InsightError(message)


def _plain_arm(arm: ArmInsight) -> dict[str, Any]:
    return _plain(arm) | {"state": arm.state}


def _plain(record: Any) -> dict[str, Any]:
    """The fields of a dataclass, and of those in it; `asdict` would copy every figure."""
    return {name: _value(value) for name, value in vars(record).items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return _text(value)
    return _plain(value) if is_dataclass(value) else value


def _text(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _span(span: timedelta) -> str:
    try:
        return format_duration(span)
    except ValueError:
        return str(span)
