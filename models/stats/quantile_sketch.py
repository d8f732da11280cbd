"""Quantiles of latency are read from counts in fixed logarithmic buckets.

The bucket edges are the same everywhere, so counts add up in any order, merge over windows and shards, and can be taken
back; the price is a bounded relative error (DDSketch, Masson et al. 2019, VLDB 12:12, section 2, with a fixed range
instead of collapsing buckets).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.arrays import F64, I16, I64

RELATIVE_ERROR: Final = 0.02
SMALLEST_MS: Final = 1e-3
LARGEST_MS: Final = 1e12
ABSENT: Final = -1

_LOG_GAMMA: Final = math.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))
_LAST: Final = math.ceil(math.log(LARGEST_MS / SMALLEST_MS) / _LOG_GAMMA) + 1
VALUE_BUCKETS: Final = _LAST + 1
"""Buckets are `0 .. VALUE_BUCKETS - 1`; 0 holds exact zeros."""
VALUE_KEY_BITS = 10
"""Of a packed key: they hold every bucket."""


def value_bucket(ms: F64) -> I16:
    """Bucket of each latency.

    Args:
        ms: Milliseconds, shape (n,), >= 0 or nan. Values in (0, 0.001] share bucket 1, those over 1e12 the last.

    Returns:
        Shape (n,), 0 for zero, `ABSENT` (-1) for nan.
    """
    absent = np.isnan(ms)
    scaled = np.log(np.clip(np.where(absent, SMALLEST_MS, ms), SMALLEST_MS, LARGEST_MS) / SMALLEST_MS) / _LOG_GAMMA
    bucket = np.minimum(np.ceil(scaled) + 1, _LAST)
    bucket[ms <= 0] = 0
    bucket[absent] = ABSENT
    out: I16 = bucket.astype(np.int16)
    return out


def value_of(bucket: NDArray[np.integer]) -> F64:
    """Latency in ms that is within 2 % of every value of the bucket (shape kept)."""
    upper = SMALLEST_MS * np.exp((bucket.astype(np.float64) - 1) * _LOG_GAMMA)
    return np.where(bucket <= 0, 0.0, upper * (1 - RELATIVE_ERROR))


def quantiles(cell: I64, bucket: I64, count: I64, levels: Sequence[float]) -> tuple[I64, F64]:
    """Nearest-rank quantiles of many cells at once.

    Args:
        cell: Shape (n,), sorted; rows of one cell are neighbours.
        bucket: Shape (n,), ascending within a cell, distinct within it.
        count: Shape (n,), >= 0.
        levels: In (0, 1].

    Returns:
        The cells that hold at least one value, shape (k,), ascending, and their quantiles in ms, shape (len(levels),
        k): the value of the bucket that holds the ceil(level * total)-th smallest.

    >>> bucket = value_bucket(np.array([100.0, 200.0, 300.0, 4000.0])).astype(np.int64)
    >>> cells, values = quantiles(np.zeros(4, np.int64), bucket, np.ones(4, np.int64), (0.5, 1.0))
    >>> values.round().tolist()
    [[203.0], [3921.0]]
    """
    held = count > 0
    cell, bucket, count = cell[held], bucket[held], count[held]
    if not len(cell):
        return cell, np.empty((len(levels), 0))
    first = np.flatnonzero(np.concatenate(([True], cell[1:] != cell[:-1])))
    running = np.cumsum(count)
    before = running[first] - count[first]
    total = np.concatenate((before[1:], running[-1:])) - before
    # One search over the running sum of all cells: a cell's ranks lie between those of its neighbours.
    out = np.empty((len(levels), len(first)))
    for i, level in enumerate(levels):
        rank = np.clip(np.ceil(level * total).astype(np.int64), 1, total)
        out[i] = value_of(bucket[np.searchsorted(running, before + rank)])
    return cell[first], out
