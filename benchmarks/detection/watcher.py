"""Defines a detector that watches many paths at once, event by event."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.arrays import F64, I64, Bools


class Watcher:
    """A detector on independent paths of failure indicators; arrays among its attributes have the paths first."""

    def learn(self, failed: Bools) -> None:
        """Learn events that come before any change, shape (events, paths)."""
        for row in failed:
            self.step(row)

    def step(self, failed: Bools) -> F64:
        """Add one event of each path; returns by how much each statistic exceeds the threshold: > 0 is an alarm."""
        raise NotImplementedError

    def keep(self, kept: I64) -> None:
        """Continue with these paths only."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, value[kept])


Start = Callable[[int, float], Watcher]
"""Creates a watcher from the number of paths and the threshold. If the threshold only ends the watch, a watcher with
threshold 0 returns the statistic itself."""
