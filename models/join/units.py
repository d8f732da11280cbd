"""Keeps the units of evidence of held calls, and the trials of one batch by unit.

Calls of one unit may be judged at one stroke: those of a session, or a call's children. A unit is the hash of the
`session_id`, else of the `parent_call_id`, of a call's first record; 0 where it has neither, as the call is one alone
(docs/decisions/0026-units-of-evidence.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import I8, I32, U64
from models.join.call_places import CallPlaces
from models.join.parts import columns_of
from models.messages import NO_UNITS, UnitTrials


class HeldUnits:
    """The units of held calls, by row. Takes no room before the first call that has one, then 8 bytes a row."""

    def __init__(self) -> None:
        self._of: U64 = np.zeros(0, np.uint64)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._of.nbytes

    def put(self, rows: I32, units: U64) -> None:
        """Set the units of the calls at `rows`, of which some may have been those of other calls."""
        if units.any():
            self._reach(int(rows.max()) + 1)
        (known,) = (rows < len(self._of)).nonzero()
        self._of[rows[known]] = units[known]

    def of(self, rows: I32) -> U64 | None:
        """The units of the calls at `rows`; None where no call has had one."""
        if not len(self._of):
            return None
        found = np.zeros(len(rows), np.uint64)
        (known,) = (rows < len(self._of)).nonzero()
        found[known] = self._of[rows[known]]
        return found

    def state_of(self, rows: I32) -> dict[str, U64]:
        """As a part of a state, empty where none of the calls has one."""
        units = self.of(rows)
        return {} if units is None or not units.any() else {"units": units}

    def put_state(self, rows: I32, state: dict[str, Any]) -> None:
        """The units of a part of a state; it has none of calls that an earlier version held."""
        self.put(rows, state.get("units", np.zeros(len(rows), np.uint64)))

    def _reach(self, count: int) -> None:
        if count > len(self._of):
            more = np.zeros(count + count // 16 - len(self._of), np.uint64)
            self._of = np.concatenate((self._of, more))


class UnitRows:
    """Trials of one batch by unit: gained, or withdrawn."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._single: dict[tuple[int, int, int, int, int], int] = {}

    def add(self, calls: CallPlaces, code: I32, minute: I32, hour: I32, success: I8, count: I32) -> None:
        """Verdicts at ends of minutes, of which those that are none (-1) are no trials."""
        if calls.unit is None:
            return
        (some,) = ((calls.unit != 0) & (success >= 0)).nonzero()
        if len(some):
            columns = (code, minute, hour, calls.unit, success, count)
            self._parts.append(tuple(column[some] for column in columns))

    def add_one(self, code: int, minute: int, hour: int, unit: int, success: bool, count: int) -> None:  # noqa: FBT001
        """One trial of a call that has a unit."""
        key = code, minute, hour, unit, int(success)
        self._single[key] = self._single.get(key, 0) + count

    def table(self) -> tuple[I32, UnitTrials]:
        """The calls' hours, and the rows; these may repeat."""
        kept = {key: count for key, count in self._single.items() if count}
        if kept:
            *ints, success, count = zip(*((*key, n) for key, n in kept.items()), strict=True)
            types = (np.int32, np.int32, np.int32, np.uint64)
            columns = [np.array(column, kind) for column, kind in zip(ints, types, strict=True)]
            self._parts.append((*columns, np.array(success, np.int8), np.array(count, np.int32)))
        if not self._parts:
            return NO_UNITS.minute, NO_UNITS
        code, minute, hour, unit, by, n = columns_of(self._parts)
        return hour, UnitTrials(code, minute, unit, by, n)
