"""Wraps functions that are tools, so that an evaluation can break them; elsewhere the function runs as it is."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from aftercall.evals.faults.broken import broken
from aftercall.evals.faults.under import CaseTools, current_tools
from aftercall.evals.faults.uses import SeenUse

F = TypeVar("F", bound=Callable[..., Any])


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(*, name: str | None = None) -> Callable[[F], F]: ...


def tool(function: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Decorate a function or a coroutine function that an agent calls as a tool.

    In a case of `aftercall eval run --inject`, a call of it may raise `TimeoutError` (`timeout`) or `RuntimeError`
    (`error`) instead of running, answer late (`slow`), or get its result back broken (`empty`, `partial`, `stale`,
    `contradict`). A function that timed out has not run: it has had no effect. Outside of a case it costs a
    microsecond.

    Args:
        function: the tool; its name is that of the function.
        name: another name, as `--inject` and contracts have it.

    >>> from aftercall.evals.faults.injection import Injections
    >>> from aftercall.evals.faults.under import under
    >>> @tool
    ... def search(text):
    ...     return ["a", "b"]
    >>> with under(Injections.parse("empty:search"), "case-1") as tools:
    ...     search("x"), tools.seen[0].fault
    ([], 'empty')
    >>> search("x")
    ['a', 'b']
    """
    if function is None:
        return lambda wrapped: _wrapped(wrapped, name or wrapped.__name__)
    return _wrapped(function, name or function.__name__)


def _wrapped(function: F, name: str) -> F:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        tools = current_tools()
        if tools is None:
            return function(*args, **kwargs)
        if tools.has_ended:
            raise SystemExit  # ends the thread of an agent that retries for ever
        use = _Use(tools, name)
        with use:
            if use.wait_s:
                time.sleep(use.wait_s)
            return use.result(function(*args, **kwargs))

    @functools.wraps(function)
    async def async_call(*args: Any, **kwargs: Any) -> Any:
        tools = current_tools()
        if tools is None:
            return await function(*args, **kwargs)
        import asyncio

        if tools.has_ended:
            raise asyncio.CancelledError
        use = _Use(tools, name)
        with use:
            if use.wait_s:
                await asyncio.sleep(use.wait_s)
            return use.result(await function(*args, **kwargs))

    return cast("F", async_call if inspect.iscoroutinefunction(function) else call)


class _Use:
    """One call of a tool in a case; as a context manager it records how the call ended."""

    def __init__(self, tools: CaseTools, name: str) -> None:
        self._tools, self._name = tools, name
        self._place, self._number, self._entry = tools.begin(name)
        self._kind = None if self._entry is None else self._entry.kind
        self.wait_s = 0.0 if self._entry is None else self._entry.seconds
        self._applied = self._kind in {"timeout", "error", "slow"}
        self._items: int | None = None

    def __enter__(self) -> None:
        self._began = time.perf_counter()
        try:
            self._raise_fault()
        except (TimeoutError, RuntimeError) as fault:
            self._record(fault)
            raise

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> None:
        self._record(failure)

    def _raise_fault(self) -> None:
        # The words are those of a tool: an agent that reads of a test behaves as in a test.
        if self._kind == "timeout":
            raise TimeoutError(f"{self._name} timed out")
        if self._kind == "error":
            raise RuntimeError(f"{self._name} failed: internal error")

    def result(self, given: Any) -> Any:
        """What the agent gets."""
        changed = given if self._kind is None else broken(self._kind, given)
        self._applied = self._applied or (self._kind is not None and not _equal(changed, given))
        self._items = len(changed) if isinstance(changed, list | tuple) else None
        return changed

    def _record(self, failure: BaseException | None) -> None:
        took_ms = (time.perf_counter() - self._began) * 1000
        error = None if failure is None else type(failure).__name__
        entry = None if self._entry is None else self._entry.name
        use = SeenUse(
            self._tools.case,
            self._name,
            self._number,
            self._kind,
            entry,
            self._applied,
            failure is None,
            error,
            round(took_ms, 3),
            self._items,
        )
        self._tools.end(self._place, use)


def _equal(changed: Any, given: Any) -> bool:
    """Whether a fault has left the result as it was; what cannot be compared counts as changed if it is another."""
    if changed is given:
        return True
    try:
        return bool(changed == given)
    except Exception:  # noqa: BLE001 - arrays and the like compare as they please
        return False
