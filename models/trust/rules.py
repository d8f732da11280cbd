"""Counts checks by rule, to name the one that did most of what a dimension moved within a day."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np

from aftercall.times import HOURS_PER_DAY
from models.arrays import F64, I64

_SEEN: Final = 1e-6
"""Failures beyond those expected, below which a rule did nothing."""


class RuleCounts:
    """Passed and checked per (row, dimension, rule), here a cell: 100 bytes each."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        self._cell: dict[tuple[int, str], I64] = {} if state is None else dict(state["cell"])
        """By dimension and rule, the cell of each row, -1 for none; rows beyond the array have none."""
        self._aged: F64 = np.zeros((2, 0)) if state is None else state["aged"]
        self._hour: I64 = np.zeros((2, 0), np.int64) if state is None else state["hour"]
        self._window: I64 = np.zeros((2, 0), np.int64) if state is None else state["window"]
        """Of the hours that ended within the last day."""
        self._recent: deque[tuple[int, I64, I64]] = deque(() if state is None else state["recent"])

    def add(self, row: I64, dimension: int, rule: str, passed: I64, checked: I64) -> None:
        """Count checks of the open hour."""
        if not len(row):
            return
        cell = self._cells(dimension, rule, row)
        np.add.at(self._hour[0], cell, passed)
        np.add.at(self._hour[1], cell, checked)

    def settle(self, end: int, decay: float) -> None:
        """End the open hour, at `end` in hours since 1970; `decay` as in `AgedCounts.settle`."""
        self._aged = self._aged * decay + self._hour
        cells = np.flatnonzero(self._hour.any(axis=0))
        if len(cells):
            self._recent.append((end, cells, self._hour[:, cells]))
            self._window[:, cells] += self._hour[:, cells]
            self._hour = np.zeros_like(self._hour)
        while self._recent and self._recent[0][0] <= end - HOURS_PER_DAY:
            _, cells, counts = self._recent.popleft()
            self._window[:, cells] -= counts

    def mover(self, row: int, dimension: int, points: float) -> str | None:
        """The rule with most failures of the last day beyond those that its rate before makes expected.

        Where the dimension rose (`points` > 0), that with fewest; None where no rule has more, or fewer.
        """
        found = [
            (self._beyond(int(cells[row])), rule)
            for (at, rule), cells in sorted(self._cell.items())
            if at == dimension and row < len(cells) and cells[row] >= 0
        ]
        sign = 1 if points < 0 else -1
        beyond, rule = max(((sign * failures, rule) for failures, rule in found), default=(0.0, ""), key=_first)
        return rule if beyond > _SEEN else None

    def _beyond(self, cell: int) -> float:
        passed, checked = self._window[:, cell].tolist()
        passed_before, checked_before = (self._aged[:, cell] - self._window[:, cell]).tolist()
        rate = (checked_before - passed_before) / checked_before if checked_before > 1 else 0.0
        return float((checked - passed) - min(max(rate, 0.0), 1.0) * checked)

    def _cells(self, dimension: int, rule: str, row: I64) -> I64:
        known = self._cell.get((dimension, rule), np.zeros(0, np.int64))
        more = int(row.max()) + 1 - len(known)
        if more > 0:
            known = np.append(known, np.full(more, -1, np.int64))
        new = np.unique(row[known[row] < 0])
        if len(new):
            known[new] = np.arange(len(new)) + self._aged.shape[1]
            none = np.zeros((2, len(new)), np.int64)
            self._aged = np.concatenate((self._aged, np.zeros((2, len(new)))), axis=1)
            self._hour = np.concatenate((self._hour, none), axis=1)
            self._window = np.concatenate((self._window, none), axis=1)
        self._cell[dimension, rule] = known
        return known[row]

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "cell": list(self._cell.items()),
            "aged": self._aged,
            "hour": self._hour,
            "window": self._window,
            "recent": list(self._recent),
        }


def _first(found: tuple[float, str]) -> float:
    return found[0]
