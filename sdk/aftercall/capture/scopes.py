"""Opens sessions for blocks of code, and carries the current call into threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from aftercall.capture.around import CURRENT, SESSION, reset
from aftercall.capture.ids import id_text
from aftercall.capture.wrapping import COROUTINE, code_flags

_P = ParamSpec("_P")
_R = TypeVar("_R")


class SessionScope:
    """Gives a `session_id` to all calls that are made within its block; `with` and `async with`."""

    __slots__ = ("_session_id", "_tokens")

    def __init__(self, session_id: object) -> None:
        # What is no id makes the events invalid, so that it is noticed.
        self._session_id: Any = id_text(session_id) or session_id
        self._tokens: list[Token[Any]] = []

    def __enter__(self) -> str:
        session = None if self._session_id is None else (self._session_id, CURRENT.get())
        self._tokens.append(SESSION.set(session))
        return self._session_id if type(self._session_id) is str else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reset(SESSION, self._tokens.pop())

    async def __aenter__(self) -> str:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def bound(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Carry the current call and session into whatever thread runs the function, also into several at once.

    A context of its own would do for one thread only: a second that enters it while it is entered gets an error.
    """
    call, session = CURRENT.get(), SESSION.get()

    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        tokens = CURRENT.set(call), SESSION.set(session)
        try:
            return function(*args, **kwargs)
        finally:
            reset(CURRENT, tokens[0])
            reset(SESSION, tokens[1])

    async def async_run(*args: _P.args, **kwargs: _P.kwargs) -> Any:
        tokens = CURRENT.set(call), SESSION.set(session)
        try:
            return await cast("Any", function(*args, **kwargs))
        finally:
            reset(CURRENT, tokens[0])
            reset(SESSION, tokens[1])

    wrapper = async_run if code_flags(function) & COROUTINE else run
    return cast("Callable[_P, _R]", functools.update_wrapper(wrapper, function))
