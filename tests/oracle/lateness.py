"""Which calls came too late to be evidence about the present (reference, section 3), call by call."""

from __future__ import annotations

import math
from collections.abc import Iterable

from oracle.held import Group, Held
from oracle.records import MINUTE_US

DAY = 1440
FEWEST, REMEMBERED, SHARE = 3, 7, 0.7
LAST = 8


def class_of(minutes: int) -> int:
    """0 up to an hour, then one more for each doubling; 9 beyond 256 hours."""
    return next((number for number in range(LAST + 1) if minutes <= 60 * 2**number), LAST + 1)


class Usual:
    """How late calls of each group usually come."""

    def __init__(self, calls: Iterable[Held]) -> None:
        self._latest: dict[Group, dict[int, int]] = {}
        """Per group and day of coming: the latest class."""
        for held in calls:
            late = class_of(lateness(held))
            self._note(held.group, held.minute, late)
            for attempt, _, minute in held.tried:
                self._note(held.group_of(attempt), minute, late)

    def _note(self, group: Group, minute: int, late: int) -> None:
        days = self._latest.setdefault(group, {})
        days[minute // DAY] = max(days.get(minute // DAY, 0), late)

    def of(self, group: Group, day: int) -> int:
        """The class that is usual as a day begins."""
        days = self._latest.get(group, {})
        seen = [days[one] for one in sorted(days, reverse=True) if one < day][:REMEMBERED]
        if len(seen) < FEWEST:
            return 0
        rank = max(FEWEST, math.ceil(SHARE * len(seen)))
        return min(LAST, sorted(seen, reverse=True)[rank - 1])

    def placed(self, held: Held, group: Group, minute: int) -> bool:
        """Whether what happens to a call in a minute says something about that minute."""
        return class_of(lateness(held)) <= self.of(group, minute // DAY)


def lateness(held: Held) -> int:
    """Minutes from a call's own to the one in which it takes effect."""
    return held.minute - held.call.at // MINUTE_US
