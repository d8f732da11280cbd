"""Sum integer columns over rows with equal keys."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.arrays import I32, I64, U64

_SPARSE: Final = 4
_FEW: Final = 1024
"""Keys lie close together where their range is no longer than `_SPARSE` times their number, and so many more."""


def total(key: tuple[NDArray[Any], ...], counts: tuple[I32 | I64, ...]) -> tuple[I64, list[I32]]:
    """Sums of `counts` over rows with equal `key`, integer columns of shape (n,), n > 0.

    Returns:
        Of each distinct key whose sums are not all zero, ascending: the index of one of its rows, and its sums.
    """
    order, starts = runs_of(key)
    sums = [np.add.reduceat(column[order], starts) for column in counts]
    kept = np.any([column != 0 for column in sums], axis=0)
    return order[starts][kept], [column[kept].astype(np.int32) for column in sums]


def runs_of(key: tuple[NDArray[Any], ...]) -> tuple[I64, I64]:
    """As `runs`, for keys of several columns: in one number where they fit, which sorts ten times as fast."""
    if not len(key[0]):
        return runs(key[0])
    in_one = packed(key)
    if in_one is not None:
        return runs(in_one)
    order = np.lexsort(key[::-1])
    changed = np.ones(len(order), np.bool_)
    changed[1:] = np.any([column[order][1:] != column[order][:-1] for column in key], axis=0)
    return order, changed.nonzero()[0]


def distinct(key: I64) -> tuple[I64, I64]:
    """The index of a row of each distinct `key`, by key; and of each row, which of these it has. n > 0.

    Where keys lie close together they are counted, which takes some ns a row; else they are sorted.
    """
    low = int(key.min())
    span = int(key.max()) - low + 1
    if span > _SPARSE * len(key) + _FEW:
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
        return first, place.ravel()
    near = key - low
    row_of = np.full(span, -1, np.int64)
    row_of[near] = np.arange(len(key))
    (used,) = (row_of >= 0).nonzero()
    number = np.empty(span, np.int64)
    number[used] = np.arange(len(used))
    return row_of[used], number[near]


def stable_order(key: tuple[NDArray[Any], ...]) -> I64:
    """An order that sorts rows by integer columns of shape (n,), and leaves rows with equal keys as they are."""
    count = len(key[0])
    in_one = packed((*key, np.arange(count)))
    if in_one is None:
        return np.lexsort(key[::-1])
    in_one.sort()
    in_one %= count or 1
    return in_one


def packed(key: tuple[NDArray[Any], ...]) -> I64 | None:
    """Integer columns of shape (n,) as one number of each row, in the same order; None where they do not fit in it.

    Where the last column is 0 to n - 1, it is the remainder of a division by n.
    """
    together = np.zeros(len(key[0]), np.int64)
    if not len(together):
        return together
    lows = [int(column.min()) for column in key]
    spans = [int(column.max()) - low + 1 for column, low in zip(key, lows, strict=True)]
    if math.prod(spans) >= 2**63:
        return None
    for column, low, span in zip(key, lows, spans, strict=True):
        together *= span
        together += column
        together -= low
    return together


def runs(key: U64 | I64) -> tuple[I64, I64]:
    """An order that sorts `key`, and where each run of equal keys starts in it."""
    order = np.argsort(key)
    if not len(order):
        return order, order
    ordered = key[order]
    changed = np.ones(len(order), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=changed[1:])
    return order, changed.nonzero()[0]
