"""Discounted counts of the arms of one task type keep hours of history to go back to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import exp
from typing import Any

import numpy as np

from aftercall.times import HOUR_US, MINUTE_US
from models.arrays import F64, I32, I64

Arm = tuple[str, str]
"""(model, config)."""

SUCCESSES, FAILURES, CALLED, SHARED = range(4)
"""Rows of the count matrices, what outcomes share in multiples of 1 / `GRAIN` (`models.messages.SharedTrials`):
integers, so sums know no order."""
ROWS = 4
ARRIVED = [SUCCESSES, FAILURES, SHARED]
"""Rows that are forgotten when an arm restarts, by the hour of arrival; of other arrivals no hours are kept."""
HISTORY_HOURS = 5 * 24
NEVER_CALLED = -(2**31)


class ArmCounts:
    """Counts per arm, older ones weighing `exp(-age / memory)`.

    Counts are kept whole within the open hour and settle when it ends, so what is known at an instant depends on the
    minutes that ended before it and on nothing else. Feed minutes in order.

    Args:
        memory_us: time constant of the discount, microseconds.
    """

    def __init__(self, memory_us: int) -> None:
        self.memory_us = memory_us
        self.arms: list[Arm] = []
        self.last_call: I64 = np.zeros(0, np.int64)
        self._since: I64 = np.zeros(0, np.int64)
        self._index: dict[Arm, int] = {}
        self._hour = 0
        self._open: I64 = np.zeros((ROWS, 0), np.int64)
        self._settled: F64 = np.zeros((ROWS, 0))
        self._settled_to = 0
        self._history: deque[tuple[int, I32, I64]] = deque()

    def index_of(self, arm: Arm) -> int:
        """The arm's index; the next one where it is new. Call `make_room` before the counts are used."""
        index = self._index.get(arm)
        if index is None:
            index = self._index[arm] = len(self.arms)
            self.arms.append(arm)
        return index

    def number(self, arm: Arm) -> int | None:
        """The arm's index, if it was ever called."""
        return self._index.get(arm)

    def make_room(self) -> None:
        """Begin to count for new arms: all at once, as a config that is a hash makes thousands of them."""
        new = len(self.arms) - len(self.last_call)
        if new:
            self.last_call = np.append(self.last_call, np.full(new, NEVER_CALLED))
            self._since = np.append(self._since, np.zeros(new, np.int64))
            self._open = np.concatenate((self._open, np.zeros((ROWS, new), np.int64)), axis=1)
            self._settled = np.concatenate((self._settled, np.zeros((ROWS, new))), axis=1)

    def add(self, arms: I64, minutes: I64, rows: tuple[int, ...], counts: tuple[I64, ...]) -> None:
        """Add counts of closed minutes.

        Args:
            arms: arm index per entry.
            minutes: of the entry, ascending, none in an hour before the open one.
            rows: which rows `counts` belong to.
            counts: one array per row.
        """
        hours = minutes // 60
        start = 0
        while start < hours.shape[0]:
            hour = int(hours[start])
            end = int(np.searchsorted(hours, hour, side="right"))
            self.settle(hour * HOUR_US)
            self._hour = max(self._hour, hour)
            for row, column in zip(rows, counts, strict=True):
                np.add.at(self._open[row], arms[start:end], column[start:end])
            start = end

    def settle(self, now: int) -> None:
        """End the open hour if `now` (microseconds) has passed it."""
        end = (self._hour + 1) * HOUR_US
        if now < end or not self._open.any():
            return
        self._settled = np.maximum(self._settled * self._decay(end - self._settled_to) + self._open, 0.0)
        self._settled_to = end
        active = np.flatnonzero(self._open.any(axis=0)).astype(np.int32)
        self._history.append((self._hour, active, self._open[ARRIVED][:, active]))
        while self._history[0][0] < self._hour - HISTORY_HOURS:
            self._history.popleft()
        self._open = np.zeros_like(self._open)

    def at(self, now: int) -> F64:
        """Discounted counts at `now` (microseconds), >= 0. Shape (4, arms)."""
        self.settle(now)
        counts: F64 = np.maximum(self._settled * self._decay(now - self._settled_to) + self._open, 0.0)
        return counts

    def forget_before(self, arm: int, since: int) -> None:
        """Keep only the outcomes of an arm from the hour of `since` (microseconds) on; what it costs stays known.

        What an earlier call of this forgot stays forgotten.
        """
        first = self._since[arm] = max(since // HOUR_US, int(self._since[arm]))
        kept = np.zeros(len(ARRIVED))
        for hour, active, counts in self._history:
            position = int(np.searchsorted(active, arm))
            if hour >= first and position < active.shape[0] and active[position] == arm:
                kept += counts[:, position] * self._decay(self._settled_to - (hour + 1) * HOUR_US)
        self._settled[ARRIVED, arm] = np.maximum(kept, 0.0)

    def record_calls(self, arms: I64, minutes: I64) -> None:
        """Note that these arms were called in these minutes."""
        np.maximum.at(self.last_call, arms, minutes)

    def in_use(self, now: int, also: Iterable[int] = ()) -> list[int]:
        """Arms called within the last `memory_us`, and others, by (model, config).

        An arm that may be gone must not be explored.
        """
        oldest = (now - self.memory_us) // MINUTE_US
        return sorted({*np.flatnonzero(self.last_call >= oldest).tolist(), *also}, key=self.arms.__getitem__)

    def _decay(self, age_us: int) -> float:
        return exp(-max(age_us, 0) / self.memory_us)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "arms": self.arms,
            "last_call": self.last_call,
            "since": self._since,
            "hour": self._hour,
            "open": self._open,
            "settled": self._settled,
            "settled_to": self._settled_to,
            "history": list(self._history),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], memory_us: int) -> ArmCounts:
        """The reverse of `state`."""
        counts = cls(memory_us)
        counts.arms = list(state["arms"])
        counts._index = {arm: index for index, arm in enumerate(counts.arms)}
        counts.last_call = state["last_call"]
        counts._since = state["since"]
        counts._hour = state["hour"]
        counts._open = state["open"]
        counts._settled = state["settled"]
        counts._settled_to = state["settled_to"]
        counts._history = deque(state["history"])
        return counts
