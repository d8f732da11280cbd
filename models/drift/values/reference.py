"""A frozen reference of values: counts by hour of the week and level, and what hours and days differ by."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import I64
from models.columns.group_sums import total

SLOTS: Final = 168
"""Hours of the week, counted from a Thursday 00:00 UTC."""
_SHRINKAGE = 50.0
_MOST_PARTS = 64


class Reference:
    """Counts of the levels that were seen in each hour of the week; merged now and then, which changes nothing."""

    def __init__(self, n: int = 0, parts: list[tuple[I64, I64, I64]] | None = None) -> None:
        """Start empty, or from `plain()`."""
        self._n = n
        self._parts = [] if parts is None else list(parts)

    def plain(self) -> tuple[int, list[tuple[I64, I64, I64]]]:
        """Plain values and arrays; not a copy. Merges the counts first: few arrays are packed sooner than many."""
        if len(self._parts) > 1:
            self._parts = [self.counts()]
        return self._n, self._parts

    def add(self, slot: int, level: I64, count: I64) -> int:
        """Add counts of one hour of the week; returns how many values there are by now."""
        self._parts.append((np.full(len(level), slot, np.int64), level, count))
        if len(self._parts) > _MOST_PARTS:
            self._parts = [self.counts()]
        self._n += int(count.sum())
        return self._n

    def counts(self) -> tuple[I64, I64, I64]:
        """Hours of the week, levels and counts; each pair once, ascending. There must be some."""
        slot, level, count = (np.concatenate(columns) for columns in zip(*self._parts, strict=True))
        first, (sums,) = total((slot, level), (count,))
        return slot[first], level[first], sums.astype(np.int64)


def offsets(slot: I64, level: I64, count: I64) -> I64:
    """What hours of the day, and then days of the week, are above or below the mean, by hour of the week.

    A mean of n values is drawn towards the whole one's by n / (n + 50).

    Args:
        slot: hours of the week, shape (n,).
        level: of values in them.
        count: how many.

    Returns:
        Levels to take off, shape (168,).
    """
    found = np.zeros(SLOTS)
    every = np.arange(SLOTS)
    for part, of in ((slot % 24, every % 24), (slot // 24, every // 24)):
        rest = level - found[slot]
        number = np.bincount(part, count, minlength=24)
        sums = np.bincount(part, count * rest, minlength=24)
        mean = float((count * rest).sum()) / float(count.sum())
        found += ((sums - mean * number) / (number + _SHRINKAGE))[of]
    whole: I64 = np.rint(found).astype(np.int64)
    return whole
