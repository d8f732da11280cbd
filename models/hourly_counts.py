"""Trials per watched group and hour of the last weeks, as long as a change point may be looked for in them."""

from __future__ import annotations

import numpy as np

from models.streams import F64, I32, I64

KEEP_HOURS = 28 * 24
"""How far back a change is looked for."""

_SLACK = 16_384


class HourlyCounts:
    """Rows (watch, hour, failures, trials), 16 bytes each, at most one and a half per watch and hour of `KEEP_HOURS`.

    New rows are only appended; once they outnumber half of the merged ones, all are merged and old hours dropped.
    What is read does not depend on when that happens.
    """

    def __init__(self, rows: I32 | None = None) -> None:
        """Start empty, or with the `rows` of another instance."""
        self._merged: I32 = np.zeros((4, 0), np.int32) if rows is None else rows
        self._fresh: list[I32] = []
        self._fresh_rows = 0

    def add(self, watch: I64, hour: I64, failures: F64, trials: F64) -> None:
        """Add trials; (watch, hour) may repeat."""
        self._fresh.append(np.stack((watch, hour, failures, trials)).astype(np.int32))
        self._fresh_rows += len(watch)
        if self._fresh_rows > _SLACK + self._merged.shape[1] // 2:
            self._merge()

    def of(self, watch: int, from_hour: int) -> tuple[I64, F64, F64]:
        """The watch's hours >= `from_hour` with trials, in any order and possibly repeated: hours, failures, trials."""
        parts = [part[1:, (part[0] == watch) & (part[1] >= from_hour)] for part in self._rows()]
        found = np.concatenate(parts, axis=1)
        return found[0].astype(np.int64), found[1].astype(np.float64), found[2].astype(np.float64)

    def rows(self) -> I32:
        """All rows, merged: shape (4, rows)."""
        if self._fresh_rows:
            self._merge()
        return self._merged

    def _rows(self) -> list[I32]:
        if len(self._fresh) > 1:
            self._fresh = [np.concatenate(self._fresh, axis=1)]
        return [self._merged, *self._fresh]

    def _merge(self) -> None:
        rows = np.concatenate(self._rows(), axis=1)
        self._fresh, self._fresh_rows = [], 0
        rows = rows[:, rows[1] > rows[1].max() - KEEP_HOURS]
        key = (rows[0].astype(np.int64) << 32) | rows[1]
        order = np.argsort(key, kind="stable")
        key, rows = key[order], rows[:, order]
        starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
        counts = np.add.reduceat(rows[2:], starts, axis=1)
        self._merged = np.concatenate((rows[:2, starts], counts)).astype(np.int32)
