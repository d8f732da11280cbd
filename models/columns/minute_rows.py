"""Rows of counts by the minute become rows by the hour, and others by the day, as they age."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import I32, I64

BASELINE_HOURS: Final = 14 * 24
"""How far back a baseline reaches."""
BY_MINUTE_HOURS: Final = 6
"""Whole hours before the present one that are kept by the minute."""
BY_HOUR_HOURS: Final = 48
"""The same of those that become rows by the day: so many hours are kept by the hour, and the latest by `SLOT`."""
SLOT: Final = 10
"""Minutes."""
_SLACK = 16_384


class MinuteRows:
    """Rows (code, minute, count, ...); older minutes are merged into the first minute of their hour.

    What is read at a minute does not depend on when they are merged.
    """

    def __init__(self, rows: I32) -> None:
        """`rows`: those of another instance, shape (2 + counts, n); with n = 0 it starts empty."""
        self._merged = rows
        self._fresh: list[I32] = []
        self._fresh_rows = 0

    def rows(self) -> I32:
        """All of them."""
        return np.concatenate([self._merged, *self._fresh], axis=1)

    def add(self, rows: I32) -> None:
        """Append rows of minutes that are not before those appended so far."""
        self._fresh.append(rows)
        self._fresh_rows += rows.shape[1]
        if self._fresh_rows > _SLACK + self._merged.shape[1] // 2:
            self._merge()

    def between(self, now: int, begin: I64, end: int) -> I32:
        """Rows in minutes `begin` <= minute < `end`, as fine as they are kept at minute `now`.

        An hour that is kept as one, and lies only in part between the two, is left out whole.

        Args:
            now: the present minute; >= end.
            begin: per code.
            end: one for all.
        """
        rows = self.rows()
        self._merged, self._fresh = rows, []  # joined, which the next call is spared; merged by the hour at its time
        minute = rows[1].astype(np.int64)
        starts, widths = self._slots(minute, now)
        inside = (starts >= begin[rows[0]]) & (starts + widths <= end)
        inside &= starts // 60 > now // 60 - BASELINE_HOURS
        return rows[:, inside]

    @staticmethod
    def _slots(minute: I64, now: int) -> tuple[I64, I64]:
        """Where the time begins that each minute is merged with at minute `now`, and how many minutes it has."""
        width = np.where(minute // 60 >= now // 60 - BY_MINUTE_HOURS, 1, 60)
        return minute // width * width, width

    def _merge(self) -> None:
        rows = self.rows()
        self._fresh, self._fresh_rows = [], 0
        newest = int(rows[1].max())
        minute, _ = self._slots(rows[1].astype(np.int64), newest)
        kept = minute // 60 > newest // 60 - BASELINE_HOURS
        key = (rows[0, kept].astype(np.int64) << 32) | minute[kept]
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        counts = np.add.reduceat(rows[2:, kept][:, order], starts, axis=1)
        self._merged = np.stack((key[starts] >> 32, key[starts] & 0xFFFFFFFF, *counts)).astype(np.int32)


class SlotRows(MinuteRows):
    """The same in slots of ten minutes, of an hour, and of a day: a sixth of the room."""

    def between(self, now: int, begin: I64, end: int) -> I32:
        """As of the others; up to the present minute with the slot that has begun, as no later rows are there."""
        return super().between(now, begin, end if end < now else end + SLOT)

    def first(self, minute: int, now: int) -> int:
        """Where the first slot begins that begins at `minute` or later, as they are at minute `now`."""
        (start,), (width,) = (one.tolist() for one in self._slots(np.array([minute]), now))
        return minute if start == minute else int(start + width)

    @staticmethod
    def _slots(minute: I64, now: int) -> tuple[I64, I64]:
        hour, day = now // 60, (now // 60 - BY_HOUR_HOURS) // 24
        width = np.where(minute // 60 >= hour - BY_MINUTE_HOURS, SLOT, np.where(minute // 60 // 24 >= day, 60, 24 * 60))
        return minute // width * width, width
