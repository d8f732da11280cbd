"""What watches many paths at once, one event of each at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.arrays import F64, I64, Bools


class Watcher:
    """A detector on independent paths of failure indicators; arrays among its attributes have the paths first."""

    def learn(self, failed: Bools) -> None:
        """Take in events that are known to come before any change, shape (events, paths)."""
        for row in failed:
            self.step(row)

    def step(self, failed: Bools) -> F64:
        """Take in one more event of each path; returns by how much each exceeds the threshold: > 0 is an alarm."""
        raise NotImplementedError

    def keep(self, kept: I64) -> None:
        """Go on with these paths only."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, value[kept])


Start = Callable[[int, float], Watcher]
"""Makes a watcher of so many paths with a threshold. Where the threshold only ends the watch, that of threshold 0 shows
the statistic itself."""
