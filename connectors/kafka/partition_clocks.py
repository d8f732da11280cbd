"""Keeps the clocks of a lane's partitions, and decides which hold the watermark back.

The rules are in docs/reference.md, section 2.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aftercall.times import NEVER
from connectors.batch import ENDED, I32, I64, Bools

_AT_END: Final = 2**63 - 1
_STALE_S: Final = 30.0


class PartitionClocks:
    """Per partition: the newest event time accepted from it, and whether it has been read to its end.

    A partition is *idle* once the broker has confirmed for `idle_after` that there is nothing more to read, and for as
    long as it keeps confirming it: while the broker is away, the partition may have new records. While a transaction is
    open there, nothing is at its end: behind it may be records that cannot be read yet. Wall times are seconds of a
    monotonic clock.
    """

    def __init__(self, idle_after_s: float) -> None:
        """`idle_after_s`: seconds that a partition must have been at its end to be left out, > 0."""
        self._idle_after_s = idle_after_s
        self.clock: I64 = np.zeros(0, np.int64)
        self._end: I64 = np.zeros(0, np.int64)
        self._end_at = np.zeros(0)
        self._confirmed_at = np.zeros(0)
        self._open: Bools = np.zeros(0, np.bool_)

    def add(self, clock: int = NEVER) -> None:
        """Add a partition."""
        self.clock = np.append(self.clock, np.int64(clock))
        self._end = np.append(self._end, np.int64(-1))
        self._end_at = np.append(self._end_at, 0.0)
        self._confirmed_at = np.append(self._confirmed_at, -np.inf)
        self._open = np.append(self._open, np.False_)

    def reached_end(self, partition: int, offset: int, now_s: float) -> None:
        """Record that the partition was read up to `offset`, where it ends."""
        if self._end[partition] != offset:
            self._end[partition], self._end_at[partition] = offset, now_s

    def confirm(self, partition: int, offset: int, now_s: float, *, is_open: bool = False) -> None:
        """Record that the broker reported at `now_s` where the partition ends.

        Args:
            partition: which.
            offset: at which its committed records end.
            now_s: when.
            is_open: whether a transaction is open there.
        """
        self._open[partition] = is_open
        if 0 <= self._end[partition] < offset:
            # A partition that is paused at its end: nothing else shows that there is more to read by now.
            self._end[partition] = -1
        if self._end[partition] == offset and not is_open:
            self._confirmed_at[partition] = max(self._confirmed_at[partition], now_s)

    @property
    def at_end(self) -> Bools:
        """Which partitions have been read to their end."""
        ended: Bools = (self._end >= 0) & ~self._open
        return ended

    def left_out(self, now_s: float) -> Bools:
        """Which partitions do not hold the watermark back: idle ones, and those found to be empty."""
        idle = (self._confirmed_at - self._end_at >= self._idle_after_s) & (now_s - self._confirmed_at <= _STALE_S)
        left_out: Bools = self.at_end & (idle | (self.clock == NEVER))
        return left_out

    def read(self, partition: I32, at: I64, now_s: float) -> I64:
        """Advance the clocks by records that were read.

        Args:
            partition: of each record, in reading order.
            at: event time of each, µs; `NEVER` of those that were refused.
            now_s: the time now.

        Returns:
            The watermark in force before each record, over the partitions of this lane, µs.
        """
        present = np.unique(partition)
        holding = ~self.left_out(now_s)
        self._end[present] = -1
        holding[present] = False
        least = int(self.clock[holding].min()) if holding.any() else _AT_END
        watermark = np.full(len(partition), least, np.int64)
        for i in present.tolist():
            newest = np.maximum.accumulate(np.where(partition == i, at, NEVER))
            after = np.maximum(newest, self.clock[i])
            np.minimum(watermark[1:], after[:-1], out=watermark[1:])
            watermark[0] = min(int(watermark[0]), int(self.clock[i]))
            self.clock[i] = after[-1]
        return watermark

    def low(self, now_s: float) -> tuple[int, bool]:
        """The least clock that holds the watermark back, and whether there is none because all are left out."""
        holding = ~self.left_out(now_s)
        return (int(self.clock[holding].min()), False) if holding.any() else (NEVER, True)

    def calls(self, is_call: Bools, now_s: float) -> tuple[int, int]:
        """The least clock of the partitions of calls that hold the watermark back, and the greatest of all of them.

        `ENDED` where there are none.
        """
        clock = self.clock[is_call]
        holding = clock[~self.left_out(now_s)[is_call]]
        return int(holding.min(initial=ENDED)), int(clock.max()) if len(clock) else ENDED

    def high(self) -> int:
        """The greatest clock."""
        return int(self.clock.max(initial=NEVER))

    def slowest(self) -> int | None:
        """The least clock of the partitions that have one and are not read to their end; None without any."""
        behind = self.clock[~self.at_end & (self.clock != NEVER)]
        return int(behind.min()) if len(behind) else None
