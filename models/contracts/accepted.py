"""Finds which records of a batch are the first ones of calls that were accepted."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from models.arrays import I64


class Accepted:
    """Which records of a batch are the first ones of calls that were accepted."""

    def __init__(self, record: I64, count: int) -> None:
        """`record`: these, by place in the batch, which has so many."""
        self._record, self._count = record, count

    def among(self, rows: I64) -> I64:
        """Which of the accepted calls are at these places in the batch; places in `record`."""
        chosen = np.zeros(self._count, np.bool_)
        chosen[rows] = True
        return chosen[self._record].nonzero()[0]

    def calls_at(self, places: I64) -> tuple[I64, I64]:
        """Of places in the batch: the indices of those that were accepted, and their places in `record`."""
        calls = self._taken[places]
        (indices,) = (calls >= 0).nonzero()
        return indices, calls[indices]

    @cached_property
    def _taken(self) -> I64:
        taken = np.full(self._count, -1, np.int64)
        taken[self._record] = np.arange(len(self._record))
        return taken
