"""Follows what happens to the process: forks and exits.

A child begins with nothing of its parent's: what waits in the parent's queue is the parent's to send, and a connection
to SQLite or a broker must not be used on both sides of a fork, nor closed by the child. Exits are bounded in time; a
child of `multiprocessing` runs no `atexit`, only finalizers that were registered after it began.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from contextlib import suppress
from typing import Any, Final, Protocol

_FORK_WAITS_S: Final = 30.0
"""So long a fork waits for a commit, or an import, of the sender thread, at most: tens of milliseconds on an idle
machine. A child of a thread amid an import could not import the same."""


class Emits(Protocol):
    """What follows forks and exits."""

    def before_fork(self, timeout_s: float) -> None:
        """Let nothing begin that a child must not inherit half done; wait at most so long for what has begun."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> object:
        """Begin with nothing; return what must never be freed in this process."""

    def at_exit(self, began: float) -> None:
        """Send what can be sent within its bound, counted from this time of the monotonic clock, and let go."""


_emitters: list[Emits] = []
_leaked: list[object] = []
_watched_by: list[int] = []


def watch(emitter: Emits) -> None:
    """Call its methods from now on, until `forget`."""
    _emitters.append(emitter)


def forget(emitter: Emits) -> None:
    """It is closed."""
    if emitter in _emitters:
        _emitters.remove(emitter)


def watch_exit() -> None:
    """Register what runs when this process ends. To be called once it is at work, in each process."""
    if os.getpid() in _watched_by:
        return
    _watched_by[:] = [os.getpid()]
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, at_exit, exitpriority=10)


def at_exit() -> None:
    """Flush and close all, within the longest bound that one of them has."""
    began = time.monotonic()
    for emitter in _emitters.copy():
        with suppress(Exception):
            emitter.at_exit(began)


def _before_fork() -> None:
    deadline = time.monotonic() + _FORK_WAITS_S
    for emitter in _emitters:
        with suppress(Exception):  # Python would print it
            emitter.before_fork(max(0.0, deadline - time.monotonic()))


def _after_fork_in_parent() -> None:
    for emitter in _emitters:
        with suppress(Exception):
            emitter.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for emitter in _emitters:
        with suppress(Exception):
            _keep_for_ever(emitter.after_fork_in_child())


def _keep_for_ever(handles: object) -> None:
    """Also when the interpreter frees everything at its end: a producer that is freed in a child waits for threads."""
    _leaked.append(handles)
    try:
        import ctypes

        api: Any = ctypes.pythonapi
        api.Py_IncRef(ctypes.py_object(handles))
    except (ImportError, AttributeError):
        pass  # other interpreters have other ends


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(at_exit)
