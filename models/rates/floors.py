"""Tells from when on rates are kept by minute and hour, and delays by hour and day: what the tables still need."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from aftercall.times import HOUR_US, HOURS_PER_DAY, MINUTE_US, MINUTES_PER_HOUR, NEVER
from models.rates.tables import SPANS
from models.stats import delay_distribution as delay

_KEPT_HOURS: Final = 2
_LONGEST_SPAN: Final = max(SPANS.values())


class Rise(NamedTuple):
    """Which floors have risen."""

    minute: bool
    delay_day: bool
    release: bool


class Floors:
    """Windows before them are kept no more, but in the sums of longer ones. They only rise.

    Attributes:
        minute: minutes since 1970.
        hour: hours since 1970, at the beginning of a day (UTC).
        delay_day: days since 1970; the delays of calls before it are kept by day.
        release: likewise; the times of calls before it are not kept with their delays.
    """

    def __init__(self) -> None:
        self.minute = self.hour = self.delay_day = self.release = NEVER

    def advance(self, watermark: int, newest_call: int) -> Rise:
        """Raise all but `hour` to what tables as of these times need; both in µs, or `NEVER`."""
        if NEVER in {watermark, newest_call}:
            return Rise(minute=False, delay_day=False, release=False)
        anchor, before = min(watermark, newest_call + MINUTE_US), (self.minute, self.delay_day, self.release)
        self.minute = max(self.minute, (anchor // HOUR_US - _KEPT_HOURS) * MINUTES_PER_HOUR)
        self.delay_day = max(self.delay_day, (anchor - delay.HISTORY_US) // (HOUR_US * HOURS_PER_DAY))
        self.release = max(self.release, (anchor - delay.LONGEST_US) // (HOUR_US * HOURS_PER_DAY))
        after = self.minute, self.delay_day, self.release
        return Rise(*(now > then for now, then in zip(after, before, strict=True)))

    def forget_hours(self, before_us: int) -> bool:
        """Raise `hour` to the day (UTC) of a time; whether it has risen.

        No further than to the beginning of the longest span of the current rates: that counts whole hours.
        """
        if self.minute == NEVER:
            return False
        needed = self.minute // MINUTES_PER_HOUR + _KEPT_HOURS - _LONGEST_SPAN
        floor = min(before_us // HOUR_US, needed) // HOURS_PER_DAY * HOURS_PER_DAY
        has_risen = floor > self.hour
        self.hour = max(self.hour, floor)
        return has_risen

    def state(self) -> dict[str, int]:
        """As plain values; the keys are part of the stored state of rates."""
        return {
            "minute_floor": self.minute,
            "hour_floor": self.hour,
            "delay_day_floor": self.delay_day,
            "release_floor": self.release,
        }

    @classmethod
    def from_state(cls, stored: dict[str, Any]) -> Floors:
        """The floors of a `state()`; other keys are left alone."""
        floors = cls()
        floors.minute, floors.hour = stored["minute_floor"], stored["hour_floor"]
        floors.delay_day, floors.release = stored["delay_day_floor"], stored["release_floor"]
        return floors
