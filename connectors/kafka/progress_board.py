"""Shares the progress of each lane's slowest partition between all processes of a host.

The board is a small file of one number per lane, mapped into memory: lanes in other processes see a change at once, and
no lane waits for another. Lanes use it only to decide what to pause, so it needs no lock and is not part of the state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from connectors.own_files import open_own

_NOTHING: Final = 2**63 - 1


class ProgressBoard:
    """The slowest clock of each lane, µs."""

    def __init__(self, path: Path, lanes: int) -> None:
        """Open the board; create it if it is missing or has another number of lanes."""
        size = lanes * np.dtype(np.int64).itemsize
        with open_own(path, "ab") as file:
            if file.tell() != size:
                file.truncate(0)
                file.write(np.full(lanes, _NOTHING, np.int64).tobytes())
        self._slowest = np.memmap(path, np.int64, "r+", shape=(lanes,))

    def publish(self, lane: int, slowest: int | None) -> None:
        """Set the slowest clock of a lane's partitions that are not read to their end, µs; None: it has none."""
        self._slowest[lane] = _NOTHING if slowest is None else slowest

    def slowest(self) -> int | None:
        """The slowest clock of all lanes, µs; None if no lane has one."""
        least = int(self._slowest.min())
        return None if least == _NOTHING else least
