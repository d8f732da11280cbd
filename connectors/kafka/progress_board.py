"""Where the lanes of all processes tell each other how far behind their slowest partition is.

A small file of one number per lane, mapped into memory: lanes in other processes of the same host see a change at once,
and nobody waits for anybody. What it says is never more than advice on what to pause, so it needs no lock and is not
part of the state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

_NOTHING: Final = 2**63 - 1


class LeadBoard:
    """The slowest clock of each lane, µs."""

    def __init__(self, path: Path, lanes: int) -> None:
        """Open the board, made where it is not there yet or was made for another number of lanes."""
        size = lanes * np.dtype(np.int64).itemsize
        with path.open("ab") as file:
            if file.tell() != size:
                file.truncate(0)
                file.write(np.full(lanes, _NOTHING, np.int64).tobytes())
        self._slowest = np.memmap(path, np.int64, "r+", shape=(lanes,))

    def tell(self, lane: int, slowest: int | None) -> None:
        """The slowest clock of a lane's partitions that are not read to their end; None: there is none."""
        self._slowest[lane] = _NOTHING if slowest is None else slowest

    def slowest(self) -> int | None:
        """The slowest clock of all lanes."""
        least = int(self._slowest.min())
        return None if least == _NOTHING else least
