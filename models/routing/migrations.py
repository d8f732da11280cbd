"""Makes states of earlier versions ones of the present."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftercall.times import NEVER, QUARTERS_PER_HOUR
from models.routing.arm_uses import of_version_3
from models.routing.task_delays import TaskDelays

_SUCCESSES, _FAILURES, _CALLED, _SHARED = 0, 1, 6, 7
"""Rows of counts up to version 3; those between are of cost and latency."""
_DATED = [_SUCCESSES, _FAILURES, _CALLED]
_ARRIVED = [_SUCCESSES, _FAILURES, _SHARED]
_ROWS = [_SUCCESSES, _FAILURES, _CALLED, _SHARED]
_NONE = np.zeros(0, np.int64)


def with_counts_of_calls(state: dict[str, Any]) -> dict[str, Any]:
    """Version 1 has no counts of calls: the resolved ones stand for them."""
    return _with_row(state, lambda rows: rows[[_SUCCESSES]] + rows[[_FAILURES]])


def with_shared_outcomes(state: dict[str, Any]) -> dict[str, Any]:
    """Version 2 did not count what outcomes share: those that it has stay independent ones."""
    return _with_row(state, lambda rows: np.zeros_like(rows[:1]))


def with_dated_counts(state: dict[str, Any]) -> dict[str, Any]:
    """Version 3 dates outcomes by their arrival: they enter as those of calls of the hour in which they arrived.

    Of cost and latency it has means alone, in rows of the counts.
    """

    def task(stored: dict[str, Any]) -> dict[str, Any]:
        evidence, since = stored["evidence"], stored["evidence"]["since"]
        hours = [*evidence["history"]]
        (active,) = evidence["open"].any(axis=0).nonzero()
        if len(active):
            hours.append((evidence["hour"], active.astype(np.int32), evidence["open"][:, active]))
        start = np.concatenate([np.full(len(arms), hour, np.int64) for hour, arms, _ in hours] or [_NONE])
        arm = np.concatenate([arms for _, arms, _ in hours] or [_NONE]).astype(np.int32)
        counts = np.concatenate([rows[_DATED] for *_, rows in hours] or [np.zeros((len(_DATED), 0), np.int64)], axis=1)
        kept = start >= since[arm]
        dated = {
            "start": (start[kept] * QUARTERS_PER_HOUR).astype(np.int32),
            "arm": arm[kept],
            "counts": counts[:, kept].astype(np.int32),
            "since": {index: hour * QUARTERS_PER_HOUR for index, hour in enumerate(since.tolist()) if hour > 0},
        }
        history = [(hour, arms, rows[_ARRIVED]) for hour, arms, rows in evidence["history"]]
        counted = {name: evidence[name][_ROWS] for name in ("open", "settled")}
        new = {"delays": TaskDelays().state(0), "restarted": {}, "last": None, "beat": NEVER}
        new["beside"] = {"uses": of_version_3(evidence)}
        return {**stored, "evidence": {**evidence, **counted, "history": history}, "dated": dated, **new}

    return {**state, "tasks": {name: task(stored) for name, stored in state["tasks"].items()}}


def _with_row(state: dict[str, Any], row: Callable[[NDArray[Any]], NDArray[Any]]) -> dict[str, Any]:
    """With a row of counts more, made of the others."""

    def counts(rows: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate((rows, row(rows)), axis=0)

    def task(stored: dict[str, Any]) -> dict[str, Any]:
        evidence = stored["evidence"]
        now = {name: counts(evidence[name]) for name in ("open", "settled")}
        history = [(hour, arms, counts(rows)) for hour, arms, rows in evidence["history"]]
        return {**stored, "evidence": {**evidence, **now, "history": history}}

    return {**state, "tasks": {name: task(stored) for name, stored in state["tasks"].items()}}
