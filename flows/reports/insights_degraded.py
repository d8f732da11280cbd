"""Finds what got worse in a task type: what open alerts say, and arms whose two spans differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import duckdb
import numpy as np

from flows.reports.alerts import AlertRow, of_success
from flows.reports.insights_arms import Arms
from flows.reports.insights_compare import ArmInsight
from flows.reports.insights_rates import Rates
from flows.reports.insights_spans import Spans
from flows.reports.snapshot_reader import rows
from models.stats.change_point import change_index


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


def degraded_models(
    base: duckdb.DuckDBPyConnection,
    rates: Rates,
    task: str,
    alerts: Sequence[AlertRow],
    arms: Arms,
    spans: Spans,
) -> list[DegradedModel]:
    """What open alerts on drops say, the oldest first, then the arms that are certainly worse and in none of these."""
    alerted = sorted(map(_of_alert, (one for one in alerts if of_success(one, "down"))), key=lambda pair: pair[0])
    known = [degraded for _, degraded in alerted]
    worse = arms.records(np.flatnonzero(arms.worse)) if arms.worse.any() else []
    apart = [arm for arm in worse if not any(one.covers(arm) for one in known)]
    return known + [_separated(arm, task, _since(base, rates, task, arm, spans)) for arm in apart]


def _of_alert(alert: AlertRow) -> tuple[tuple[Any, ...], DegradedModel]:
    names = [field.name for field in fields(DegradedModel) if field.name != "since"]
    order = (alert["opened_at"], alert["task_type"], alert["model"] or "~", alert["config"] or "~", alert["alert_id"])
    return order, DegradedModel(since=alert["changed_at"], **{name: alert[name] for name in names})


def _separated(arm: ArmInsight, task: str, since: datetime | None) -> DegradedModel:
    final = arm.corrected if arm.corrected is not None and arm.corrected.delta is not None else None
    low, high = (arm.delta_low, arm.delta_high) if final is None else (final.delta_low, final.delta_high)
    now = arm.current.rate if final is None else final.rate
    why = "the rates of baseline and lookback differ; no alert is open"
    return DegradedModel(task, arm.model, arm.config, since, arm.baseline.rate, now, low, high, None, None, why)


def _since(base: duckdb.DuckDBPyConnection, rates: Rates, task: str, arm: ArmInsight, spans: Spans) -> Any:
    """The hour from which the rate of an arm is most likely worse; None if no such hour is found."""
    query = f"""
        SELECT window_start, successes, failures FROM {rates.hours}
        WHERE grain = '1h' AND task_type = ? AND model = ? AND config = ? AND window_start >= ? AND window_start < ?
        ORDER BY window_start
    """
    start, end = (moment.replace(tzinfo=None) for moment in (spans.before, spans.end))
    hours = rows(base, query, [*rates.values, task, arm.model, arm.config, start, end])
    bad, good = (np.array([row[name] for row in hours], np.float64) for name in ("failures", "successes"))
    index = change_index(bad, bad + good, 0, 0, worse=True)
    return None if index is None else hours[index]["window_start"]
