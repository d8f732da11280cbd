"""Keeps a value of each held call where some calls have one, and counts the trials of one batch by such a value."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.arrays import I8, I32
from models.join.parts import columns_of


class RareColumn:
    """A value of each row, 0 for none. Takes no room before the first call that has one."""

    NAME: ClassVar[str]
    """In a stored state."""
    DTYPE: ClassVar[type[np.unsignedinteger[Any]]]

    def __init__(self) -> None:
        self._of: NDArray[Any] = np.zeros(0, self.DTYPE)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._of.nbytes

    def put(self, rows: I32, values: NDArray[Any]) -> None:
        """Set the values of the calls at `rows`, of which some may have been those of other calls."""
        if values.any():
            self._reach(int(rows.max()) + 1)
        (known,) = (rows < len(self._of)).nonzero()
        self._of[rows[known]] = values[known]

    def of(self, rows: I32) -> NDArray[Any] | None:
        """The values of the calls at `rows`; None where no call has had one."""
        if not len(self._of):
            return None
        found: NDArray[Any] = np.zeros(len(rows), self.DTYPE)
        (known,) = (rows < len(self._of)).nonzero()
        found[known] = self._of[rows[known]]
        return found

    def state_of(self, rows: I32) -> dict[str, NDArray[Any]]:
        """As a part of a state, empty where none of the calls has one."""
        values = self.of(rows)
        return {} if values is None or not values.any() else {self.NAME: values}

    def put_state(self, rows: I32, state: dict[str, Any]) -> None:
        """The values of a part of a state; it has none of calls that an earlier version held."""
        self.put(rows, state.get(self.NAME, np.zeros(len(rows), self.DTYPE)))

    def _reach(self, count: int) -> None:
        if count > len(self._of):
            more = np.zeros(count + count // 16 - len(self._of), self.DTYPE)
            self._of = np.concatenate((self._of, more))


class RareTrials:
    """Trials of one batch by the value of their call: gained, or withdrawn."""

    DTYPE: ClassVar[type[np.unsignedinteger[Any]]]

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._single: dict[tuple[int, int, int, int, int], int] = {}

    def add(self, values: NDArray[Any] | None, code: I32, minute: I32, hour: I32, success: I8, count: I32) -> None:
        """Verdicts at ends of minutes, of which those that are none (-1) are no trials."""
        if values is None:
            return
        (some,) = ((values != 0) & (success >= 0)).nonzero()
        columns = (code, minute, hour, values, success, count)
        if len(some) == len(values):  # mostly so, and none of them is ever written to
            self._parts.append(columns)
        elif len(some):
            self._parts.append(tuple(column[some] for column in columns))

    def add_one(self, value: int, code: int, minute: int, hour: int, success: bool, count: int) -> None:  # noqa: FBT001
        """One trial of a call that has a value."""
        key = code, minute, hour, value, int(success)
        self._single[key] = self._single.get(key, 0) + count

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Code, minute, hour, value, success and count of rows that may repeat; nothing where there are none."""
        kept = [(*key, count) for key, count in self._single.items() if count]
        if kept:
            code, minute, hour, value, success, count = zip(*kept, strict=True)
            of_code = (np.array(column, np.int32) for column in (code, minute, hour))
            more = np.array(value, self.DTYPE), np.array(success, np.int8), np.array(count, np.int32)
            self._parts.append((*of_code, *more))
        return columns_of(self._parts) if self._parts else ()
