"""Sums by 64-bit key are the storage behind the rate tables.

A cell is a row of columns found through a `HashIndex`; adding is one look-up and one scatter per column for a whole
batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.columns.hash_index import HashIndex
from models.columns.struct_of_arrays import StructOfArrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from models.arrays import I64, U64, Bools


class Sums(NamedTuple):
    """The cells of a `KeyedSums` as plain arrays; row i of every column belongs to `keys[i]`."""

    keys: U64
    columns: tuple[NDArray[Any], ...]

    def where(self, mask: Bools) -> Sums:
        """The cells of a mask of shape (n,)."""
        return Sums(self.keys[mask], tuple(column[mask] for column in self.columns))

    def stored(self) -> tuple[U64, list[NDArray[Any]]]:
        """As a state has it; not a copy."""
        return self.keys, list(self.columns)


class KeyedSums:
    """A growing table of sums.

    Memory: the columns, 8 bytes for the key and 8 to 16 for the index per cell.
    """

    def __init__(self, dtypes: Sequence[DTypeLike], stored: Sums | None = None) -> None:
        self.dtypes = tuple(np.dtype(dtype) for dtype in dtypes)
        self._zero = tuple(np.zeros((), dtype) for dtype in self.dtypes)
        self._rows = StructOfArrays(tuple(np.zeros(0, dtype) for dtype in self.dtypes))
        self._index = HashIndex()
        if stored is not None and len(stored.keys):
            columns = (np.array(c, dtype) for c, dtype in zip(stored.columns, self.dtypes, strict=True))
            self._rows = StructOfArrays(tuple(columns))
            self._index = _indexed(np.asarray(stored.keys, np.uint64))

    @classmethod
    def from_stored(cls, dtypes: Sequence[DTypeLike], stored: Sequence[Any]) -> KeyedSums:
        """The table of which `stored` is `Sums.stored`."""
        keys, columns = stored
        return cls(dtypes, Sums(keys, tuple(columns)))

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, keys: U64, *values: NDArray[Any]) -> None:
        """Add `values` (one array per column, shape (n,)) to the cells of `keys`, shape (n,), which may repeat."""
        if not len(keys):
            return
        rows = self._index.find(keys)
        absent = rows < 0
        if absent.any():
            fresh, inverse = np.unique(keys[absent], return_inverse=True)
            first = len(self._rows)
            self._rows.append(len(fresh), self._zero)
            self._index.insert(fresh, np.arange(first, first + len(fresh), dtype=np.int32))
            rows[absent] = first + inverse
        for column, value in zip(self._rows.columns, values, strict=True):
            np.add.at(column, rows, value.astype(column.dtype, copy=False))

    def sums(self, *, copy: bool = True) -> Sums:
        """All cells, in order of their first appearance. Without `copy` only valid until the next `add` or `pop`."""
        keys, columns = self._index.row_key[: len(self._rows)], self._rows.columns
        return Sums(keys.copy(), tuple(column.copy() for column in columns)) if copy else Sums(keys, columns)

    def pop(self, chosen: Bools) -> Sums:
        """Remove the cells of a mask (shape (n,), in the order of `sums`) and return them, in one pass over all."""
        popped = self.sums(copy=False).where(chosen)
        if len(popped.keys):
            self._index = _indexed(self._index.row_key[: len(self._rows)][~chosen])
            self._rows.keep(~chosen)
        return popped


def _indexed(keys: U64) -> HashIndex:
    """Key i at row i."""
    index = HashIndex(len(keys))
    index.insert(keys, np.arange(len(keys), dtype=np.int32))
    return index


_WINDOW_BITS = 30
_WINDOW_ZERO = 1 << (_WINDOW_BITS - 1)
_WINDOW_MASK = (1 << _WINDOW_BITS) - 1


def pack_key(
    group: NDArray[np.integer], window: NDArray[np.integer], low: NDArray[Any] | int = 0, low_bits: int = 0
) -> U64:
    """Key of (group, window, low), shape (n,); keys sort like the triples.

    Args:
        group: In 0 .. 2^(34 - low_bits) - 1.
        window: Minute, hour or day since 1970, in -2^29 .. 2^29 - 1 (the years 949 to 2990 in minutes).
        low: In 0 .. 2^low_bits - 1.
        low_bits: At most 10.
    """
    key = (group.astype(np.uint64) << np.uint64(_WINDOW_BITS)) | (
        (window.astype(np.int64) + _WINDOW_ZERO) & _WINDOW_MASK
    ).astype(np.uint64)
    return (key << np.uint64(low_bits)) | np.asarray(low).astype(np.uint64)


def unpack_key(keys: U64, low_bits: int = 0) -> tuple[I64, I64, I64]:
    """Group, window and low part of keys made by `pack_key` with the same `low_bits`."""
    low = (keys & np.uint64((1 << low_bits) - 1)).astype(np.int64)
    rest = keys >> np.uint64(low_bits)
    window = (rest & np.uint64(_WINDOW_MASK)).astype(np.int64) - _WINDOW_ZERO
    return (rest >> np.uint64(_WINDOW_BITS)).astype(np.int64), window, low
