"""Logs what a developer must know, each thing once, and never anything of an event."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final

_MOST: Final = 200
"""So many different sentences are remembered; further ones are not logged."""
_said: set[str] = set()
_lock = threading.Lock()


def warn_once(key: str, sentence: str, *values: object) -> None:
    """Log a warning, unless one with this key was logged in this process. Never raises."""
    with _lock:
        if key in _said or len(_said) >= _MOST:
            return
        _said.add(key)
    warn(sentence, *values)


def warn_invalid(why: str, place: str | None) -> None:
    """Log, once for each place in the user's code, that an event is invalid."""
    at = f" ({place})" if place else ""
    warn_once(f"invalid {why}{at}", "aftercall: an event is invalid and dropped: %s%s", why, at)


def warn(sentence: str, *values: object) -> None:
    """Log a warning to the logger `aftercall`. Never raises: handlers and filters are the user's."""
    with suppress(Exception):
        import logging

        logging.getLogger("aftercall").warning(sentence, *values)


def forget_lock() -> None:
    """In a forked child: the lock may be that of a thread which is not there."""
    global _lock  # noqa: PLW0603  # replaced once, before there is a second thread
    _lock = threading.Lock()
