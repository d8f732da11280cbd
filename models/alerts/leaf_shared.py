"""What outcomes of every (task_type, model, config) share with others of their units, over the last weeks."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.alerts.scope import Leaves
from models.arrays import F64, I32, I64
from models.columns.minute_rows import MinuteRows
from models.messages import Closed
from models.stats.dispersion import GRAIN

_MOST: Final = (2**31 - 1) // 60
"""Of a minute, so that those of an hour fit in 32 bits; only units of 100,000 outcomes reach it."""


class LeafShared:
    """Rows (leaf, minute, excess) of 12 bytes; none of calls that share no unit. See `messages.SharedTrials`."""

    def __init__(self, rows: I32 | None = None) -> None:
        """Start empty, or with the `state()` of another instance."""
        self._rows = MinuteRows(np.zeros((3, 0), np.int32) if rows is None else rows)

    def state(self) -> I32:
        """The rows; not a copy."""
        return self._rows.rows()

    def add(self, closed: Closed, begin: int, end: int, leaves: Leaves) -> None:
        """Take in minutes `begin` <= minute < `end`, whose trials are known to `leaves`."""
        shared = closed.shared
        rows = slice(*(int(at) for at in np.searchsorted(shared.minute, (begin, end))))
        if rows.start == rows.stop:
            return
        leaf = np.array([leaves.index.get(name, -1) for name in closed.names], np.int64)[shared.code[rows]]
        excess = np.minimum(shared.excess[rows], _MOST)
        self._rows.add(np.stack((leaf, shared.minute[rows], excess)).astype(np.int32))

    def between(self, now: int, begin: I64, end: int) -> F64:
        """Trials by which variances exceed those of independent ones, per leaf, in minutes as of `LeafTrials.between`.

        Args:
            now: the present minute; >= end.
            begin: per leaf.
            end: one for all.
        """
        leaf, _, excess = self._rows.between(now, begin, end)
        return np.bincount(leaf, excess, len(begin)) / GRAIN
