"""SIGTERM and SIGINT: read no further, finish the epoch, publish, end."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from threading import Thread
from typing import Any, Final, TextIO

WITHIN_S: Final = 20.0
"""How long the end may take. After that nothing more is stored, lest an epoch be stored whose output was not delivered;
the next start repeats it."""
_log = logging.getLogger("aftercall.run")


class Stopping:
    """Whether the process is to end, and by when."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since_s: float | None = None

    def install(self) -> None:
        """Take the signals. Only from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def begin(self) -> None:
        """As a signal would."""
        if self._since_s is None:
            self._since_s = self._monotonic()

    def __call__(self) -> bool:
        """Whether to read no further."""
        return self._since_s is not None

    def overdue(self) -> bool:
        """Whether the end has taken too long."""
        return self._since_s is not None and self._monotonic() - self._since_s > WITHIN_S

    def _signalled(self, number: int, frame: Any) -> None:
        del frame
        if self._since_s is None:
            _log.info("%s: finishing the epoch", signal.Signals(number).name)
        self.begin()


def die_with_parent(pipe: TextIO) -> None:
    """End at once when the other end of `pipe` closes: whoever started us is gone, and others may take our place."""

    def wait() -> None:
        pipe.read()
        os._exit(1)

    Thread(target=wait, name="aftercall-parent", daemon=True).start()
