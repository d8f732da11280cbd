"""Trials per watched group over the last weeks, as long as a change point may be looked for in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import F64, I32, I64, Bools
from models.stats.change_point import change_index

KEEP_HOURS = 28 * 24
"""How far back a change is looked for."""
FINE_HOURS = 6
"""Whole hours before the present one that are kept by the minute: a busy group's change is found within minutes,
and counts by the hour would mix old trials into its new baseline."""

_SLACK = 16_384


class Hours(NamedTuple):
    """Trials per group and hour, sorted by hour; each pair once. `minute` is the hour's first."""

    group: I64
    minute: I64
    failures: F64
    trials: F64


class TrialHistory:
    """Rows (watch, minute, failures, trials) of 16 bytes; older minutes are merged into the first minute of their hour.

    New rows are only appended; once they outnumber half of the merged ones, all are merged and old hours dropped. What
    is read does not depend on when that happens.
    """

    def __init__(self, state: tuple[I32, I32] | None = None) -> None:
        """Start empty, or with the `state()` of another instance."""
        merged, fresh = (np.zeros((4, 0), np.int32), np.zeros((4, 0), np.int32)) if state is None else state
        self._merged: I32 = merged
        self._fresh: list[I32] = [fresh]
        self._fresh_rows = fresh.shape[1]

    def add(self, watch: I64, minute: I64, failures: F64, trials: F64) -> None:
        """Add trials of minutes that are not before any added earlier."""
        self._fresh.append(np.stack((watch, minute, failures, trials)).astype(np.int32))
        self._fresh_rows += len(watch)
        if self._fresh_rows > _SLACK + self._merged.shape[1] // 2:
            self._merge()

    def of(self, watch: int) -> tuple[I64, F64, F64]:
        """The watch's minutes, failures and trials, in any order; minutes may repeat, hours be merged or not."""
        found = np.concatenate([part[1:, part[0] == watch] for part in self._rows()], axis=1)
        return found[0].astype(np.int64), found[1].astype(np.float64), found[2].astype(np.float64)

    def sums(self, first: int, watches: int) -> F64:
        """Trials of each of so many watches since minute `first`, a full hour of the last 28 days."""
        rows = np.concatenate([part[:, part[1] >= first] for part in self._rows()], axis=1)
        return np.bincount(rows[0], rows[3], watches).astype(np.float64)

    def hours(self, first: int, end: int) -> Hours:
        """Trials of the minutes from `first` to before `end`, both full hours of the last 28 days, by the hour."""
        rows = np.concatenate([part[:, (part[1] >= first) & (part[1] < end)] for part in self._rows()], axis=1)
        watch, hour = rows[0].astype(np.int64), rows[1].astype(np.int64) // 60
        key = (hour << 32) | watch
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        if not len(starts):
            return Hours(key, key, np.zeros(0), np.zeros(0))
        counts = np.add.reduceat(rows[2:, order].astype(np.float64), starts, axis=1)
        return Hours(key[starts] & 0xFFFFFFFF, (key[starts] >> 32) * 60, *counts)

    def state(self) -> tuple[I32, I32]:
        """Merged and other rows, shape (4, rows) each; not a copy."""
        return self._merged, self._rows()[1]

    def _rows(self) -> list[I32]:
        if len(self._fresh) > 1:
            self._fresh = [np.concatenate(self._fresh, axis=1)]
        return [self._merged, self._fresh[0]]

    def _merge(self) -> None:
        rows = np.concatenate(self._rows(), axis=1)
        self._fresh, self._fresh_rows = [rows[:, :0]], 0
        newest = int(rows[1].max())
        rows[1] = _coarse(rows[1].astype(np.int64), newest)
        rows = rows[:, _kept(rows[1].astype(np.int64), newest)]
        key = (rows[0].astype(np.int64) << 32) | rows[1]
        order = np.argsort(key, kind="stable")
        key, rows = key[order], rows[:, order]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        counts = np.add.reduceat(rows[2:], starts, axis=1)
        self._merged = np.concatenate((rows[:2, starts], counts)).astype(np.int32)


def buckets(minute: I64, failures: F64, trials: F64, now: int, since: int) -> tuple[I64, F64, F64]:
    """Counts at the resolution they have at minute `now`: by the minute, and by the hour where they are older.

    An hour that began before the baseline did, at minute `since`, is left out whole, however finely it is still stored.

    Returns:
        First minutes of the buckets, ascending; failures and trials of each.
    """
    moment = _coarse(minute, now)
    kept = _kept(moment, now) & (moment >= since)
    moments, place = np.unique(moment[kept], return_inverse=True)
    f, n = (np.bincount(place, column[kept], len(moments)).astype(np.float64) for column in (failures, trials))
    return moments, f, n


def change_in(
    minute: I64, failures: F64, trials: F64, now: int, since: int, learned: tuple[float, float], *, worse: bool
) -> tuple[float, float, int] | None:
    """The most likely change of a watch's rate, looked for at minute `now`; see `change_index`.

    Args:
        minute: of stored trials, in any order.
        failures: of each.
        trials: of each.
        now: the present minute.
        since: minute at which the baseline begins.
        learned: failures and trials in all since then.
        worse: whether failures are more frequent after it, or less.

    Returns:
        Failures and trials since the change, and its minute; None where no split has both sides.
    """
    moments, f, n = buckets(minute, failures, trials, now, since)
    k = change_index(f, n, learned[0] - f.sum(), learned[1] - n.sum(), worse=worse)
    return None if k is None else (float(f[k:].sum()), float(n[k:].sum()), int(moments[k]))


def _coarse(minute: I64, now: int) -> I64:
    return np.where(minute // 60 < now // 60 - FINE_HOURS, minute // 60 * 60, minute)


def _kept(minute: I64, now: int) -> Bools:
    return minute // 60 > now // 60 - KEEP_HOURS
