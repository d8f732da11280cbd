"""Stands in for a coroutine that a tracked function returned, so that the call ends when it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aftercall.capture.around import CURRENT
from aftercall.capture.draft import Draft


class CoroutineProxy:
    """A coroutine and its call; to `await`, tasks and `isinstance` it is the coroutine.

    One that is never awaited made no call, so nothing is emitted; Python warns about it under the user's own name.
    """

    __slots__ = ("__weakref__", "_coroutine", "_draft", "_follow", "_running")

    def __init__(self, coroutine: Any, draft: Draft, follow: Callable[[Draft, Any], Any]) -> None:
        self._coroutine = coroutine
        self._draft = draft
        self._follow = follow
        self._running = False

    @property  # type: ignore[misc]  # it is never set
    def __class__(self) -> Any:
        return type(self._coroutine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._step(self._coroutine.send, None)

    def send(self, value: Any) -> Any:
        """Run to the next point of suspension."""
        return self._step(self._coroutine.send, value)

    def throw(self, *given: Any) -> Any:
        """Run on with an exception, such as a cancellation."""
        return self._step(self._coroutine.throw, *given)

    def close(self) -> None:
        """Close it."""
        try:
            self._coroutine.close()
        finally:
            self.__del__()

    def __del__(self) -> None:
        if getattr(self, "_running", False):
            self._draft.leave()

    def _step(self, step: Callable[..., Any], *given: Any) -> Any:
        self._running = True
        token = CURRENT.set(self._draft)
        try:
            return step(*given)
        except StopIteration as done:
            self._running = False  # from here on a stream may have the call
            result = self._follow(self._draft, done.value)
            if result is done.value:
                raise
            raise StopIteration(result) from None
        except BaseException as error:
            self._draft.fail(error)
            raise
        finally:
            CURRENT.reset(token)
