"""Makes calls of what it is put on: a function as a decorator, a block of code as a context manager."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from aftercall.capture.around import CURRENT, reset
from aftercall.capture.call import Call, CallThatIsOff
from aftercall.capture.draft import Draft, Judged, Judges
from aftercall.capture.ids import id_text, new_id
from aftercall.capture.quiet import refuse
from aftercall.capture.settings import Capturing
from aftercall.capture.tools import wrapped_tool
from aftercall.capture.verification import Verification
from aftercall.capture.wrapping import has_self, wrapped

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Tracker:
    """What `client.track` gives: a decorator, and a context manager, sync and async, that gives a `Call`.

    A tracker may be used many times, by several threads and tasks.
    """

    __slots__ = ("_call_id", "_capturing", "_declared", "_guard", "_is_off", "_is_tool", "_open", "_place")

    def __init__(
        self,
        capturing: Capturing,
        declared: dict[str, Any],
        place: str,
        call_id: object = None,
        guard: Judges | None = None,
        *,
        is_tool: bool = False,
    ) -> None:
        self._capturing = capturing
        self._declared = declared
        self._place = place
        self._call_id = call_id
        self._guard = guard
        self._is_off = capturing.sink is None and (guard is None or guard.is_off)
        self._is_tool = is_tool
        self._open: list[tuple[Draft, Token[Draft | None]]] = []

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Wrap a function; its signature, its kind and its types stay as they are."""
        if self._is_off:
            return function
        if isinstance(function, classmethod | staticmethod):
            return cast("Callable[_P, _R]", type(function)(self(function.__func__)))
        if self._is_tool:
            return cast("Callable[_P, _R]", wrapped_tool(function, str(self._declared.get("task_type"))))
        skipped = 1 if has_self(function) else 0
        begin = functools.partial(self.begin, skipped, None, None)
        return cast("Callable[_P, _R]", wrapped(function, begin, self._declared))

    def around(self, function: Callable[..., Any], call_id: object) -> tuple[Call, Callable[..., Any]]:
        """The function as one call whose id is known before it begins."""
        judged = self._judged()
        if self._is_off:
            return CallThatIsOff(id_text(call_id), _verification(judged)), function
        name = id_text(call_id) or new_id()
        skipped = 1 if has_self(function) and not hasattr(function, "__self__") else 0
        handle = CallThatIsOff(name, _verification(judged))
        return handle, wrapped(function, functools.partial(self.begin, skipped, name, judged))

    def _judged(self) -> Judged | None:
        """A call under contracts; None without a guard."""
        return None if self._guard is None else self._guard.begin()

    def __enter__(self) -> Call:
        judged = self._judged()
        draft = None if self._is_off else self._draft(self._call_id, judged)
        if draft is None:
            return CallThatIsOff(id_text(self._call_id), _verification(judged))
        self._open.append((draft, CURRENT.set(draft)))
        return Call(draft)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._open:
            return
        draft, token = self._opened()
        reset(CURRENT, token)
        if error is None:
            draft.end()
        else:
            draft.fail(error)

    async def __aenter__(self) -> Call:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _opened(self) -> tuple[Draft, Token[Draft | None]]:
        """Take out the innermost call that is open here: a tracker may be open several times, in several tasks."""
        current = CURRENT.get()
        found = next((pair for pair in reversed(self._open) if pair[0] is current), None)
        if found is None:
            return self._open.pop()
        self._open.remove(found)
        return found

    def _draft(self, call_id: object, judged: Judged | None) -> Draft | None:
        try:
            return Draft(self._capturing, self._declared, self._place, call_id, judged)
        except Exception as error:  # noqa: BLE001  # nothing of ours may reach the agent
            refuse(self._capturing, error)
            return None

    def begin(
        self, skipped: int, call_id: str | None, judged: Judged | None, given: tuple[Any, ...], named: dict[str, Any]
    ) -> Draft | None:
        """Begin a call of a function that is given this, the first `skipped` arguments left out."""
        draft = self._draft(call_id, judged or self._judged())
        if draft is not None:
            draft.take(given[skipped:], named)
        return draft


def _verification(judged: Judged | None) -> Verification | None:
    # A handle does not hold the call itself, so that one which is never run is seen to be freed.
    return None if judged is None else judged.verification
