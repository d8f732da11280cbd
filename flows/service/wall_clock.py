"""Notices that this host's clock was set back, and starts the service again.

Bytewax waits for instants of the wall clock: its sources and epochs stand still for as long as the clock was set back,
and do not even notice that the process is to stop. A start makes new instants, at the cost of one after a kill.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Final

from aftercall.durations import format_duration
from connectors.background import OnDefect, background
from flows.service.signals import STOPS

_LOOK_S: Final = 1.0
_STEP_S: Final = 10.0
"""A clock that is set back by less only makes the dataflow wait for that time."""
_log = logging.getLogger("aftercall.run")


class WallClock:
    """Compares the wall clock with the monotonic one, in a thread, once a second."""

    def __init__(self, on_set_back: Callable[[], None], on_defect: OnDefect) -> None:
        """`on_set_back`: called from the thread, once; so is `on_defect`, where a defect has ended it."""
        self._on_set_back, self._stop = on_set_back, Event()
        self._thread = background("aftercall-clock", self._run, on_defect)
        self.was_set_back = False
        self._thread.start()

    def close(self) -> None:
        """Look no further."""
        self._stop.set()

    def _run(self) -> None:
        offset_s = time.time() - time.monotonic()
        while not self._stop.wait(_LOOK_S):
            before_s, offset_s = offset_s, time.time() - time.monotonic()
            if before_s - offset_s > _STEP_S:
                back = format_duration(timedelta(seconds=round(before_s - offset_s)))
                _log.warning("this host's clock was set back by %s; starting again, as the dataflow waits by it", back)
                self.was_set_back = True
                self._on_set_back()
                return


def start_again() -> None:
    """Replace this process by one with the same command, as if it had been killed and started."""
    # While the dataflow runs, the standard error of the process is a log file; that of Python is what it was.
    sys.stderr.flush()
    os.dup2(sys.stderr.fileno(), 2)
    # A stop that comes meanwhile waits until it can be handled (`Stopping.install`).
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    command = [part for part in sys.orig_argv[1:] if part != "--take-over"]
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - ourselves
