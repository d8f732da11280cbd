"""Counts how often each row of a suite was run, and how often it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from models.arrays import I64, Bools


@dataclass(frozen=True)
class RowTrials:
    """Runs of each row, columns of shape (rows,): repeats and confirmations count like any other run.

    Attributes:
        failures: how often the row failed; 0 to `trials`. A case that raised has failed.
        trials: how often it was run.
    """

    failures: I64
    trials: I64

    @classmethod
    def none(cls, rows: int) -> Self:
        """Of rows that were never run."""
        return cls(np.zeros(rows, np.int64), np.zeros(rows, np.int64))

    def __add__(self, more: RowTrials) -> RowTrials:
        """Both together, of the same rows."""
        return RowTrials(self.failures + more.failures, self.trials + more.trials)

    def of(self, some: Bools) -> RowTrials:
        """Those of some rows."""
        return RowTrials(self.failures[some], self.trials[some])

    @property
    def mostly_passed(self) -> Bools:
        """Rows that passed in more than half of their runs; False for those that were never run."""
        return 2 * self.failures < self.trials

    @property
    def mostly_failed(self) -> Bools:
        """Rows that failed in half of their runs or more; False for those that were never run."""
        return (2 * self.failures >= self.trials) & (self.trials > 0)
