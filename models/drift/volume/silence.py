"""Long silences raise an alarm in proportion to those seen before a weekly profile is known.

A silence counts where it is more than `TIMES` as long as the longest seen before, and at least `MIN_HOURS`; the series
has been watched for a day, `MIN_SEEN` events have come in `MIN_BUSY` hours, and `MIN_DUE` were due since the last one.
Where no hour has been empty, the events due in an hour are capped at the smallest count seen, because it may be night.
After nights of 16 hours an alarm needs a silence of over 128, so that the first weekend raises none; an automatic
source is missed after two or three. No promise is made.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import HOURS_PER_DAY
from models.arrays import F64, I64, Bools
from models.columns.struct_of_arrays import StructOfArrays

TIMES: Final = 8
MIN_HOURS: Final = 2
MIN_SEEN: Final = 100
MIN_DUE: Final = 30.0
MIN_BUSY: Final = 24
"""Hours with events: of one that sends everything at once, each night, nothing is known after a day."""


class _Series(NamedTuple):
    """Columns of shape (series,); their names are the keys of the stored state."""

    began: F64
    last: F64
    longest: F64
    seen: F64
    due: F64
    poorest: F64
    busy: F64

    @classmethod
    def beginning(cls, hour: int) -> _Series:
        """One row whose first event lies in `hour`."""
        start, none = np.array(float(hour)), np.zeros(())
        return cls(began=start, last=start, longest=none, seen=none, due=none, poorest=none, busy=none)


class Silences:
    """Silences of many series, 56 bytes each."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start without series, or from a `state()`."""
        self._rows = StructOfArrays(_Series(*(np.zeros(0),) * 7) if state is None else _Series(**state))

    @property
    def last(self) -> F64:
        """Hour of the last event, shape (series,)."""
        return self._rows.columns.last

    @property
    def seen(self) -> F64:
        """Events so far, shape (series,)."""
        return self._rows.columns.seen

    @property
    def due(self) -> F64:
        """Events expected since the last, shape (series,)."""
        return self._rows.columns.due

    def state(self) -> dict[str, Any]:
        """Plain arrays; not a copy."""
        return self._rows.columns._asdict()

    def add(self, count: int, hour: int) -> None:
        """Append `count` series whose first event lies in `hour`."""
        self._rows.append(count, _Series.beginning(hour))

    def keep(self, kept: Bools) -> None:
        """Drop the others."""
        self._rows.keep(kept)

    def relearn(self, rows: I64, hour: int) -> None:
        """Start these from scratch."""
        self._rows.fill(rows, _Series.beginning(hour))

    def advance_hour(self, hour: int, events: F64, due: F64, learning: Bools, counted: Bools) -> Bools:
        """Take in one hour of all series; returns which have been silent for too long.

        Args:
            hour: since 1970 UTC, one more than the last time.
            events: that arrived, shape (series,).
            due: that were expected in the hour, shape (series,).
            learning: whose gaps count as normal: not those that have an alert.
            counted: whose hour counts: not one of planned work, or of a holiday.
        """
        c = self._rows.columns
        some = events > 0
        gap = hour - c.last
        np.maximum(c.longest, gap - 1, out=c.longest, where=some & learning & counted)
        c.last[some | ~counted] = hour
        c.seen[:] += events
        c.busy[:] += some
        # The hour in which a series began was not observed whole.
        full = some & learning & counted & (hour > c.began)
        np.copyto(c.poorest, np.where(c.poorest > 0, np.minimum(c.poorest, events), events), where=full)
        most = np.where((c.longest == 0) & (c.poorest > 0), c.poorest, np.inf)
        c.due[:] = np.where(some, 0.0, c.due + np.where(counted, np.minimum(due, most), 0.0))
        old = hour - c.began >= HOURS_PER_DAY
        enough = old & (c.seen >= MIN_SEEN) & (c.busy >= MIN_BUSY) & (c.due >= MIN_DUE)
        silent: Bools = ~some & counted & enough & (gap > TIMES * c.longest) & (gap >= MIN_HOURS)
        return silent
