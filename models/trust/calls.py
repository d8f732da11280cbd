"""Counts the calls of rows by the hour, as long as verdicts on them may be still to come, and in one sum beyond."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.arrays import F64, I32, I64
from models.trust.delays import Shares


class CallHistory:
    """Calls of each row: shape (rows, hours), the newest first; 300 bytes per row where silence decides nowhere."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        self._recent: I32 = np.zeros((0, 1), np.int32) if state is None else state["recent"]
        self._older: F64 = np.zeros(0) if state is None else state["older"]
        self._open: I64 = np.zeros(0, np.int64) if state is None else state["open"]

    def grow(self, rows: int, hours: int) -> None:
        """Make room for so many rows and hours at least."""
        more, longer = max(rows - len(self._recent), 0), max(hours - self._recent.shape[1], 0)
        if more or longer:
            self._recent = np.pad(self._recent, ((0, more), (0, longer)))
        self._older = np.append(self._older, np.zeros(more))
        self._open = np.append(self._open, np.zeros(more, np.int64))

    def add(self, row: I64, calls: I64) -> None:
        """Count calls of the open hour."""
        np.add.at(self._open, row, calls)

    def settle(self, hours: int, half_life_hours: float) -> None:
        """End the open hour, so many hours after the end before."""
        width = self._recent.shape[1]
        self._older *= 2 ** (-hours / half_life_hours)
        gone = min(hours, width)
        # The oldest first; each ages to the new end.
        for column in range(width - 1, width - gone - 1, -1):
            self._older += self._recent[:, column] * 2 ** (-(column + hours) / half_life_hours)
        recent = np.zeros_like(self._recent)
        recent[:, gone:] = self._recent[:, : width - gone]
        recent[:, 0] = self._open
        self._recent, self._open = recent, np.zeros_like(self._open)

    def expected(self, row: I64, task: I64, shares: Shares) -> tuple[F64, F64, F64, F64]:
        """E_0, E_1 and their standard errors, of rows of task types; see `models.trust.delays`. Shape (n,) each."""
        recent = self._recent[row].astype(np.float64)
        hours = recent.shape[1]
        parts = [
            np.cumsum(recent * table[task, kind, :hours], axis=1)[:, -1]
            for table in (shares.come, shares.spread)
            for kind in (0, 1)
        ]
        old = [self._older[row] * shares.all[task, kind] for kind in (0, 1)]
        return parts[0] + old[0], parts[1] + old[1], parts[2], parts[3]

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"recent": self._recent, "older": self._older, "open": self._open}
