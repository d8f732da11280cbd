"""Wraps functions of every kind so that each call of them is captured; what they are to `inspect` stays the same."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from types import MethodType
from typing import Any, Final
from weakref import ref

from aftercall.capture.around import CURRENT, reset
from aftercall.capture.draft import Draft
from aftercall.capture.returned import returned
from aftercall.capture.stream_reading import StreamReading
from aftercall.capture.streams import stream_of

GENERATOR: Final = 0x20
COROUTINE: Final = 0x80
ASYNC_GENERATOR: Final = 0x200
_MARK: Final = "__aftercall_tracked__"
_SELF: Final = ("self", "cls")

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Draft | None]
"""Begins a call with what the function is given; None where it cannot, and the function just runs."""


def wrapped(
    function: Callable[..., Any], begin: Begin, declared: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """Wrap a function, coroutine function, generator function or async generator function.

    A function that is wrapped already is wrapped once: what declares its calls is then `begin`, the outer one. What it
    was `declared` with can be asked for by `declared_of`.
    """
    function = _once(function)
    flags = code_flags(function)
    if flags & ASYNC_GENERATOR:
        wrapper = _async_generator(function, begin)
    elif flags & GENERATOR:
        wrapper = _generator(function, begin)
    elif flags & COROUTINE:
        wrapper = _coroutine(function, begin)
    else:
        wrapper = _plain(function, begin)
    functools.update_wrapper(wrapper, function)
    setattr(wrapper, _MARK, (ref(wrapper), function, declared or {}))
    return wrapper


def declared_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """What a tracked function, or method, declares of its calls; empty of any other."""
    mark = _mark_of(getattr(function, "__func__", function))
    return {} if mark is None else mark[2]


def has_self(function: Callable[..., Any]) -> bool:
    """Whether the first argument is the object, or class, that a method is called on: it is no input."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_varnames[:1] != () and code.co_varnames[0] in _SELF


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    mark = _mark_of(getattr(function, "__func__", function))
    if mark is None:
        return function
    return MethodType(mark[1], function.__self__) if isinstance(function, MethodType) else mark[1]


def _mark_of(function: Callable[..., Any]) -> tuple[Any, Callable[..., Any], Mapping[str, Any]] | None:
    # `functools.wraps` of other decorators copies the mark to their wrappers, which must not be lost.
    mark = getattr(function, _MARK, None)
    return mark if isinstance(mark, tuple) and mark[0]() is function else None


def code_flags(function: Any) -> int:
    """Flags of the code, as `inspect` reads them; it would take 10 ms to import."""
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None) or _code_of_object(function)
    marked = getattr(function, "_is_coroutine_mark", None) is not None
    return getattr(code, "co_flags", 0) | (COROUTINE if marked else 0)


def _code_of_object(called: object) -> Any:
    """Of an object that is called like a function."""
    return getattr(getattr(type(called), "__call__", None), "__code__", None)  # noqa: B004  # its code is wanted


def _plain(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        draft = begin(args, kwargs)
        if draft is None:
            return function(*args, **kwargs)
        token = CURRENT.set(draft)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            draft.fail(error, args, kwargs)
            raise
        finally:
            CURRENT.reset(token)
        return returned(draft, result)

    return call


def _coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        draft = begin(args, kwargs)
        if draft is None:
            return await function(*args, **kwargs)
        token = CURRENT.set(draft)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            draft.fail(error, args, kwargs)
            raise
        finally:
            reset(CURRENT, token)
        return returned(draft, result)

    return call


def _generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        draft = begin(args, kwargs)
        if draft is None:
            return (yield from function(*args, **kwargs))
        return (yield from stream_of(function(*args, **kwargs), StreamReading(draft)))

    return call


def _async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        draft = begin(args, kwargs)
        inner = function(*args, **kwargs)
        steps = inner if draft is None else stream_of(inner, StreamReading(draft))
        try:
            item = await steps.asend(None)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    await steps.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  # what the reader throws goes to the function
                    item = await steps.athrow(error)
                else:
                    item = await steps.asend(sent)
        except StopAsyncIteration:
            return

    return call
