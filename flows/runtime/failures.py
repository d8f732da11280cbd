"""Remembers what a step raised, which Bytewax loses in two ways.

Among several processes Bytewax turns any error into a panic. And while it ends because of an error, it closes every
source and sink: an error that is raised there aborts the process, without a message.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from bytewax.dataflow import Dataflow

_CALLED: Final = ("list_parts", "next_batch", "write_batch", "on_batch", "on_notify", "on_eof", "snapshot")


class Failures:
    """Keeps the first error that was raised; Bytewax ends the process then."""

    def __init__(self) -> None:
        self.first: BaseException | None = None

    def watch(self, flow: Dataflow) -> None:
        """Wrap all that Bytewax calls in this flow: sources, sinks, mappers and stateful steps.

        From then on no `close` raises. Once something has failed, a part that has a method `abandon` is abandoned
        instead of closed, lest it publish what is in no epoch. The caller that runs the flow raises `first`.
        """
        steps: list[Any] = list(flow.substeps)
        for step in steps:
            steps.extend(step.substeps)
            for name in ("source", "sink"):
                if hasattr(step, name):
                    self._seen(getattr(step, name))
            # A step is frozen, but Bytewax has not looked at it yet.
            if hasattr(step, "mapper") and not step.substeps:
                # What a mapper gives may be made while it is read.
                object.__setattr__(step, "mapper", self._watched(step.mapper, list))
            if hasattr(step, "builder"):
                object.__setattr__(step, "builder", self._watched(step.builder, self._seen))

    def _seen(self, part: Any) -> Any:
        for name in _CALLED:
            if hasattr(part, name):
                setattr(part, name, self._watched(getattr(part, name)))
        if hasattr(part, "build_part"):
            part.build_part = self._watched(part.build_part, self._seen)
        if hasattr(part, "close"):
            part.close = self._closing(part.close, getattr(part, "abandon", part.close))
        return part

    def _watched(self, function: Callable[..., Any], then: Callable[[Any], Any] | None = None) -> Callable[..., Any]:
        @wraps(function)
        def watched(*arguments: Any) -> Any:
            try:
                made = function(*arguments)
                return made if then is None else then(made)
            except StopIteration:  # the end of a source
                raise
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
