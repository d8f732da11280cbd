"""Holds which call and which session the running code is in, per task and thread."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from aftercall.capture.draft import Draft

_T = TypeVar("_T")

CURRENT: Final[ContextVar[Draft | None]] = ContextVar("aftercall_call", default=None)
"""The innermost call that is running. Tasks and `asyncio.to_thread` inherit it; new threads and pools do not."""
SESSION: Final[ContextVar[tuple[str, Draft | None] | None]] = ContextVar("aftercall_session", default=None)
"""`session_id` of the calls made here, and the call within which the session was entered."""


def session_within(parent: Draft | None) -> str | None:
    """The session of a new call: the one entered last, be it by a session or by the call around it."""
    session = SESSION.get()
    if parent is None or (session is not None and session[1] is parent):
        return None if session is None else session[0]
    return parent.session_id


def reset(variable: ContextVar[_T], token: Token[_T]) -> None:
    """Reset a variable, as far as this is the context in which it was set.

    A coroutine that is abandoned is closed by the garbage collector, in a context where nothing was set.
    """
    with suppress(ValueError):
        variable.reset(token)
