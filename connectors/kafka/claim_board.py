"""Shares what a service knows of its claim, and of the broker's clock, between its processes on one host.

The board is a small file of numbers, mapped into memory, as that of the lanes (`progress_board.py`). All instants on it
are of one clock, which the processes of a host share: it never goes back, and goes on while the host is suspended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from aftercall.times import NEVER
from connectors.kafka.claim import BEAT_S
from connectors.own_files import open_own

LEASE_S: Final = 3 * BEAT_S
"""Seconds after which a claim that was not confirmed counts no more until it is."""
_ASKED, _CONFIRMED, _OFFSET, _BY_HEARTBEATS = range(4)
_RESET: Final = np.array([NEVER, NEVER, NEVER, 0], np.int64)


def boot_ns() -> int:
    """Nanoseconds of a clock that never goes back, and counts the time in which the host is suspended."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ClaimBoard:
    """When the claim was last confirmed, for when a confirmation is wanted, and how late it is on the broker.

    As long as there is no confirmation at all, there is no claim, and all counts as confirmed.
    """

    def __init__(
        self,
        path: Path,
        *,
        reset: bool = False,
        monotonic_ns: Callable[[], int] = boot_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open the board; `reset`: of a run that begins. Clocks give nanoseconds."""
        self.now_ns, self._wall_ns = monotonic_ns, wall_ns
        if reset:
            # Not overwritten: what is left of the run before keeps its own, which is confirmed no more.
            path.unlink(missing_ok=True)
        with open_own(path, "ab") as file:
            if file.tell() != _RESET.nbytes:
                file.truncate(0)
                file.write(_RESET.tobytes())
        self._slots = np.memmap(path, np.int64, "r+", shape=_RESET.shape)
        self._before = NEVER

    # --- the claim ---------------------------------------------------------------------------------------------------

    def ask(self) -> int:
        """Ask for a confirmation that begins from now on; returns the instant for `is_confirmed`."""
        asked = self.now_ns()
        self.ask_again(asked)
        return asked

    def ask_again(self, asked: int) -> None:
        """As long as it is not confirmed: another process may have written over it at the same moment."""
        self._slots[_ASKED] = asked

    def is_confirmed(self, asked: int) -> bool:
        """Whether a heartbeat that began later than this was acknowledged."""
        confirmed = int(self._slots[_CONFIRMED])
        return confirmed == NEVER or confirmed > asked

    def is_asked(self) -> bool:
        """Whether a confirmation is wanted."""
        return bool(self._slots[_ASKED] >= self._slots[_CONFIRMED])

    def confirm(self, began: int) -> None:
        """A heartbeat that began at this instant was acknowledged."""
        self._slots[_CONFIRMED] = began

    def unconfirmed_s(self) -> float:
        """Seconds since the newest confirmation; 0 where there is no claim."""
        confirmed = int(self._slots[_CONFIRMED])
        return 0.0 if confirmed == NEVER else (self.now_ns() - confirmed) / 1e9

    # --- the broker's clock ------------------------------------------------------------------------------------------

    @property
    def is_clock_watched(self) -> bool:
        """Whether heartbeats show the broker's clock."""
        return bool(self._slots[_BY_HEARTBEATS])

    def sight(self, broker_us: int) -> None:
        """A heartbeat was appended at this moment by the broker's clock; of two in a row the earlier clock counts."""
        offset = broker_us - self.now_ns() // 1000
        if self._before != NEVER:
            self._slots[_OFFSET] = min(offset, self._before)
        self._before, self._slots[_BY_HEARTBEATS] = offset, 1

    def sight_record(self, broker_us: int) -> None:
        """A record was appended at this moment by the broker's clock, or before: for where no heartbeats show it."""
        self._slots[_OFFSET] = broker_us - self.now_ns() // 1000

    def behind_us(self) -> int:
        """How far our clock is behind the broker's at least, us, as last sighted; `NEVER` where that is not known."""
        offset = int(self._slots[_OFFSET])
        return NEVER if offset == NEVER else offset + (self.now_ns() - self._wall_ns()) // 1000
