"""Where the differences of calls count."""

from __future__ import annotations

from typing import Final, NamedTuple

from models.arrays import I32, I64, U32, U64


class CallPlace(NamedTuple):
    """Where the differences of a call count: its group as the shard's code, its time, and its effective minute.

    `unit`: see `models.join.units`; `facets`: see `models.join.facets`; 0 for none.
    """

    group: int
    at: int
    minute: int
    unit: int = 0
    facets: int = 0


class Known(NamedTuple):
    """A call's own error, None where it has none, and the minute from which on it is known."""

    error: str | None
    minute: int


UNKNOWN: Final = Known(None, 0)


class CallPlaces(NamedTuple):
    """The same of many calls, as columns. The last two are None where none has one, or trials are not what counts."""

    group: I32
    at: I64
    minute: I32
    unit: U64 | None = None
    facets: U32 | None = None

    def part(self, rows: I64) -> CallPlaces:
        """Some of them."""
        unit = None if self.unit is None else self.unit[rows]
        facets = None if self.facets is None else self.facets[rows]
        return CallPlaces(self.group[rows], self.at[rows], self.minute[rows], unit, facets)
