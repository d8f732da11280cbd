"""Shares between all processes of a host which shards have no room for more outcomes that wait for their calls.

Shards write it and lanes read it: like the board of `connectors.kafka.progress_board` it is a small file that is mapped
into memory, only decides what to pause, and so needs no lock and is not part of the state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from connectors.own_files import open_own

_ROOM: Final = -(2**63)


class WaitingBoard:
    """Per shard: up to which event time calls must have been read before there is room again, us."""

    def __init__(self, path: Path, shards: int) -> None:
        """Open the board; if it is missing or of another number of shards, all shards have room.

        A start goes on with that of the run before: a shard writes its own at the first batch of any lane, and until
        then a lane would read more where there is no room, at each start of a run that is killed again and again.
        """
        size = shards * np.dtype(np.int64).itemsize
        with open_own(path, "ab") as file:
            if file.tell() != size:
                file.truncate(0)
                file.write(np.full(shards, _ROOM, np.int64).tobytes())
        self._needed = np.memmap(path, np.int64, "r+", shape=(shards,))

    def publish(self, shard: int, needed: int | None) -> None:
        """Set the clock that calls must have passed before a shard has room, us; None: it has room."""
        self._needed[shard] = _ROOM if needed is None else needed

    def needed(self) -> int | None:
        """The clock that calls must have passed before all shards have room, us; None: they have."""
        latest = int(self._needed.max())
        return None if latest == _ROOM else latest
