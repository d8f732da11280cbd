"""Keeps what goes wrong in capture away from the agent: it is counted, and logged once per place."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast

from aftercall.capture.settings import Capturing

_P = ParamSpec("_P")
_PACKAGE: Final = __name__.partition(".")[0]


class HasCapturing(Protocol):
    """Whatever captures."""

    capturing: Capturing


_T = TypeVar("_T", bound=HasCapturing)


def quiet(method: Callable[Concatenate[_T, _P], None]) -> Callable[Concatenate[_T, _P], None]:
    """Make a method of the response path one that never raises, whatever it was given."""

    @functools.wraps(method)
    def guarded(self: _T, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # nothing of ours may reach the agent
            refuse(self.capturing, error)

    return cast("Callable[Concatenate[_T, _P], None]", guarded)


def refuse(capturing: Capturing, error: Exception) -> None:
    """Count an event that could not be made; the message names the user's line, never a value.

    Raises:
        Exception: the error itself, where a transport for tests has raised it.
    """
    if getattr(error, "raised_at_once", False):
        raise error
    if capturing.sink is None:
        return
    try:
        capturing.sink.count_invalid(f"{type(error).__name__} in the arguments", place_of_caller())
    except Exception as wrong:
        if getattr(wrong, "raised_at_once", False):
            raise


def place_of_caller() -> str:
    """The innermost line that is not of this package, as "file.py:12"."""
    frame: Any = sys._getframe(1)  # noqa: SLF001  # `inspect` would cost 10 ms at import
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame = frame.f_back
    return "unknown" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
