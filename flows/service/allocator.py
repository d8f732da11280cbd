"""Asks the C library to keep memory together: a service runs for months, with threads of several libraries."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2


def keep_memory_together() -> None:
    """At most two arenas, which all threads share; nothing where the C library is not glibc.

    By default glibc makes up to eight per core, and what one of them has freed the others do not see. Called once,
    before threads are started.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
