"""The rhythm of a source: when a silence of it means something.

A source may answer all day, each night, or each Monday; its first hours do not tell which. What is missed must have
come again before: a silence counts once the source has spoken in `MIN_BURSTS` bursts, `APART` hours from each other, or
for `MIN_ACTIVE` hours in one. A source that speaks in few hours speaks in batches, and an hour without answers is no
hour with too few: its batch may come later today. It has no profile of the hours of the week; it is missed once it has
been silent for `LONGER` times its longest silence, after two weeks and `MIN_BURSTS` silences.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from models.arrays import F64, I64, Bools
from models.columns.struct_of_arrays import StructOfArrays
from models.drift.volume.silence import MIN_DUE, MIN_SEEN, Silences
from models.drift.volume.weekly_profile import KNOWN_AFTER, WeeklyProfiles

APART: Final = 6
"""Hours of silence between two bursts."""
MIN_BURSTS: Final = 3
MIN_ACTIVE: Final = 24
IN_BATCHES: Final = 0.15
"""Share of hours with answers below which a source speaks in batches."""
LONGER: Final = 1.25
SLACK_HOURS: Final = 3
"""So many times the longest silence, and hours, must a batch stay away."""
_HOURLY: Final = 0.7 ** (1 / 168)
"""What an hour counts for an hour later: a week 0.7."""


class _Rhythm(NamedTuple):
    """Columns of shape (series,); their names are keys of the stored state."""

    bursts: F64
    active: F64
    """Hours with answers, and all hours, older ones discounted."""
    hours: F64

    @classmethod
    def beginning(cls) -> _Rhythm:
        """A source that speaks for the first time."""
        one = np.array(1.0)
        return cls(bursts=one, active=np.zeros(()), hours=np.zeros(()))


class Rhythms(Silences):
    """Silences of many sources, which count where the rhythm of the source is known; 72 bytes each."""

    def __init__(self, state: dict[str, Any] | None = None, rhythm: dict[str, Any] | None = None) -> None:
        """Start without series, or from a `state()` and `rhythm()`; an earlier version had no rhythm."""
        super().__init__(state)
        count = 0 if state is None else len(state["began"])
        # What was watched before is taken to be known, as it was.
        known = _Rhythm(np.full(count, float(MIN_BURSTS)), np.full(count, float(MIN_ACTIVE)), np.zeros(count))
        self._rhythm = StructOfArrays(known if rhythm is None else _Rhythm(**rhythm))

    @property
    def in_batches(self) -> Bools:
        """Which sources speak in few hours, shape (series,)."""
        c = self._rhythm.columns
        few: Bools = (c.hours >= MIN_ACTIVE) & (c.active < IN_BATCHES * c.hours)
        return few

    def rhythm(self) -> dict[str, Any]:
        """What `state` lacks, as plain arrays; not a copy."""
        return self._rhythm.columns._asdict()

    def add(self, count: int, hour: int) -> None:
        """Append `count` series whose first event lies in `hour`."""
        super().add(count, hour)
        self._rhythm.append(count, _Rhythm.beginning())

    def keep(self, kept: Bools) -> None:
        """Drop the others."""
        super().keep(kept)
        self._rhythm.keep(kept)

    def relearn(self, rows: I64, hour: int) -> None:
        """Start these from scratch."""
        super().relearn(rows, hour)
        self._rhythm.fill(rows, _Rhythm.beginning())

    def advance_hour(self, hour: int, events: F64, due: F64, learning: Bools, counted: Bools) -> Bools:
        """See `Silences.advance_hour`; only of sources whose rhythm is known."""
        c, row = self._rhythm.columns, self._rows.columns
        some = events > 0
        c.bursts[:] += some & (hour - self.last > APART)
        c.active[:] = c.active * _HOURLY + some
        c.hours[:] = c.hours * _HOURLY + 1
        silent = super().advance_hour(hour, events, due, learning, counted)
        steady = (row.longest <= APART) & (c.active >= MIN_ACTIVE)
        known: Bools = silent & ((c.bursts >= MIN_BURSTS) | steady)
        stays_away = ~some & learning & self.in_batches & (c.bursts > MIN_BURSTS) & (hour - row.began >= KNOWN_AFTER)
        stays_away &= counted & (row.seen >= MIN_SEEN) & (row.due >= MIN_DUE)
        return known | (stays_away & (hour - row.last > LONGER * row.longest + SLACK_HOURS))


class RhythmicProfiles(WeeklyProfiles):
    """Profiles of the hours of the week, of sources that do not speak in batches."""

    in_batches: Bools
    """Shape (series,); to be set before each hour."""

    def known(self, hour: int) -> Bools:
        """Which profiles are known by `hour`."""
        known: Bools = super().known(hour) & ~self.in_batches
        return known
