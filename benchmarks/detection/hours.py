"""Measures hours until CT-SR and the rule of thumb notice a drop of 10 points."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks.detection import rule
from benchmarks.detection.ours import DEFAULTS, SHIPPED
from benchmarks.detection.populations import STREAMS, Levels, Population
from benchmarks.detection.promise import NEVER, Batch, Lab, batches, first_alarms
from models.arrays import F64, I64

TRAFFIC: Final = (100, 300, 1000, 10_000)
WEEKS_BEFORE, WEEKS_AFTER = 2, 2
_SEED: Final = 17


def table(groups: int) -> list[dict[str, Any]]:
    """A row per traffic, at p0 .9: median hours, and the share of groups with an alarm in the week before the drop."""
    return [_row(per_day, groups) for per_day in TRAFFIC]


def _row(per_day: int, groups: int) -> dict[str, Any]:
    rng = np.random.default_rng([_SEED, per_day])
    people = Population(np.full(groups, 0.1), np.full(groups, float(per_day)))
    hours, change = (WEEKS_BEFORE + WEEKS_AFTER) * 168, WEEKS_BEFORE * 168
    traffic = list(batches(Levels(STREAMS[0], people, rng), people, hours, 60, rng, rise_at=change))
    minutes = first_alarms(Lab(groups, SHIPPED), groups, iter(traffic), [DEFAULTS.threshold])[0]
    ours = np.where(minutes == NEVER, np.inf, minutes // 60 + 1.0 - change).min(axis=0)
    failures, trials = counts(traffic, hours, groups)
    after = rule.first_alarms(failures, trials, 100, change)
    rule_hours: F64 = np.where(after == NEVER, np.inf, after.astype(np.float64))
    before = rule.firing(failures, trials, 100)[change - 168 : change].any(axis=0)
    return {
        "per_day": per_day,
        "groups": groups,
        "ours_h": _median(ours[ours > 0]),
        "ours_early": float(np.mean((ours <= 0) & (ours > -168))),
        "rule_h": _median(rule_hours[~before]),
        "rule_early": float(before.mean()),
    }


def counts(traffic: list[Batch], hours: int, groups: int) -> tuple[I64, I64]:
    """Failures and trials per hour and group."""
    failures, trials = np.zeros((hours, groups), np.int64), np.zeros((hours, groups), np.int64)
    for batch in traffic:
        failures[batch.minute // 60, batch.rows] += batch.failures
        trials[batch.minute // 60, batch.rows] += batch.failures + batch.successes
    return failures, trials


def _median(delays: F64) -> float | None:
    """The median; None if half of the groups had no alarm."""
    median = float(np.median(delays)) if len(delays) else np.inf
    return median if np.isfinite(median) else None
