"""A pool hands out rows of a struct of arrays, takes them back and reuses them."""

from __future__ import annotations

from typing import Generic

import numpy as np

from models.arrays import I32
from models.columns.struct_of_arrays import Columns, StructOfArrays

GROWTH = 1 / 16
"""Spare room in proportion to the rows: pools are large, so that room costs more than copies."""


class RowPool(Generic[Columns]):
    """Growable columns of equal length with a free list of rows.

    An owner that wants columns as attributes of its own rebinds them in `_bind`.
    """

    def __init__(self, columns: Columns) -> None:
        """Start with one free row, so that row 0 of an empty pool can be looked at.

        Args:
            columns: that row, of shape (1,): fresh rows are copies of it.
        """
        self._rows = StructOfArrays(columns, GROWTH)
        self._blank = self._rows.copied(np.zeros(1, np.int32))
        self._free: I32 = np.zeros(1, np.int32)
        self._bind(columns)

    def take_rows(self, count: int) -> I32:
        """`count` unused rows; those that were given back are as they were then."""
        reused = self._free[len(self._free) - min(count, len(self._free)) :]
        self._free = self._free[: len(self._free) - len(reused)]
        first, fresh = len(self._rows), count - len(reused)
        if fresh:
            self._rows.append(fresh, self._blank)
            self._bind(self._rows.columns)
        return np.concatenate((reused, np.arange(first, first + fresh, dtype=np.int32)))

    def give_back(self, rows: I32) -> None:
        """Free rows that are used no longer."""
        self._free = np.concatenate((self._free, rows))

    def used_rows(self) -> I32:
        """The rows that are taken, ascending. O(rows)."""
        used = np.ones(len(self._rows), np.bool_)
        used[self._free] = False
        return used.nonzero()[0].astype(np.int32)

    def copied(self, rows: I32) -> Columns:
        """Copies of all columns at `rows`."""
        return self._rows.copied(rows)

    def put(self, rows: I32, columns: Columns) -> None:
        """Overwrite `rows`, which were taken, with `columns` of shape (n,)."""
        self._rows.fill(rows, columns)

    def _bind(self, columns: Columns) -> None:
        """Take note of where the columns lie now; called before the first use and after they have moved."""
