"""Stands in for a stream that a tracked function returned, so that it is measured to its end.

To the caller it stays the same type: `isinstance` asks `__class__`, and every attribute is the stream's own. It has
those special methods that the stream has, as frameworks look for `__aiter__` on the type.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any, Final

from aftercall.capture.stream_reading import StreamReading


class StreamProxy:
    """A stream, and the reading of it. Attributes are read from, and set on, the stream."""

    __slots__ = ("__weakref__", "aftercall_reading", "aftercall_stream")

    def __init__(self, stream: Any, reading: StreamReading) -> None:
        object.__setattr__(self, "aftercall_stream", stream)
        object.__setattr__(self, "aftercall_reading", reading)

    @property  # type: ignore[misc]  # it is never set
    def __class__(self) -> Any:
        return type(self.aftercall_stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.aftercall_stream, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.aftercall_stream, name, value)

    def __del__(self) -> None:
        reading = getattr(self, "aftercall_reading", None)
        if reading is not None:
            reading.leave()


class _Iteration:
    """An iterator that a stream gave. It keeps the stream alive, so that leaving the loop ends the reading."""

    __slots__ = ("_iterator", "_of")

    def __init__(self, of: Any, iterator: Any) -> None:
        self._of = of
        self._iterator = iterator


class _SyncIteration(_Iteration):
    __slots__ = ()

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._of.aftercall_reading.step(self._iterator.__next__)


class _AsyncIteration(_Iteration):
    __slots__ = ()

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await self._of.aftercall_reading.async_step(self._iterator.__anext__)


def _iter(self: Any) -> Any:
    stream = self.aftercall_stream
    iterator = iter(stream)
    return self if iterator is stream else _SyncIteration(self, iterator)


def _next(self: Any) -> Any:
    return self.aftercall_reading.step(self.aftercall_stream.__next__)


def _aiter(self: Any) -> Any:
    stream = self.aftercall_stream
    iterator = aiter(stream)
    return self if iterator is stream else _AsyncIteration(self, iterator)


async def _anext(self: Any) -> Any:
    return await self.aftercall_reading.async_step(self.aftercall_stream.__anext__)


def _enter(self: Any) -> Any:
    stream = self.aftercall_stream
    entered = stream.__enter__()
    return self if entered is stream else entered


def _exit(self: Any, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
    try:
        return self.aftercall_stream.__exit__(kind, error, trace)
    finally:
        self.aftercall_reading.leave()


async def _aenter(self: Any) -> Any:
    stream = self.aftercall_stream
    entered = await stream.__aenter__()
    return self if entered is stream else entered


async def _aexit(
    self: Any, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> Any:
    try:
        return await self.aftercall_stream.__aexit__(kind, error, trace)
    finally:
        self.aftercall_reading.leave()


def _send(self: Any, value: Any) -> Any:
    return self.aftercall_reading.step(self.aftercall_stream.send, value)


def _throw(self: Any, *given: Any) -> Any:
    self.aftercall_reading.thrown = given[-1]  # What its reader throws is no failure of the call.
    return self.aftercall_reading.step(self.aftercall_stream.throw, *given)


async def _asend(self: Any, value: Any) -> Any:
    return await self.aftercall_reading.async_step(self.aftercall_stream.asend, value)


async def _athrow(self: Any, *given: Any) -> Any:
    self.aftercall_reading.thrown = given[-1]
    return await self.aftercall_reading.async_step(self.aftercall_stream.athrow, *given)


def _close(self: Any, *given: Any, **named: Any) -> Any:
    # What an async `close` gives is awaited by the caller.
    try:
        return self.aftercall_stream.close(*given, **named)
    finally:
        self.aftercall_reading.leave()


async def _aclose(self: Any, *given: Any, **named: Any) -> Any:
    try:
        return await self.aftercall_stream.aclose(*given, **named)
    finally:
        self.aftercall_reading.leave()


_STEPS: Final[dict[str, Callable[..., Any]]] = {
    "__iter__": _iter,
    "__next__": _next,
    "__aiter__": _aiter,
    "__anext__": _anext,
    "__enter__": _enter,
    "__exit__": _exit,
    "__aenter__": _aenter,
    "__aexit__": _aexit,
    "send": _send,
    "throw": _throw,
    "close": _close,
    "asend": _asend,
    "athrow": _athrow,
    "aclose": _aclose,
}
"""What is measured, where a stream has it."""
_ALIKE: Final = ("__len__", "__getitem__", "__contains__", "__bool__", "__call__", "__repr__", "__str__")
"""Special methods that are looked up on the type, and handed on as they are."""


def stream_of(stream: Any, reading: StreamReading) -> Any:
    """Stand in for a stream; its reading has begun."""
    return _proxy_class(frozenset(name for name in (*_STEPS, *_ALIKE) if hasattr(type(stream), name)))(stream, reading)


@cache
def _proxy_class(names: frozenset[str]) -> type[StreamProxy]:
    """The class for all streams with these methods: there are a handful."""
    methods = {name: _STEPS[name] if name in _STEPS else _handed_on(name) for name in names}
    return type("StreamProxy", (StreamProxy,), {"__slots__": (), **methods})


def _handed_on(name: str) -> Callable[..., Any]:
    def method(self: Any, *given: Any, **named: Any) -> Any:
        return getattr(self.aftercall_stream, name)(*given, **named)

    return method
