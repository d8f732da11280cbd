"""Sum the differences of calls with a segment per group, segment and window: the same counts as those of rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.arrays import Bools
from models.messages import CellDeltas, DelayDeltas, Group, LatencyDeltas
from models.rates.effects import NO_EFFECTS, Effects
from models.rates.rate_cells import RateCells
from models.rates.tables import FrozenRates, RateTable


class FrozenSegments:
    """The sums of a `SegmentCells` at one instant."""

    def __init__(self, frozen: FrozenRates) -> None:
        self._frozen = frozen

    def table(self, as_of_us: int, *, live: bool, effects: Effects = NO_EFFECTS) -> RateTable:
        """The columns of `segment_rates`; see `FrozenRates.tables`. Without segments it costs nothing."""
        if not self._frozen.names:
            return {"task_type": np.zeros(0, np.object_)}
        return self._frozen.rates(as_of_us, live=live, effects=effects)


class SegmentCells:
    """Per-(group, segment, window) sums, of the memory of `RateCells`; a group's segments are bounded by settings."""

    def __init__(self, cells: RateCells | None = None) -> None:
        """Start with cells of (task_type, model, config, segment), or empty."""
        self._cells = cells or RateCells()

    def apply(
        self,
        names: list[Group],
        segments: list[str],
        cells: CellDeltas,
        latencies: LatencyDeltas,
        delays: DelayDeltas,
    ) -> None:
        """Add one message's differences of calls with a segment; codes index `names` and `segments`. O(n + names)."""
        wanted = np.array([segment != "" for segment in segments], np.bool_)
        strata = [(*name, segment) for name, segment in zip(names, segments, strict=True)]
        tables = (_of(table, wanted) for table in (cells, latencies, delays))
        self._cells.apply([name for name in strata if name[3]], *tables)

    def advance(self, watermark: int, newest_call: int) -> None:
        """See `RateCells.advance`."""
        self._cells.advance(watermark, newest_call)

    def forget_hours(self, before_us: int) -> None:
        """See `RateCells.forget_hours`."""
        self._cells.forget_hours(before_us)

    def frozen(self) -> FrozenSegments:
        """A consistent copy for another thread: one memory copy, no computation."""
        return FrozenSegments(self._cells.frozen())

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays; not a copy."""
        return self._cells.state()

    @classmethod
    def from_state(cls, stored: dict[str, Any]) -> SegmentCells:
        """The cells that `stored`, a `state()`, was made from.

        Raises:
            StateError: The state has another version.
        """
        return cls(RateCells.from_state(stored))


def _of(table: Any, wanted: Bools) -> Any:
    """The rows of a table whose code is wanted, by codes of those alone."""
    rows = wanted[table.code]
    place = (np.cumsum(wanted) - 1).astype(np.int32)
    return type(table)(place[table.code[rows]], *(column[rows] for column in table[1:]))
