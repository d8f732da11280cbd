"""Counts trials by how many outcomes their unit had by then: of conversations, how long those are that fail."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aftercall.facets import LENGTH_BOUNDS
from models.arrays import I32, I64
from models.columns.group_sums import total
from models.side_messages import NO_LENGTHS, LengthTrials

_BOUNDS: Final = np.array(LENGTH_BOUNDS)


class UnitLengths:
    """Rows of the minutes that have closed since they were last taken; no state, as they are taken with these."""

    def __init__(self) -> None:
        self._parts: list[LengthTrials] = []

    def add(self, code: I64, minute: I64, outcomes: I64, failures: I64, trials: I64) -> None:
        """Of units and minutes within a UTC day, which comes after all before.

        Args:
            code: of the group, negative for roll-ups, which have no rows.
            minute: any order.
            outcomes: how many the unit had by the end of the minute, those of it among them.
            failures: among the minute's trials of the unit.
            trials: > 0.
        """
        (some,) = (code >= 0).nonzero()
        if not len(some):
            return
        length = np.searchsorted(_BOUNDS, outcomes[some], side="right") - 1
        first, sums = total((minute[some], code[some], length), (failures[some], trials[some]))
        columns = (code[some][first], minute[some][first], length[first])
        self._parts.append(LengthTrials(*(column.astype(np.int32) for column in columns), *sums))

    def take(self) -> LengthTrials:
        """The rows since this was last called, by minute, code and length."""
        parts, self._parts = self._parts or [NO_LENGTHS], []
        columns: tuple[I32, ...] = tuple(map(np.concatenate, zip(*parts, strict=True)))
        of: Any = LengthTrials
        return of(*columns) if len(parts) > 1 else parts[0]
