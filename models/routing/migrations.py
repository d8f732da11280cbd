"""Makes states of earlier versions ones of the present."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.routing.arm_counts import FAILURES, SUCCESSES


def with_counts_of_calls(state: dict[str, Any]) -> dict[str, Any]:
    """Version 1 has no counts of calls: the resolved ones stand for them."""
    return _with_row(state, lambda rows: rows[[SUCCESSES]] + rows[[FAILURES]])


def with_shared_outcomes(state: dict[str, Any]) -> dict[str, Any]:
    """Version 2 did not count what outcomes share: those that it has stay independent ones."""
    return _with_row(state, lambda rows: np.zeros_like(rows[:1]))


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
