"""Starts threads that run beside the dataflow; a defect that ends one must not go unnoticed.

Python would only print its traceback: the service would go on without what the thread did, alive, ready and for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Thread
from typing import Final

_log = logging.getLogger("aftercall.run")

OnDefect = Callable[[BaseException], None]
"""Called from the thread, with the error that has ended it. It must not end the process: others may be in the middle of
an epoch, and in a cluster an orderly stop of one process waits for all others."""
ONLY_LOGGED: Final[OnDefect] = lambda _error: None  # noqa: E731 - a value, as any other


def background(name: str, run: Callable[[], None], on_defect: OnDefect) -> Thread:
    """A daemon thread, not started; an error of `run` is logged with its traceback and handed to `on_defect`."""

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - raised again where the thread's work is waited for
            _log.exception("the thread %s was ended by a defect of aftercall, %r; its traceback follows", name, error)
            on_defect(error)

    return Thread(target=guarded, name=name, daemon=True)
