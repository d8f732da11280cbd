"""Turns SIGTERM and SIGINT into a clean end: read no further, finish the epoch, publish."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from threading import Thread
from typing import Any, Final, TextIO

WITHIN_S: Final = 20.0
"""How long the end may take, in seconds. After that no epoch is stored any more, as its output may not have been
delivered; the next start repeats it."""
STOPS: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that end a service in order."""
_log = logging.getLogger("aftercall.run")


class Stopping:
    """Whether the process must end, and since when."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, logs: bool = True) -> None:
        """`monotonic` gives seconds; `logs`: log the signal, as one process of a run does."""
        self._monotonic, self._logs = monotonic, logs
        self._since_s: float | None = None
        self._defect: BaseException | None = None

    def install(self) -> None:
        """Handle SIGTERM and SIGINT. Call from the main thread only."""
        for number in STOPS:
            signal.signal(number, self._signalled)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # a process that started itself again has blocked them

    def begin(self) -> None:
        """Begin to stop, as a signal does."""
        if self._since_s is None:
            self._since_s = self._monotonic()

    def fail(self, error: BaseException) -> None:
        """Raise the error, of a thread beside the dataflow, wherever it is asked from now on whether to stop.

        A stop in order would not do: the process would store an epoch, and end as if nothing had happened.
        """
        self._defect = error

    def __call__(self) -> bool:
        """Whether the process must stop reading. Raises what `fail` was given."""
        self._raise_defect()
        return self._since_s is not None

    def overdue(self) -> bool:
        """Whether stopping has taken longer than `WITHIN_S`. Raises what `fail` was given."""
        self._raise_defect()
        return self._since_s is not None and self._monotonic() - self._since_s > WITHIN_S

    def _raise_defect(self) -> None:
        if self._defect is not None:
            raise self._defect

    def _signalled(self, number: int, frame: Any) -> None:
        del frame
        if self._since_s is None and self._logs:
            _log.info("%s: finishing the epoch", signal.Signals(number).name)
        self.begin()


def die_with_parent(pipe: TextIO) -> None:
    """End this process at once when `pipe` closes: its parent has ended, and a new run may start in the folder."""

    def wait() -> None:
        try:
            pipe.read()
        finally:  # one that cannot be read will not show it either
            os._exit(1)

    Thread(target=wait, name="aftercall-parent", daemon=True).start()
