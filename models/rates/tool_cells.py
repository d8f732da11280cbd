"""Counts how tools were used, failed and were tried again, per (task type, tool, hour of the call).

Sums of integers only, so the state depends neither on the order of the uses nor on how they were cut into batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US, HOURS_PER_DAY
from aftercall.vocabulary import OTHER
from models.columns.keyed_sums import KeyedSums, Sums, pack_key, unpack_key
from models.state import check_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.arrays import I64, Objects

_STATE_VERSION: Final = 1
MOST_NAMED: Final = 100
"""So many tools of a task type have a name in the table, those with the most calls; the others are `__other__`."""
MOST_KEPT: Final = 10_000
"""So many (task type, tool) are counted apart; those that come when there are so many are `__other__`."""
_DTYPES: Final = (np.int64, np.int64, np.int64)

Tool = tuple[str, str | None]
"""Task type, and the name of the tool: None where it has none."""


class ToolUses(NamedTuple):
    """Uses of tools per (task type, tool, hour of the call), as columns; rows may repeat.

    `hour`: hours since 1970. `failures` of the `calls` failed; `retries`: attempts beyond the first of each.
    """

    tool: Sequence[Tool]
    hour: Sequence[int]
    calls: Sequence[int]
    failures: Sequence[int]
    retries: Sequence[int]


class ToolRates(NamedTuple):
    """Columns of the table `tool_rates`; `window_start` in µs. Sorted by task type, tool and hour."""

    task_type: Objects
    tool: Objects
    window_start: I64
    calls: I64
    failures: I64
    retries: I64


class ToolCells:
    """The counts. Memory: about 50 bytes per (task type, tool, hour)."""

    def __init__(self) -> None:
        self._code: dict[Tool, int] = {}
        self._sums = KeyedSums(_DTYPES)

    def apply(self, uses: ToolUses) -> None:
        """Add uses."""
        keys = pack_key(np.array(list(map(self._coded, uses.tool)), np.int64), np.array(uses.hour, np.int64))
        self._sums.add(keys, *(np.array(column, np.int64) for column in uses[2:]))

    def forget_hours(self, before_us: int) -> None:
        """Drop the hours of the full days (UTC) before a time, as the hourly rates do."""
        floor = before_us // (HOUR_US * HOURS_PER_DAY) * HOURS_PER_DAY
        group, hour, _ = unpack_key(self._sums.sums(copy=False).keys)
        old = hour < floor
        if old.any():
            self._sums.pop(old)
            self._drop_unused(group[~old])

    def frozen(self) -> FrozenTools:
        """A consistent copy for another thread."""
        return FrozenTools(list(self._code), self._sums.sums())

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays; not a copy."""
        sums = self._sums.sums(copy=False)
        return {"version": _STATE_VERSION, "names": list(self._code), "sums": sums.stored()}

    @classmethod
    def from_state(cls, stored: dict[str, Any]) -> ToolCells:
        """The cells that `stored`, a `state()`, was made from.

        Raises:
            StateError: The state has another version.
        """
        check_version(stored, "tool rates", _STATE_VERSION)
        cells = cls()
        cells._code = {(task, tool): code for code, (task, tool) in enumerate(stored["names"])}
        cells._sums = KeyedSums.from_stored(_DTYPES, stored["sums"])
        return cells

    def _coded(self, tool: Tool) -> int:
        code = self._code.get(tool)
        if code is None:
            if len(self._code) >= MOST_KEPT:
                tool = OTHER, OTHER
            code = self._code.setdefault(tool, len(self._code))
        return code

    def _drop_unused(self, used: I64) -> None:
        """Number the tools again, those that some cell counts."""
        kept, group = np.unique(used, return_inverse=True)
        names = list(self._code)
        self._code = {names[code]: place for place, code in enumerate(kept.tolist())}
        keys, columns = self._sums.sums()
        self._sums = KeyedSums(_DTYPES, Sums(pack_key(group, unpack_key(keys)[1]), columns))


class FrozenTools(NamedTuple):
    """The counts at one instant; keys as `ToolCells` packs them, codes index `names`."""

    names: list[Tool]
    sums: Sums

    def table(self) -> ToolRates:
        """The columns of `tool_rates`."""
        code, hour, _ = unpack_key(self.sums.keys)
        shown = _shown(self.names, code, self.sums.columns[0])
        order = {tool: place for place, tool in enumerate(sorted(set(shown), key=_sort_key))}
        place = np.array([order[tool] for tool in shown], np.int64)[code]
        keys, inverse = np.unique(pack_key(place, hour), return_inverse=True)
        counts = (_summed(column, inverse, len(keys)) for column in self.sums.columns)
        tools, hours, _ = unpack_key(keys)
        named = list(order)
        return ToolRates(
            _texts([named[tool][0] for tool in tools.tolist()]),
            _texts([named[tool][1] for tool in tools.tolist()]),
            hours * HOUR_US,
            *counts,
        )


def _shown(names: list[Tool], code: I64, calls: NDArray[np.int64]) -> list[Tool]:
    """The name of each tool in the table: its own where it is one of the most used ones of its task type."""
    totals = _summed(calls, code, len(names)).tolist()
    named: Counter[str] = Counter()
    shown = list(names)
    for place in sorted(range(len(names)), key=lambda place: (-totals[place], _sort_key(names[place]))):
        task = names[place][0]
        named[task] += 1
        if named[task] > MOST_NAMED:
            shown[place] = task, OTHER
    return shown


def _sort_key(tool: Tool) -> tuple[str, bool, str]:
    return tool[0], tool[1] is not None, tool[1] or ""


def _summed(values: NDArray[np.int64], places: NDArray[np.integer], count: int) -> I64:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, places, values)
    return sums


def _texts(values: Sequence[str | None]) -> Objects:
    column = np.empty(len(values), np.object_)
    column[:] = values
    return column
