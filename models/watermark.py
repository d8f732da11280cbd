"""Computes the watermark over all lanes as one shard knows it, and the minutes in which records take effect.

Each lane sends the least clock of its partitions; lanes without partitions, or whose files have ended, are left out,
and while every lane is the watermark is the greatest clock (docs/reference.md, section 2).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US, NEVER
from models.arrays import I32, I64

NO_OTHER = 2**63 - 1
"""Only the lane itself holds the watermark back."""
ENDED: Final = 2**63 - 1
"""A clock of calls that has passed everything: no call is waited for."""


class LaneClock(NamedTuple):
    """The clock of one lane, in µs since 1970.

    Attributes:
        low: the least clock of its partitions; `NEVER` while one of them has given no record.
        high: the greatest clock of all its partitions, or `NEVER`.
        idle: it has nothing that holds the watermark back; `low` has no meaning then.
        calls: the least clock of its partitions of calls, where idle ones count as for `low`; `ENDED` if it has none.
        calls_high: the greatest clock of its partitions of calls; `ENDED` if it has none, or none of them is waited
            for any more.
    """

    low: int
    high: int
    idle: bool
    calls: int = ENDED
    calls_high: int = ENDED


class LaneClocks:
    """The newest clock of each lane."""

    def __init__(self, newest: dict[str, LaneClock] | None = None) -> None:
        self._newest = {} if newest is None else newest

    def observe(self, lane: str, clock: LaneClock) -> None:
        """Replace the clock of a lane."""
        self._newest[lane] = clock

    def others(self, lane: str, lanes: int) -> int:
        """The watermark over the other lanes: `NEVER` until each of the `lanes` has sent a clock."""
        others = [clock for name, clock in self._newest.items() if name != lane]
        if len(others) < lanes - 1:
            return NEVER
        return min((clock.low for clock in others if not clock.idle), default=NO_OTHER)

    def watermark(self, lanes: int) -> int:
        """The watermark now; the caller keeps it from falling."""
        clocks = list(self._newest.values())
        if len(clocks) < lanes:
            return NEVER
        lows = [clock.low for clock in clocks if not clock.idle]
        return min(lows) if lows else max(clock.high for clock in clocks)

    def calls(self, lanes: int) -> int:
        """The clock of the calls: how far they have been read. `NEVER` until each of the `lanes` has sent a clock.

        The least over partitions, as the watermark; but idle ones count no further than any call was read.
        """
        return NEVER if len(self._newest) < lanes else _calls(list(self._newest.values()))

    def calls_before(self, lane: str, clock: LaneClock, lanes: int) -> int:
        """The same before a batch of a lane that ends with `clock`."""
        if clock.calls != ENDED or clock.calls_high != ENDED:
            return self.calls(lanes)
        return LaneClocks(self._newest | {lane: clock}).calls(lanes)

    def state(self) -> dict[str, tuple[int, ...]]:
        """As plain values."""
        return {lane: tuple(clock) for lane, clock in self._newest.items()}

    @classmethod
    def from_state(cls, state: dict[str, tuple[Any, ...]]) -> LaneClocks:
        """Read `state`."""
        return cls({lane: LaneClock(*clock) for lane, clock in state.items()})


def _calls(clocks: list[LaneClock]) -> int:
    greatest = max((clock.calls_high for clock in clocks if clock.calls_high != ENDED), default=ENDED)
    return min(greatest, *(clock.calls for clock in clocks))


def effective_minute(at: I64, wm: I64) -> I32:
    """The minute of each record, or the open one where its own had closed by the watermark `wm` it met."""
    return (np.maximum(at, wm) // MINUTE_US).astype(np.int32)
