"""The time of day of many series in one hour, each where its work is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aftercall.times import HOURS_PER_DAY
from models.arrays import I64, Bools
from models.drift.calendar import Calendar


class Clocks(NamedTuple):
    """Arrays of shape (series,).

    Attributes:
        local: the hour that clocks show, counted as from 1970; some have a Thursday's midnight as hour 0.
        midnight: whether a local day begins with this hour.
        holiday: whether it lies on a holiday.
        watched: whether no work is planned for it.
    """

    local: I64
    midnight: Bools
    holiday: Bools
    watched: Bools


def clocks_of(calendar: Calendar, tasks: Sequence[str], hour: int) -> Clocks:
    """The clocks of series by their task types, in an hour since 1970 UTC; each task type is asked once."""
    count = len(tasks)
    if calendar.plain:
        no, yes = np.zeros(count, np.bool_), np.ones(count, np.bool_)
        return Clocks(np.full(count, hour), yes if hour % HOURS_PER_DAY == 0 else no, no, yes)
    known = {task: _of(calendar, task, hour) for task in set(tasks)}
    rows = [known[task] for task in tasks]
    return Clocks(
        np.array([row[0] for row in rows], np.int64),
        *(np.array([row[at] for row in rows], np.bool_) for at in (1, 2, 3)),
    )


def _of(calendar: Calendar, task: str, hour: int) -> tuple[int, bool, bool, bool]:
    local, before = calendar.local(task, hour), calendar.local(task, hour - 1)
    midnight = local // HOURS_PER_DAY > before // HOURS_PER_DAY
    return local, midnight, calendar.is_holiday(task, hour), not calendar.is_planned(task, hour)
