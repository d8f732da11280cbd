"""Closed minutes and alerts of a few arms, as routing gets them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from aftercall.records import Alert, Recommendation
from aftercall.times import EPOCH, MINUTE_US
from models.messages import Closed, Group, TrialDelays, TrialDeltas, Values
from models.side_messages import DatedTrials
from models.stats.minute_delays import bucket_of

START = 491_000 * 60
"""A full hour, in minutes."""
A, B, C = ("triage", "a", "default"), ("triage", "b", "default"), ("triage", "c", "v2")


class Row(NamedTuple):
    minute: int
    group: Group
    successes: int = 0
    failures: int = 0
    calls: int = 1
    latency_ms: float = float("nan")
    cost_usd: float = float("nan")
    age: int = 0
    """Minutes since the calls of the outcomes."""


def closed(rows: list[Row], through: int) -> Closed:
    rows = sorted(rows, key=lambda row: (row.minute, row.group))
    names = sorted({row.group for row in rows}, reverse=True)
    code = np.array([names.index(row.group) for row in rows], np.int32)

    def column(name: str, kind: Any = np.int32) -> Any:
        return np.array([getattr(row, name) for row in rows], kind)

    minute, successes, failures = column("minute"), column("successes"), column("failures")
    trials = TrialDeltas(
        code, minute, np.maximum(successes, 0), np.maximum(failures, 0), successes, failures, column("calls")
    )
    values = Values(
        code,
        minute,
        minute.astype(np.int64) * MINUTE_US,
        np.arange(len(rows), dtype=np.uint64),
        column("latency_ms", float),
        column("cost_usd", float),
        np.full(len(rows), -1),
    )
    age, none = column("age"), np.zeros(len(rows), np.int32)
    of_calls = DatedTrials(code, minute, minute // 15, none, none, column("calls"))
    of_outcomes = DatedTrials(code, minute, (minute - age) // 15, successes, failures, none)
    dated = [np.stack(pair, axis=1).ravel() for pair in zip(of_calls, of_outcomes, strict=True)]
    of_kind = [(code, minute, none + good, bucket_of(age), n) for good, n in ((0, failures), (1, successes))]
    columns: list[Any] = [np.stack(pair, axis=1).ravel() for pair in zip(*of_kind, strict=True)]
    some = columns[4] > 0
    took = TrialDelays._make(column[some] for column in columns)
    return Closed(through, names, trials, values, delays=took, dated=DatedTrials(*dated))


def alert(minute: int, group: tuple[str, str | None, str | None] = A, **fields: Any) -> Alert:
    """An alert raised by `minute`."""
    at = when(minute + 1)
    state = fields.pop("state", "opened")
    base: dict[str, Any] = {
        "seq": 1,
        "alert_id": "0" * 31 + "1",
        "state": state,
        "kind": "drift",
        "severity": "warning",
        "opened_at": at,
        "updated_at": at,
        "closed_at": at if state == "closed" else None,
        "task_type": group[0],
        "model": group[1],
        "config": group[2],
        "metric": "success_rate",
        "direction": "down",
        "baseline": 0.9,
        "current": 0.7,
        "effect_low": -0.3,
        "effect_high": -0.1,
        "changed_at": at - timedelta(hours=1),
        "promise": None,
        "reason": "a does worse",
        "evidence": {},
    }
    return Alert.sealed(**(base | fields))


def when(minute: int) -> datetime:
    return EPOCH + timedelta(minutes=minute)


def arms(recommendation: Recommendation) -> dict[tuple[str, str], Any]:
    return {(arm.model, arm.config): arm for arm in recommendation.segments[0].arms}
