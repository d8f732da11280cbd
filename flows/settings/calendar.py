"""Defines the section `[calendar]` and what it is read from: zones, holidays, planned work."""

from __future__ import annotations

import json
from datetime import UTC, date
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)
from pydantic_settings import NoDecode

from aftercall.times import DAY_US, EPOCH, HOUR_US, to_us
from flows.settings.sections import Name, Section

if TYPE_CHECKING:
    from models.drift import Zone

_MOST_DAYS: Final = 10_000


def _days(value: object) -> object:
    """Dates as they are, or those of a file."""
    if not isinstance(value, str):
        return value
    if value.strip().lower().endswith(".ics"):
        return _of_file(Path(value.strip()))
    # An environment variable holds text: a JSON list, or dates with commas between.
    try:
        return json.loads(value) if value.startswith("[") else [day.strip() for day in value.split(",")]
    except json.JSONDecodeError:
        raise ValueError("must be dates, or the name of an .ics file") from None


def _of_file(path: Path) -> list[date]:
    # Imported where it is needed: most settings name no calendar.
    from flows.settings.ics import days_of

    try:
        return days_of(path.read_bytes())
    except OSError as wrong:
        raise ValueError(f"must be dates, or an .ics file that can be read ({wrong.strerror})") from None
    except ValueError as wrong:
        raise ValueError(f"must be dates, or an .ics file with whole days ({wrong})") from None


def _sorted(days: list[date]) -> list[date]:
    if len(days) > _MOST_DAYS:
        raise ValueError(f"must have at most {_MOST_DAYS:,} days")
    return sorted(set(days))


Days = Annotated[
    list[date],
    BeforeValidator(_days),
    AfterValidator(_sorted),
    NoDecode,
    PlainSerializer(lambda days: [day.isoformat() for day in days], return_type=list[str]),
]


class PlannedWork(Section):
    """A span in which `volume` is muted: of a task type, or of all."""

    model_config = ConfigDict(serialize_by_alias=True)

    begin: AwareDatetime = Field(alias="from")
    end: AwareDatetime = Field(alias="to")
    task: Name | None = None

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if not self.begin < self.end:
            raise ValueError("must have a 'to' after its 'from'")
        return self

    def __str__(self) -> str:
        whose = "all task types" if self.task is None else f"task type {self.task!r}"
        return f"{whose}, {self.begin.astimezone(UTC):%Y-%m-%d %H:%M} to {self.end.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


class Calendar(Section):
    """Days that are like no others, and hours in which nothing is to be missed."""

    holidays: Days = Field(default_factory=list)
    planned: list[PlannedWork] = Field(default_factory=list)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for one, other in combinations(sorted(self.planned, key=lambda work: work.begin), 2):
            same = one.task is None or other.task is None or one.task == other.task
            if same and other.begin < one.end:
                raise ValueError(f"must not have planned work that overlaps; {one} and {other} do")
        return self

    def days(self) -> frozenset[int]:
        """Holidays as days since 1970."""
        return frozenset((day - EPOCH.date()).days for day in self.holidays)

    def spans(self) -> list[tuple[int, int, str | None]]:
        """Planned work: from, to (microseconds), task type."""
        return [(to_us(work.begin), to_us(work.end), work.task) for work in self.planned]

    def holiday_within(self, work: PlannedWork, zone: Zone) -> date | None:
        """A holiday, by the clocks of a zone, that planned work overlaps; None where there is none."""
        begin, end = to_us(work.begin), to_us(work.end)
        for day in self.holidays:
            # Local midnight, in microseconds: the offset is that of noon, or of a day on which clocks change nearly so.
            start = (day - EPOCH.date()).days * DAY_US
            start -= zone.offset(start // HOUR_US) * HOUR_US
            if begin < start + DAY_US and start < end:
                return day
        return None


def muted(calendar: Calendar) -> list[str]:
    """One sentence for each planned work: that nothing is watched then."""
    return [f"calls and outcomes are not missed while work is planned: {work}" for work in calendar.planned]
