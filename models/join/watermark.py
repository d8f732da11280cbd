"""The watermark over all lanes, as one shard has heard of them.

Each lane tells the least clock of its partitions; lanes whose partitions are all idle are left out, and while every
lane is idle the watermark is the greatest clock (docs/reference.md, section 2).
"""

from __future__ import annotations

from typing import NamedTuple

from aftercall.times import NEVER

NO_OTHER = 2**63 - 1
"""Nothing but the lane itself holds the watermark back."""


class LaneClock(NamedTuple):
    """What a lane says of itself, times in µs.

    Attributes:
        low: the least clock of its partitions that are not idle; `NEVER` while one of them has yet to speak.
        high: the greatest clock of all its partitions, or `NEVER`.
        idle: none of its partitions holds the watermark back; `low` says nothing then.
    """

    low: int
    high: int
    idle: bool


class LaneClocks:
    """The newest clock of each lane."""

    def __init__(self, heard: dict[str, LaneClock] | None = None) -> None:
        self._heard = {} if heard is None else heard

    def hear(self, lane: str, clock: LaneClock) -> None:
        """Note what a lane says."""
        self._heard[lane] = clock

    def others(self, lane: str, lanes: int) -> int:
        """How far the other lanes let a record of this one go: `NEVER` until each of the `lanes` has spoken."""
        others = [clock for name, clock in self._heard.items() if name != lane]
        if len(others) < lanes - 1:
            return NEVER
        return min((clock.low for clock in others if not clock.idle), default=NO_OTHER)

    def watermark(self, lanes: int) -> int:
        """The watermark now; the caller sees to it that it never falls."""
        clocks = list(self._heard.values())
        if len(clocks) < lanes:
            return NEVER
        lows = [clock.low for clock in clocks if not clock.idle]
        return min(lows) if lows else max(clock.high for clock in clocks)

    def plain(self) -> dict[str, tuple[int, int, bool]]:
        """For the state."""
        return {lane: (clock.low, clock.high, clock.idle) for lane, clock in self._heard.items()}

    @classmethod
    def from_plain(cls, plain: dict[str, tuple[int, int, bool]]) -> LaneClocks:
        """From the state."""
        return cls({lane: LaneClock(*clock) for lane, clock in plain.items()})
