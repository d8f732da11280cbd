"""Follows the reading of a stream from its first chunk to its last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter_ns, time_ns
from typing import Any

from aftercall.capture.around import CURRENT, reset
from aftercall.capture.draft import Draft
from aftercall.capture.parts import Parts, parts_of_chunk
from aftercall.capture.quiet import quiet


class StreamReading:
    """The reading of one stream: each step runs inside its call, and the last one ends it.

    The call ends when its last chunk was read. One that is left before its end is cancelled. The variable that says in
    which call code runs is set during a step only: a generator that sets it around `yield` would set it for its caller.
    """

    __slots__ = ("at_ns", "capturing", "characters", "draft", "most_text", "parts", "read_ns", "texts", "thrown")

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.capturing = draft.capturing
        self.read_ns: int | None = None
        self.at_ns: int | None = None
        self.parts: Parts = {}
        self.most_text = draft.most_text
        self.texts: list[str] | None = [] if self.most_text else None
        self.characters = 0
        self.thrown: object = None

    def step(self, step: Callable[..., Any], *given: Any) -> Any:
        """Read a chunk."""
        token = CURRENT.set(self.draft)
        try:
            chunk = step(*given)
        except BaseException as error:
            self.stop(error)
            raise
        finally:
            CURRENT.reset(token)
        self.add(chunk)
        return chunk

    async def async_step(self, step: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        """Read a chunk of an async stream."""
        token = CURRENT.set(self.draft)
        try:
            chunk = await step(*given)
        except BaseException as error:
            self.stop(error)
            raise
        finally:
            reset(CURRENT, token)
        self.add(chunk)
        return chunk

    @quiet
    def add(self, chunk: object) -> None:
        """Note when a chunk was read, and what it says about tokens."""
        self.read_ns, self.at_ns = perf_counter_ns(), time_ns()
        if self.draft.first_ns is None:
            self.draft.first_ns = self.read_ns
        parts = parts_of_chunk(chunk)
        if parts is not None:
            # Usage is cumulative where several chunks have it. Most have an empty one, which must not hide an earlier.
            self.parts.update((name, part) for name, part in parts.items() if part is not None)
        if self.texts is not None and self.characters < self.most_text:
            from aftercall.capture.replies import chunk_text

            text = chunk_text(chunk)
            self.texts.append(text)
            self.characters += len(text)

    @quiet
    def stop(self, error: BaseException) -> None:
        """Take the exception that ended a step."""
        self._hand_over()
        if isinstance(error, StopIteration | StopAsyncIteration):
            self.draft.end(self.read_ns, self.at_ns)
        elif isinstance(error, Exception) and error is not self.thrown:
            self.draft.fail(error)
        else:
            self.draft.leave(self.read_ns, self.at_ns)

    @quiet
    def leave(self) -> None:
        """Take note that no more will be read."""
        if not self.draft.ended:
            self._hand_over()
            self.draft.leave(self.read_ns, self.at_ns)

    def _hand_over(self) -> None:
        if not self.draft.ended:
            if self.parts:
                self.draft.add_parts(self.parts)
            if self.texts:
                self.draft.output = "".join(self.texts)
