"""Times what happens within a call: tools that it uses, and models that were tried before the answer."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Final, Self

from aftercall.capture.failures import failure_text, is_failure

_NS_PER_MS: Final = 1e6


class Timed:
    """A part of a call, as a context manager, sync or async; an exception passes through it unchanged.

    The part is added to its call at its end, with `latency_ms` and, where it failed, `error`.
    """

    __slots__ = ("_add", "_fields", "_started_ns")

    def __init__(self, add: Callable[[dict[str, Any]], None], fields: dict[str, Any]) -> None:
        self._add = add
        self._fields = fields
        self._started_ns = 0

    def set(self, **fields: object) -> None:
        """Set fields of the part: of a tool call those of `ToolCall`, of an attempt those of `Attempt`."""
        self._fields.update(fields)

    def __enter__(self) -> Self:
        self._started_ns = perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fields = self._fields
        fields.setdefault("latency_ms", (perf_counter_ns() - self._started_ns) / _NS_PER_MS)
        if error is not None and is_failure(error):
            fields.setdefault("error", failure_text(error))
        self._add(fields | {"cancelled": error is not None and "error" not in fields})

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
