"""Asks a function of Python, sync or async."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from aftercall.errors import UsageError
from aftercall.evals.answer import Answer, LateAnswerError, answer_of
from aftercall.evals.case import EvalCase

_NS_PER_MS: Final = 1e6
_ENDING_S: Final = 2.0
"""So long what is cancelled may take to end."""


def function_at(path: str, option: str) -> Callable[..., Any]:
    """A function, imported; modules in the current folder are found, as with `python -m`.

    Args:
        path: "module:function"; the function may be an attribute of an object, as in "module:object.method".
        option: for messages, such as `--agent`.

    Raises:
        UsageError: there is no such function, or its module raises.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    module, _, names = path.partition(":")
    try:
        found: Any = import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except KeyboardInterrupt:
        raise
    except BaseException as wrong:  # noqa: BLE001  # the user's module may raise anything, `SystemExit` too
        raise UsageError(
            f"{option}: must be a function that can be imported; {path} raises {type(wrong).__name__}: {wrong} (correct"
            " it, or put its folder on PYTHONPATH)"
        ) from None
    if not callable(found):
        raise UsageError(f"{option}: must be a function; {path} is a {type(found).__name__} (name a function)")
    return found  # type: ignore[no-any-return]  # anything that can be called


class PythonAgent:
    """A function that gets the input of a case, or the case where its argument is named `case`.

    Sync ones run on the caller's thread, async ones all on one event loop, so that their clients stay on it.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name: Final = name
        self._function = function
        self._takes_case = _first_argument(function) == "case"
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, case: EvalCase, timeout_s: float) -> Answer:
        """As `Agent.ask`. A coroutine is cancelled in time; a function that does not return keeps its thread."""
        began = time.perf_counter_ns()
        returned = self._function(case if self._takes_case else case.input)
        if inspect.isawaitable(returned):
            returned = self._awaited(returned, timeout_s - (time.perf_counter_ns() - began) / 1e9)
        return answer_of(returned, (time.perf_counter_ns() - began) / _NS_PER_MS)

    def close(self) -> None:
        """Cancel what still runs on the event loop, and end it."""
        if self._loop is not None:
            ending = asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
            with suppress(NotInTime):  # where a coroutine holds the loop, its thread is left
                ending.result(_ENDING_S)
                self._loop.call_soon_threadsafe(self._loop.stop)

    def _awaited(self, waiting: Awaitable[Any], timeout_s: float) -> Any:
        async def wait() -> Any:
            return await waiting

        future = asyncio.run_coroutine_threadsafe(wait(), self._running_loop())
        try:
            return future.result(max(timeout_s, 0.0))
        except NotInTime:
            if future.done():  # the agent's own
                raise
            future.cancel()
            raise LateAnswerError from None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="aftercall eval loop", daemon=True).start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


async def _cancel_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _first_argument(function: Callable[..., Any]) -> str:
    try:
        return next(iter(inspect.signature(function).parameters), "")
    except (TypeError, ValueError):  # written in C
        return ""
