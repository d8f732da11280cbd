"""A growable table keeps numpy columns of equal length, which a named tuple names and types.

Rows lie in buffers with room to spare, so that rows which come one by one are copied O(1) times each on average;
`columns` are views of the rows in use, so the spare room is neither read nor stored.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.arrays import I32, I64, Bools

Columns = TypeVar("Columns", bound=tuple[NDArray[Any], ...])
_SMALLEST = 64


class StructOfArrays(Generic[Columns]):
    """Rows 0 to n - 1 of several columns; column i has the shape (n, ...).

    Attributes:
        columns: views of the rows. Write into them, never keep one beyond the next `append` or `keep`.

    >>> from typing import NamedTuple
    >>> class Visits(NamedTuple):
    ...     count_of: NDArray[np.int64]
    ...     first: NDArray[np.float64]
    >>> table = StructOfArrays(Visits(np.zeros(0, np.int64), np.zeros(0)))
    >>> table.append(3, Visits(np.array(0), np.array(-1.0)))
    >>> table.columns.count_of[[0, 2]] += 5
    >>> table.keep(table.columns.count_of > 0)
    >>> table.columns
    Visits(count_of=array([5, 5]), first=array([-1., -1.]))
    """

    def __init__(self, columns: Columns, growth: float = 0.5) -> None:
        """Start with the rows of `columns`, possibly none, without a copy.

        Args:
            columns: arrays of equal length; they fix the types and the further axes.
            growth: spare room in proportion to the rows, > 0: less saves memory, more saves copies.
        """
        self.columns = self._buffers = columns
        self._growth = growth
        self._size = len(columns[0])

    def __len__(self) -> int:
        return self._size

    def append(self, count: int, values: Columns) -> None:
        """Add `count` rows; each of `values` is broadcast to (count, ...): one row for all, or one for each."""
        first, self._size = self._size, self._size + count
        capacity = len(self._buffers[0])
        if self._size > capacity:
            capacity = max(_SMALLEST, self._size, capacity + int(capacity * self._growth))
            self._buffers = _like(values, [_enlarged(column, capacity) for column in self.columns])
        for buffer, value in zip(self._buffers, values, strict=True):
            buffer[first : self._size] = value
        self.columns = _like(values, [buffer[: self._size] for buffer in self._buffers])

    def fill(self, rows: I32 | I64, values: Columns) -> None:
        """Overwrite `rows`, one row for all, or one for each."""
        for column, value in zip(self.columns, values, strict=True):
            column[rows] = value

    def copied(self, rows: I32 | I64) -> Columns:
        """Copies of all columns at `rows`."""
        return _like(self.columns, [column[rows] for column in self.columns])

    def keep(self, kept: Bools) -> None:
        """Drop the other rows and the spare room; `kept` has the shape (n,)."""
        self.columns = self._buffers = _like(self.columns, [column[kept] for column in self.columns])
        self._size = len(self.columns[0])


def _like(columns: Columns, arrays: list[NDArray[Any]]) -> Columns:
    """A tuple of the same class, as the `_make` of named tuples, which plain ones do not have."""
    return tuple.__new__(type(columns), arrays)


def _enlarged(column: NDArray[Any], capacity: int) -> NDArray[Any]:
    enlarged = np.empty((capacity, *column.shape[1:]), column.dtype)
    enlarged[: len(column)] = column
    return enlarged
