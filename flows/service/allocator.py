"""Limits the memory arenas of the C library.

A service runs for months with threads of several libraries. By default glibc creates up to eight arenas per core, and
memory freed in one of them is not reused by the others, so resident memory grows.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2


def limit_arenas() -> None:
    """Let all threads share two arenas; does nothing if the C library is not glibc. Call once, before any thread."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
