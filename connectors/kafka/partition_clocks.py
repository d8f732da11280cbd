"""Keeps the clocks of a lane's partitions, and decides which hold the watermark back.

The rules are in docs/reference.md, section 2.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aftercall.times import NEVER
from connectors.batch import ENDED, I32, I64, Bools

_AT_END: Final = 2**63 - 1


class PartitionClocks:
    """Per partition: the newest event time accepted from it, and whether it has been read to its end.

    A partition is *idle* once it has been at its end, as the broker confirms, for `idle_after`; one that has given no
    record, at once. It then counts as far as the lanes of all processes had read when that confirmation was asked for,
    and no further: what is written to it afterwards, and not fetched yet, is not older than that. So a partition whose
    end is not confirmed any more, as the broker is away or slow, holds the watermark back. While a transaction is open
    there, nothing is at its end: behind it may be records that cannot be read yet. Wall times are seconds of a
    monotonic clock.
    """

    def __init__(self, idle_after_s: float) -> None:
        """`idle_after_s`: seconds that a partition must have been at its end to be idle, > 0."""
        self._idle_after_s = idle_after_s
        self.clock: I64 = np.zeros(0, np.int64)
        self._end: I64 = np.zeros(0, np.int64)
        self._end_at = np.zeros(0)
        self._empty_until: I64 = np.zeros(0, np.int64)
        """Event time up to which an idle partition is known to have nothing to read, us; else `NEVER`."""
        self._open: Bools = np.zeros(0, np.bool_)
        self._timed: Bools = np.zeros(0, np.bool_)

    def add(self, clock: int = NEVER, *, timed: bool = True) -> None:
        """Add a partition. One that is not `timed` holds no watermark back, and no watermark moves by it."""
        self._timed = np.append(self._timed, timed)
        self.clock = np.append(self.clock, np.int64(clock))
        self._end = np.append(self._end, np.int64(-1))
        self._end_at = np.append(self._end_at, 0.0)
        self._empty_until = np.append(self._empty_until, np.int64(NEVER))
        self._open = np.append(self._open, np.False_)

    def reached_end(self, partition: int, offset: int, now_s: float) -> None:
        """Record that the partition was read up to `offset`, where it ends."""
        if self._end[partition] != offset:
            self._end[partition], self._end_at[partition] = offset, now_s

    def confirm(self, partition: int, offset: int, asked_s: float, read_to_us: int, *, is_open: bool = False) -> None:
        """Record where the broker reports that the partition ends.

        Args:
            partition: which.
            offset: at which its committed records end.
            asked_s: when the broker was asked.
            read_to_us: the greatest clock of all partitions of all lanes then, us.
            is_open: whether a transaction is open there.
        """
        self._open[partition] = is_open
        if 0 <= self._end[partition] < offset:
            # A partition that is paused at its end: nothing else shows that there is more to read by now.
            self._end[partition] = -1
        idle_after_s = 0.0 if self.clock[partition] == NEVER else self._idle_after_s
        if self._end[partition] != offset or is_open:
            self._empty_until[partition] = NEVER
        elif asked_s - self._end_at[partition] >= idle_after_s:
            self._empty_until[partition] = max(int(self._empty_until[partition]), read_to_us)

    @property
    def at_end(self) -> Bools:
        """Which partitions have been read to their end."""
        ended: Bools = (self._end >= 0) & ~self._open
        return ended

    @property
    def all_idle(self) -> bool:
        """Whether each timed partition is."""
        return bool((self._empty_until[self._timed] != NEVER).all())

    def read(self, partition: I32, at: I64) -> I64:
        """Advance the clocks by records that were read.

        Args:
            partition: of each record, in reading order.
            at: event time of each, µs; `NEVER` of those that were refused, and in partitions that are not timed.

        Returns:
            The watermark in force before each record, over the partitions of this lane, µs.
        """
        present = np.unique(partition)
        self._end[present] = -1
        self._empty_until[present] = NEVER
        others = np.ones(len(self.clock), np.bool_)
        others[present] = False
        watermark = np.full(len(partition), self._counted()[others].min(initial=_AT_END), np.int64)
        for i in present[self._timed[present]].tolist():
            newest = np.maximum.accumulate(np.where(partition == i, at, NEVER))
            after = np.maximum(newest, self.clock[i])
            np.minimum(watermark[1:], after[:-1], out=watermark[1:])
            watermark[0] = min(int(watermark[0]), int(self.clock[i]))
            self.clock[i] = after[-1]
        return watermark if self._timed.any() else np.full(len(partition), NEVER)

    def low(self) -> tuple[int, bool]:
        """The clock of the partition that holds the watermark back most, and whether there is none at all."""
        return (int(self._counted().min()), False) if self._timed.any() else (NEVER, True)

    def calls(self, is_call: Bools) -> tuple[int, int]:
        """The least clock of the partitions of calls, idle ones as they count, and the greatest of all of them.

        The former may be ahead of the latter, where all are idle. `ENDED` where there are none.
        """
        clock = self.clock[is_call]
        return int(self._counted()[is_call].min(initial=ENDED)), int(clock.max()) if len(clock) else ENDED

    def high(self) -> int:
        """The greatest clock."""
        return int(self.clock.max(initial=NEVER))

    def slowest(self) -> int | None:
        """The least clock of the partitions that have one and are not read to their end; None without any."""
        behind = self.clock[~self.at_end & (self.clock != NEVER)]
        return int(behind.min()) if len(behind) else None

    def _counted(self) -> I64:
        """The clock of each partition as it counts for the watermark."""
        counted: I64 = np.where(self._timed, np.maximum(self.clock, self._empty_until), _AT_END)
        return counted
