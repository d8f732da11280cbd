"""Makes states of earlier versions ones of the present."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.routing.arm_counts import FAILURES, SUCCESSES


def with_counts_of_calls(state: dict[str, Any]) -> dict[str, Any]:
    """Version 1 has no counts of calls: the resolved ones stand for them."""
    return {**state, "tasks": {name: _task(task) for name, task in state["tasks"].items()}}


def _task(task: dict[str, Any]) -> dict[str, Any]:
    evidence = task["evidence"]
    counts = {name: _counts(evidence[name]) for name in ("open", "settled")}
    history = [(hour, arms, _counts(counts)) for hour, arms, counts in evidence["history"]]
    return {**task, "evidence": {**evidence, **counts, "history": history}}


def _counts(rows: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate((rows, rows[[SUCCESSES]] + rows[[FAILURES]]), axis=0)
