"""What the clock on the wall shows where the work is done: time zones, holidays, planned work."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aftercall.times import HOUR_US, HOURS_PER_DAY


class Zone(NamedTuple):
    """A time zone: from hour `begins[i]` since 1970 UTC on, its clocks are `offsets[i]` whole hours ahead of UTC.

    Of zones that are half an hour off, the offset is rounded down: hours are compared with each other only.
    """

    begins: tuple[int, ...]
    offsets: tuple[int, ...]

    def offset(self, hour: int) -> int:
        """Hours ahead of UTC in an hour since 1970 UTC.

        >>> Zone((0, 10), (1, 2)).offset(9), Zone((0, 10), (1, 2)).offset(10)
        (1, 2)
        """
        return self.offsets[max(bisect_right(self.begins, hour) - 1, 0)]


UTC: Final = Zone((0,), (0,))


class Planned(NamedTuple):
    """Work that is planned from `begin` to `end`, microseconds, on one task type or on all (None)."""

    begin: int
    end: int
    task: str | None = None


@dataclass(frozen=True)
class Calendar:
    """Local time by task type.

    Attributes:
        zones: of task types; others are in UTC.
        holidays: days since 1970, by the local date of each task type.
        planned: hours in which volumes are neither tested nor learned.
    """

    zones: Mapping[str, Zone] = field(default_factory=dict)
    holidays: frozenset[int] = frozenset()
    planned: tuple[Planned, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether every task type is in UTC, every day like any other."""
        return not (self.zones or self.holidays or self.planned)

    def local(self, task: str, hour: int) -> int:
        """The hour that clocks show, counted as from 1970."""
        return hour + self.zones.get(task, UTC).offset(hour)

    def is_holiday(self, task: str, hour: int) -> bool:
        """Whether an hour, since 1970 UTC, lies on a holiday there.

        >>> Calendar({"refund": Zone((0,), (2,))}, frozenset({1})).is_holiday("refund", 22)
        True
        """
        return self.local(task, hour) // HOURS_PER_DAY in self.holidays

    def is_planned(self, task: str, hour: int) -> bool:
        """Whether work on a task type is planned for any part of an hour since 1970 UTC."""
        begin, end = hour * HOUR_US, (hour + 1) * HOUR_US
        return any(work.task in {None, task} and work.begin < end and begin < work.end for work in self.planned)
