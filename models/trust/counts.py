"""Counts checks of rows and dimensions, which weigh less as they age: whole numbers within an hour and within a day."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.arrays import F64, I64
from models.messages import AnyGroup
from models.trust.dimensions import TRUST_DIMENSIONS

_K: Final = len(TRUST_DIMENSIONS)
PASSED, CHECKED = 0, 1


class AgedCounts:
    """Passed and checked of each row and dimension; arrays of shape (2, rows, 8), 400 bytes per row.

    Attributes:
        aged: at the end of the last hour that was settled, floats.
        hour: of the open hour, whole.
        day: of the present day up to that end, whole.
        base: aged, of all days before the present one.
        shared: what verdicts share with others of their units, in multiples of 1 / `GRAIN`: aged, and of the open hour;
            shape (rows,).
        trials: verdicts that these are among, likewise.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        if state is None:
            state = {"aged": np.zeros((2, 0, _K)), "base": np.zeros((2, 0, _K))}
            state |= {name: np.zeros((2, 0, _K), np.int64) for name in ("hour", "day")}
            state |= {"shared": np.zeros((2, 0)), "shared_hour": np.zeros((2, 0), np.int64)}
        self.aged: F64 = state["aged"]
        self.hour: I64 = state["hour"]
        self.day: I64 = state["day"]
        self.base: F64 = state["base"]
        self.shared: F64 = state["shared"]
        self._shared_hour: I64 = state["shared_hour"]

    def grow(self, rows: int) -> None:
        """Make room for at least `rows` rows."""
        more = rows - self.aged.shape[1]
        if more <= 0:
            return
        for name in ("aged", "hour", "day", "base"):
            kept = getattr(self, name)
            setattr(self, name, np.concatenate((kept, np.zeros((2, more, _K), kept.dtype)), axis=1))
        self.shared = np.concatenate((self.shared, np.zeros((2, more))), axis=1)
        self._shared_hour = np.concatenate((self._shared_hour, np.zeros((2, more), np.int64)), axis=1)

    def add(self, row: I64, dimension: int, passed: I64, checked: I64) -> None:
        """Count checks of the open hour."""
        np.add.at(self.hour[PASSED, :, dimension], row, passed)
        np.add.at(self.hour[CHECKED, :, dimension], row, checked)

    def share(self, row: I64, excess: I64, trials: I64) -> None:
        """Count what verdicts of the open hour share, and verdicts."""
        np.add.at(self._shared_hour[0], row, excess)
        np.add.at(self._shared_hour[1], row, trials)

    def settle(self, decay: float) -> I64:
        """End the open hour, `decay` being what a check weighs less since the end before; which rows had checks."""
        self.aged = self.aged * decay + self.hour
        self.base = self.base * decay
        self.shared = self.shared * decay + self._shared_hour
        self.day += self.hour
        touched = np.flatnonzero(self.hour.any(axis=(0, 2)))
        self.hour, self._shared_hour = np.zeros_like(self.hour), np.zeros_like(self._shared_hour)
        return touched

    def end_day(self) -> None:
        """Begin another day; the open hour has been settled."""
        self.base, self.day = self.aged, np.zeros_like(self.day)

    def effects(self, grain: float) -> F64:
        """Design effects of the rows' verdicts, >= 1: shape (rows,)."""
        shared, trials = self.shared
        few = np.maximum(trials, 1.0)
        effects: F64 = np.minimum(1 + np.maximum(shared, 0.0) / grain / few, few)
        return effects

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        names = ("aged", "hour", "day", "base", "shared")
        return {name: getattr(self, name) for name in names} | {"shared_hour": self._shared_hour}


Row = AnyGroup
"""A group, or a task type as a whole: (task_type, None, None)."""


def rows_by_name(rows: list[Row]) -> list[int]:
    """Numbers of the rows by name, a task type as a whole before its groups."""
    return sorted(range(len(rows)), key=lambda at: by_name(rows[at]))


def by_name(row: Row) -> tuple[str, ...]:
    """What rows are ordered by: no name is empty."""
    return tuple(part or "" for part in row)
