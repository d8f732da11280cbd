"""Sums of what the calls of each arm cost and how long they took, from which means and limits are judged."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np

from aftercall.times import HOUR_US
from models.arrays import F64, I64
from models.routing.facts import Usage

_COSTED, _COST, _COST_2, _TIMED, _LATENCY, _LATENCY_2, _SLOW = range(7)
"""Rows: calls, sums and sums of squares, USD and ms; calls slower than the limit."""
_ROWS = 7
_LARGEST_USD, _LARGEST_MS = 1e3, 1e9
"""One call counts for at most so much: 11 days are a mistake of a clock."""


class ArmUses:
    """Discounted sums per arm; they fade by the hour.

    Rows are added one by one in the order of the closed minutes, so no cut of these into messages changes a bit.

    Args:
        memory_us: time constant of the discount, microseconds.
        slow_ms: latency over which a call is slow; None: none is.
        state: of another instance, or None. Where it has another `slow_ms`, slow calls are counted from now on.
    """

    def __init__(self, memory_us: int, slow_ms: float | None, state: dict[str, Any] | None = None) -> None:
        self._memory_us, self._slow_ms = memory_us, slow_ms
        kept = state or {"sums": np.zeros((_ROWS, 0)), "hour": 0, "slow_ms": slow_ms}
        self._sums: F64 = kept["sums"]
        self._hour: int = kept["hour"]
        if kept["slow_ms"] != slow_ms:
            self._sums = self._sums.copy()
            self._sums[_SLOW] = 0.0

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"sums": self._sums, "hour": self._hour, "slow_ms": self._slow_ms}

    def add(self, arms: I64, minutes: I64, cost_usd: F64, latency_ms: F64) -> None:
        """Take in calls of closed minutes, ascending; nan where a value is absent. Shapes (n,)."""
        if not len(arms):
            return
        self._grow(int(arms.max()) + 1)
        cost = np.minimum(cost_usd, _LARGEST_USD)
        latency = np.minimum(latency_ms, _LARGEST_MS)
        hours = minutes // 60
        for hour in np.unique(hours).tolist():
            self._fade_to(hour)
            rows = hours == hour
            self._sum(arms[rows], cost[rows], _COSTED)
            self._sum(arms[rows], latency[rows], _TIMED)
            if self._slow_ms is not None:
                np.add.at(self._sums[_SLOW], arms[rows], (latency[rows] > self._slow_ms).astype(np.float64))

    def at(self, now: int, arms: list[int]) -> list[Usage]:
        """What is known of these arms at `now` (microseconds)."""
        weight = self._faded(now // HOUR_US)
        size = self._sums.shape[1]
        return [_uses((self._sums[:, arm] * weight).tolist()) if arm < size else Usage() for arm in arms]

    def _sum(self, arms: I64, values: F64, first: int) -> None:
        known = ~np.isnan(values)
        arms, values = arms[known], values[known]
        for row, terms in enumerate((np.ones(len(values)), values, values * values)):
            # One after the other: sums of floats depend on how they are grouped.
            np.add.at(self._sums[first + row], arms, terms)

    def _grow(self, size: int) -> None:
        new = size - self._sums.shape[1]
        if new > 0:
            self._sums = np.concatenate((self._sums, np.zeros((_ROWS, new))), axis=1)

    def _fade_to(self, hour: int) -> None:
        if hour > self._hour:
            self._sums *= self._faded(hour)
            self._hour = hour

    def _faded(self, hour: int) -> float:
        return exp(-max(hour - self._hour, 0) * HOUR_US / self._memory_us)


def _uses(sums: list[float]) -> Usage:
    cost, cost_spread = _moments(sums[_COSTED], sums[_COST], sums[_COST_2])
    latency, latency_spread = _moments(sums[_TIMED], sums[_LATENCY], sums[_LATENCY_2])
    return Usage(cost, sums[_COSTED], cost_spread, latency, sums[_TIMED], latency_spread, sums[_SLOW])


def _moments(calls: float, total: float, squares: float) -> tuple[float | None, float]:
    if calls <= 0:
        return None, 0.0
    mean = total / calls
    return mean, max(squares / calls - mean * mean, 0.0)


def of_version_3(evidence: dict[str, Any]) -> dict[str, Any]:
    """The state that the counts of arms of version 3 stand for, which had means alone.

    Args:
        evidence: the state of the counts: `open` and `settled`, in whose rows 2 to 5 are cost (nano-dollars), calls
            with one, latency (us), calls with one.
    """
    counts = evidence["open"] + evidence["settled"]
    sums = np.zeros((_ROWS, counts.shape[1]))
    sums[_COST], sums[_COSTED] = counts[2] / 1e9, counts[3]
    sums[_LATENCY], sums[_TIMED] = counts[4] / 1e3, counts[5]
    for first in (_COSTED, _TIMED):
        mean = np.divide(sums[first + 1], sums[first], out=np.zeros(counts.shape[1]), where=sums[first] > 0)
        sums[first + 2] = mean * sums[first + 1]
    return {"sums": sums, "hour": int(evidence["hour"]), "slow_ms": None}
