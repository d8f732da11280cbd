"""Shares how far each lane has read, its slowest partition and its fastest one, between all processes of a host.

The board is a small file of two numbers per lane, mapped into memory: lanes in other processes see a change at once,
and no lane waits for another. It decides what is paused, and up to where an idle partition counts. For both, numbers of
a moment ago serve, and those of the run before: so it needs no lock and is no state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from aftercall.times import NEVER
from connectors.own_files import open_own

_NOTHING: Final = 2**63 - 1


class ProgressBoard:
    """The slowest and the fastest clock of each lane, µs."""

    def __init__(self, path: Path, lanes: int) -> None:
        """Open the board; create it if it is missing or has another number of lanes."""
        size = 2 * lanes * np.dtype(np.int64).itemsize
        with open_own(path, "ab") as file:
            if file.tell() != size:
                file.truncate(0)
                file.write(np.array([[_NOTHING] * lanes, [NEVER] * lanes], np.int64).tobytes())
        self._slowest, self._fastest = np.memmap(path, np.int64, "r+", shape=(2, lanes))

    def publish(self, lane: int, slowest: int | None, fastest: int) -> None:
        """Set the clocks of a lane.

        Args:
            lane: its number.
            slowest: the least clock of its partitions that are not read to their end, µs; None: it has none.
            fastest: the greatest clock of all its partitions, µs; `NEVER` before there is one.
        """
        self._slowest[lane] = _NOTHING if slowest is None else slowest
        self._fastest[lane] = fastest

    def slowest(self) -> int | None:
        """The slowest clock of all lanes, µs; None if no lane has one."""
        least = int(self._slowest.min())
        return None if least == _NOTHING else least

    def read_to(self) -> int:
        """The greatest clock of all lanes, µs; `NEVER` before there is one."""
        return int(self._fastest.max())
