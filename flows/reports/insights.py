"""Compares two spans of a task type in a snapshot, and reports what got worse.

The lookback is compared with the baseline span before it, by the time of the calls, in whole hours. Repeated looks do
not inflate the error rate: see `models.stats.comparison`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from aftercall.durations import format_duration
from aftercall.vocabulary import EVERY_TASK
from flows.reports.insights_compare import ArmInsight, ArmKey, Corrected, Counts, Side, compare_arms, pooled, total
from flows.reports.insights_evidence import DetectionDelay, detection_delay
from flows.reports.insights_rates import Rates, rates_of
from flows.reports.snapshot_reader import LATEST, InsightError, Route, newest_route, open_snapshot, rows
from models.drift import DriftSettings
from models.stats.change_point import change_index

__all__ = [
    "ArmInsight",
    "Corrected",
    "DegradedModel",
    "Insight",
    "InsightError",
    "Route",
    "Side",
    "insights",
    "newest_route",
    "open_snapshot",
    "rows",
]

GRAIN = timedelta(hours=1)
"""Of the finest rates in a snapshot."""

TIMED_ARMS = 12
"""Detection delay is shown for this many of the busiest (model, config)."""


@dataclass(frozen=True)
class DegradedModel:
    """What got worse: the scope of an open alert, or an arm whose two spans differ (`ArmInsight.separated`).

    `model` and `config` are None for all of them, `task_type` is `*` if the alert is about all task types. Rates,
    `effect_*` and `since` (UTC) are those of the alert, or, without an open alert, those of the two spans.
    """

    task_type: str
    model: str | None
    config: str | None
    since: datetime | None
    baseline: float | None
    current: float | None
    effect_low: float | None
    effect_high: float | None
    alert_id: str | None
    severity: str | None
    reason: str

    def covers(self, arm: ArmInsight) -> bool:
        """Whether the arm is in this scope."""
        return self.model in (None, arm.model) and self.config in (None, arm.config)


@dataclass(frozen=True)
class Insight:
    """The result of `insights`. Times are aware, UTC. `source`: whose statements are compared; None: the verdicts."""

    task_type: str
    source: str | None
    as_of: datetime
    lookback: timedelta
    baseline: timedelta
    overall: ArmInsight
    arms: list[ArmInsight]
    degraded: list[DegradedModel]
    route: Route | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the names of docs/reference.md, section 5, then intervals and counts."""
        return {
            "task_type": self.task_type,
            "source": self.source,
            "as_of": _text(self.as_of),
            "lookback": format_duration(self.lookback),
            "baseline": format_duration(self.baseline),
            "baseline_success_rate": self.overall.baseline.rate,
            "current_success_rate": self.overall.current.rate,
            "performance_delta": self.overall.delta,
            "performance_delta_low": self.overall.delta_low,
            "performance_delta_high": self.overall.delta_high,
            "response_rate": None if self.overall.silence is None else self.overall.silence.answered,
            "degraded_models": [_plain(degraded) for degraded in self.degraded],
            "routing_recommendation": None if self.route is None else _plain(self.route),
            "overall": _plain(self.overall),
            "models": [_plain(arm) for arm in self.arms],
        }

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
        if span < GRAIN or span % GRAIN:
            message = (
                f"insights: {name} must be whole hours, at least 1h; got {_span(span)} (rates are kept by the hour)"
            )
            raise InsightError(message)
    with open_snapshot(snapshot) as base:
        _check_task(base, snapshot, task)
        rates = rates_of(base, snapshot, task, source)
        end = _end(base, as_of)
        start = end - lookback
        limit = LATEST if as_of is None else end.replace(tzinfo=None)
        before = _sides(base, rates, task, start - baseline, start)
        after = _sides(base, rates, task, start, end)
        corrected = {} if as_of is not None else _corrected(base, rates, task, lookback)
        keys = sorted(set(before) | set(after))
        arms = compare_arms(keys, before, after, corrected)
        delays = {} if source is not None else _detection_delays(base, task, (start - baseline, end), arms)
        arms = [replace(arm, power=delays.get((arm.model, arm.config))) for arm in arms]
        whole: ArmKey = (None, None)
        sums = {whole: total(list(before.values()))}, {whole: total(list(after.values()))}
        (overall,) = compare_arms([whole], *sums, {whole: pooled(arms)})
        spans = start - baseline, end
        alerts = [] if source is not None else _open_alerts(base, task, limit, arms)
        return Insight(
            task,
            source,
            end,
            lookback,
            baseline,
            overall,
            arms,
            alerts + _separated(base, rates, task, alerts, arms, spans),
            newest_route(base, task, limit) if source is None else None,
        )


def _check_task(base: duckdb.DuckDBPyConnection, snapshot: Path, task: str) -> None:
    tasks = [row["task_type"] for row in rows(base, "SELECT DISTINCT task_type FROM rates ORDER BY task_type")]
    if task not in tasks:
        listed = ", ".join(tasks) or "none yet"
        message = f"insights: the task type must be one in {snapshot} ({listed}); got {task!r} (choose one of these)"
        raise InsightError(message)


def _end(base: duckdb.DuckDBPyConnection, as_of: datetime | None) -> datetime:
    if as_of is None:
        newest = rows(
            base,
            "SELECT coalesce((SELECT max(as_of) FROM current_rates), max(window_start) + INTERVAL 1 HOUR) AS until "
            "FROM rates WHERE grain = '1h'",
        )
        end: datetime = newest[0]["until"]
    else:
        end = as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of.astimezone(UTC)
    full_hour = end.replace(minute=0, second=0, microsecond=0)
    return full_hour if full_hour == end else full_hour + GRAIN


def _sides(
    base: duckdb.DuckDBPyConnection, rates: Rates, task: str, start: datetime, end: datetime
) -> dict[ArmKey, Counts]:
    query = f"""
        SELECT model, config, sum(calls)::BIGINT AS calls, sum(successes)::BIGINT AS successes,
               sum(failures)::BIGINT AS failures, sum(pending)::BIGINT AS pending, sum(expired)::BIGINT AS expired
        FROM {rates.hours} WHERE grain = '1h' AND task_type = ? AND window_start >= ? AND window_start < ?
        GROUP BY model, config
    """
    return {
        (row["model"], row["config"]): (
            row["calls"],
            row["successes"],
            row["failures"],
            row["pending"],
            row["expired"],
        )
        for row in rows(base, query, [*rates.values, task, start.replace(tzinfo=None), end.replace(tzinfo=None)])
    }


def _corrected(
    base: duckdb.DuckDBPyConnection, rates: Rates, task: str, lookback: timedelta
) -> dict[ArmKey, Corrected]:
    query = f"""
        SELECT model, config, corrected_rate, corrected_low, corrected_high, maturity FROM {rates.current}
        WHERE task_type = ? AND span = ?
    """
    span = {1: "1h", 24: "24h", 48: "48h", 168: "7d"}.get(int(lookback / GRAIN))
    return {
        (row["model"], row["config"]): Corrected(
            row["corrected_rate"], row["corrected_low"], row["corrected_high"], row["maturity"]
        )
        for row in rows(base, query, [*rates.values, task, span])
    }


def _detection_delays(
    base: duckdb.DuckDBPyConnection, task: str, spans: tuple[datetime, datetime], arms: list[ArmInsight]
) -> dict[ArmKey, DetectionDelay]:
    """Detection delays of the busiest arms, from their whole history and their traffic within these spans."""
    query = """
        SELECT model, config, sum(successes)::BIGINT AS successes, sum(failures)::BIGINT AS failures,
               min(window_start) AS since
        FROM rates WHERE grain = '1d' AND task_type = ? AND window_start < ? GROUP BY model, config
    """
    start, end = spans
    past = {(row["model"], row["config"]): row for row in rows(base, query, [task, end.replace(tzinfo=None)])}
    delays: dict[ArmKey, DetectionDelay] = {}
    for arm in sorted(arms, key=lambda arm: -arm.baseline.resolved - arm.current.resolved)[:TIMED_ARMS]:
        sides = (arm.baseline, arm.current)
        good, bad = sum(side.successes for side in sides), sum(side.failures for side in sides)
        history = past.get((arm.model, arm.config))
        since = start if history is None else max(start, history["since"])
        per_day = (good + bad) / max((end - since) / timedelta(days=1), 1.0)
        if history is not None:
            good, bad = max(good, history["successes"] or 0), max(bad, history["failures"] or 0)
        delay = detection_delay(good, bad, per_day, DriftSettings())
        if delay is not None:
            delays[arm.model, arm.config] = delay
    return delays


def _since(
    base: duckdb.DuckDBPyConnection, rates: Rates, task: str, arm: ArmInsight, spans: tuple[datetime, datetime]
) -> Any:
    """The hour from which the rate of an arm is most likely worse; None if no such hour is found."""
    query = f"""
        SELECT window_start, successes, failures FROM {rates.hours}
        WHERE grain = '1h' AND task_type = ? AND model = ? AND config = ? AND window_start >= ? AND window_start < ?
        ORDER BY window_start
    """
    start, end = (moment.replace(tzinfo=None) for moment in spans)
    hours = rows(base, query, [*rates.values, task, arm.model, arm.config, start, end])
    bad, good = (np.array([row[name] for row in hours], np.float64) for name in ("failures", "successes"))
    index = change_index(bad, bad + good, 0, 0, worse=True)
    return None if index is None else hours[index]["window_start"]


def _open_alerts(
    base: duckdb.DuckDBPyConnection, task: str, limit: datetime, arms: list[ArmInsight]
) -> list[DegradedModel]:
    query = """
        SELECT * FROM alerts
        WHERE task_type IN (?, ?) AND metric = 'success_rate' AND direction = 'down'
          AND opened_at <= ? AND (closed_at IS NULL OR closed_at > ?)
        ORDER BY opened_at, task_type, model NULLS LAST, config NULLS LAST, alert_id
    """
    names = [field.name for field in fields(DegradedModel) if field.name != "since"]
    alerts = [
        DegradedModel(since=row["changed_at"], **{name: row[name] for name in names})
        for row in rows(base, query, [task, EVERY_TASK, limit, limit])
    ]
    # An alert on all task types does not concern a task type that calls none of its arms.
    return [alert for alert in alerts if alert.task_type == task or any(map(alert.covers, arms))]


def _separated(
    base: duckdb.DuckDBPyConnection,
    rates: Rates,
    task: str,
    alerted: list[DegradedModel],
    arms: list[ArmInsight],
    spans: tuple[datetime, datetime],
) -> list[DegradedModel]:
    """The arms that are certainly worse, and in no alert."""
    degraded = []
    for arm in arms:
        if not arm.separated or (arm.delta or 0) >= 0 or any(alert.covers(arm) for alert in alerted):
            continue
        final = arm.corrected if arm.corrected is not None and arm.corrected.delta is not None else None
        degraded.append(
            DegradedModel(
                task,
                arm.model,
                arm.config,
                _since(base, rates, task, arm, spans),
                arm.baseline.rate,
                arm.current.rate if final is None else final.rate,
                arm.delta_low if final is None else final.delta_low,
                arm.delta_high if final is None else final.delta_high,
                None,
                None,
                "the rates of baseline and lookback differ; no alert is open",
            )
        )
    return degraded


def _plain(record: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in asdict(record).items()}


def _value(value: Any) -> Any:
    return _text(value) if isinstance(value, datetime) else value


def _text(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _span(span: timedelta) -> str:
    try:
        return format_duration(span)
    except ValueError:
        return str(span)
