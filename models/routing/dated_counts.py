"""Calls, successes and failures of arms by the time of the call, coarser with age."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import DAY_US, QUARTER_US
from models.arrays import F64, I32, I64

WIDTHS: Final = ((DAY_US, 1), (4 * DAY_US, 4), (28 * DAY_US, 24))
"""Up to which age calls are kept in bins of how many quarters of an hour; older ones are forgotten."""
COUNTS: Final = 3
"""Successes, failures, calls."""


class Bins(NamedTuple):
    """Counts of arms in bins of time, shape (n,) each; a bin and arm has one row."""

    arm: I32
    start: I64
    """First instant of the bin, us."""
    end: I64
    """The first after it, or the time at which the bins were read, if that is earlier."""
    successes: I64
    failures: I64
    calls: I64


class DatedCounts:
    """Sums of integers: neither the order of additions nor how they are grouped makes a difference.

    Which bins there are depends on the time at which they are read alone, as the wider ones are made of whole finer
    ones. State: 20 bytes per arm and bin with a call, under 6 KB an arm.
    """

    def __init__(self) -> None:
        self._start: I32 = np.zeros(0, np.int32)
        self._arm: I32 = np.zeros(0, np.int32)
        self._counts: I32 = np.zeros((COUNTS, 0), np.int32)
        self._since: dict[int, int] = {}
        """By arm the first quarter of an hour that counts, where not all do."""
        self._new: list[tuple[I64, I64, tuple[I64, ...]]] = []

    def add(self, arms: I64, quarters: I64, counts: tuple[I64, ...]) -> None:
        """Add successes, failures and calls, of any sign, of calls of these quarters of an hour. Shape (n,) each."""
        self._new.append((arms, quarters, counts))

    def restart(self, arm: int, since: int, now: int) -> None:
        """Count only calls of an arm from the first whole quarter of an hour from `since` (us) on; at `now` (us).

        A wider bin that lies on both sides is dropped. What an earlier call of this dropped stays so.
        """
        self._settle(now)
        first = max(-(-since // QUARTER_US), self._since.get(arm, 0))
        self._since[arm] = first
        self._keep((self._arm != arm) | (self._start >= first))

    def began(self, arm: int) -> int | None:
        """From when on calls of an arm count (us); None where all do."""
        since = self._since.get(arm)
        return None if since is None else since * QUARTER_US

    def bins(self, now: int) -> Bins:
        """All that counts at `now` (us), by bin and arm."""
        self._settle(now)
        start = self._start.astype(np.int64) * QUARTER_US
        width = np.full(len(start), WIDTHS[-1][1], np.int64)
        for oldest, quarters in reversed(WIDTHS[:-1]):
            width[self._start >= _first(oldest, now)] = quarters
        end = np.minimum(start + width * QUARTER_US, np.maximum(now, start + 1))
        return Bins(self._arm, start, end, *self._counts.astype(np.int64))

    def _settle(self, now: int) -> None:
        """Take in what is new, and widen the bins that have become old by `now`."""
        quarters: list[I32] = [self._start]
        arms, counts = [self._arm], [self._counts]
        for of, quarter, columns in self._new:
            since = np.array([self._since.get(one, 0) for one in of.tolist()], np.int64)
            kept = quarter >= since
            quarters.append(quarter[kept].astype(np.int32))
            arms.append(of[kept].astype(np.int32))
            counts.append(np.stack([column[kept] for column in columns]).astype(np.int32))
        start = np.concatenate(quarters).astype(np.int32)
        for (_, width), (oldest, _) in zip(WIDTHS[1:], WIDTHS[:-1], strict=True):
            old = start < _first(oldest, now)
            start[old] -= start[old] % np.int32(width)
        if not self._new and np.array_equal(start, self._start):
            self._keep(start >= _first(WIDTHS[-1][0], now))
            return
        self._new = []
        arm, rows = np.concatenate(arms), np.concatenate(counts, axis=1)
        self._start, self._arm, self._counts = start, arm, rows
        if len(start):
            order = np.lexsort((arm, start))
            start, arm = start[order], arm[order]
            begins = np.append(True, (start[1:] != start[:-1]) | (arm[1:] != arm[:-1]))
            sums = np.add.reduceat(rows[:, order], begins.nonzero()[0], axis=1)
            self._start, self._arm, self._counts = start[begins], arm[begins], np.asarray(sums, np.int32)
            self._keep(sums.any(axis=0))
        self._keep(self._start >= _first(WIDTHS[-1][0], now))

    def _keep(self, kept: Any) -> None:
        if not kept.all():
            self._start, self._arm, self._counts = self._start[kept], self._arm[kept], self._counts[:, kept]

    def state(self, now: int) -> dict[str, Any]:
        """Plain values and arrays, as of `now` (us)."""
        self._settle(now)
        return {"start": self._start, "arm": self._arm, "counts": self._counts, "since": self._since}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> DatedCounts:
        """The reverse of `state`."""
        counts = cls()
        counts._start, counts._arm, counts._counts = state["start"], state["arm"], state["counts"]
        counts._since = dict(state["since"])
        return counts


def _first(oldest: int, now: int) -> int:
    """The first quarter of an hour of calls of no more than this age; at the widest width's edge, as bins nest."""
    widest = WIDTHS[-1][1]
    return (now - oldest) // QUARTER_US // widest * widest


def middle_ages(bins: Bins, now: int) -> F64:
    """Mean age of the calls of each bin at `now` (us), in us, >= 0."""
    ages: F64 = np.maximum(now - 0.5 * (bins.start + bins.end), 0.0)
    return ages
