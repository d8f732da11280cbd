"""Wraps functions that are tools: each use becomes one of the `tool_calls` of the call around it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from aftercall.capture.around import CURRENT
from aftercall.capture.timed import Timed
from aftercall.capture.wrapping import COROUTINE, code_flags


def wrapped_tool(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Wrap a function or a coroutine function; outside a call it runs and is not recorded."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with _timed(name):
            return function(*args, **kwargs)

    async def async_call(*args: Any, **kwargs: Any) -> Any:
        with _timed(name):
            return await function(*args, **kwargs)

    return functools.wraps(function)(async_call if code_flags(function) & COROUTINE else call)


def _timed(name: str) -> Timed:
    draft = CURRENT.get()
    return Timed(_nowhere if draft is None else draft.add_tool, {"name": name})


def _nowhere(tool: dict[str, Any]) -> None:
    """Stands for a call that is not there."""
