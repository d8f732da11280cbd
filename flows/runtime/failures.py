"""Remembers the error that a step raised, which Bytewax loses in two ways.

With several processes Bytewax turns any error into a panic. And while it ends because of an error, it closes every
source and sink: a second error raised there aborts the process without a message.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from bytewax.dataflow import Dataflow

_CALLED: Final = ("list_parts", "next_batch", "write_batch", "on_batch", "on_notify", "on_eof", "snapshot")


class Failures:
    """Keeps the first error raised in a flow; Bytewax ends the process after it."""

    def __init__(self) -> None:
        self.first: BaseException | None = None

    def watch(self, flow: Dataflow) -> None:
        """Wrap everything that Bytewax calls in this flow: sources, sinks, mappers and stateful steps.

        From then on no `close` raises. After the first error, a part that has a method `abandon` is abandoned instead
        of closed, so that it does not publish data that no epoch has stored. The caller that runs the flow must raise
        `first`.
        """
        steps: list[Any] = list(flow.substeps)
        for step in steps:
            steps.extend(step.substeps)
            for name in ("source", "sink"):
                if hasattr(step, name):
                    self._watch_part(getattr(step, name))
            # Steps are frozen dataclasses; Bytewax reads their fields only when the flow starts.
            if hasattr(step, "mapper") and not step.substeps:
                # A mapper may return a generator, which raises only while it is read: read it here.
                object.__setattr__(step, "mapper", self._watched(step.mapper, list))
            if hasattr(step, "builder"):
                object.__setattr__(step, "builder", self._watched(step.builder, self._watch_part))

    def _watch_part(self, part: Any) -> Any:
        for name in _CALLED:
            if hasattr(part, name):
                setattr(part, name, self._watched(getattr(part, name)))
        if hasattr(part, "build_part"):
            part.build_part = self._watched(part.build_part, self._watch_part)
        if hasattr(part, "close"):
            part.close = self._closing(part.close, getattr(part, "abandon", part.close))
        return part

    def _watched(self, function: Callable[..., Any], then: Callable[[Any], Any] | None = None) -> Callable[..., Any]:
        @wraps(function)
        def watched(*arguments: Any) -> Any:
            try:
                result = function(*arguments)
                return result if then is None else then(result)
            except StopIteration as end:
                if _ends_a_source(end):
                    raise
                # Bytewax would take it for the end of the input, and the run would end as if it had read all of it.
                error = RuntimeError(f"{function.__qualname__} must end by returning, or with an error; {end!r}")
                self.first = self.first or error
                raise error from end
            except BaseException as error:
                self.first = self.first or error
                raise

        return watched

    def _closing(self, close: Callable[[], None], abandon: Callable[[], None]) -> Callable[[], None]:
        @wraps(close)
        def closing() -> None:
            try:
                (close if self.first is None else abandon)()
            except BaseException as error:  # noqa: BLE001 - raised by the caller that runs the flow
                self.first = self.first or error

        return closing


def _ends_a_source(end: StopIteration) -> bool:
    """Whether a source has raised it itself; from anything that the source has called it is a defect."""
    frame = end.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code.co_name == "next_batch"
