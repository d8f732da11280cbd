"""A spool in memory, for where there is no folder: what it holds is lost with the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aftercall.emitter.spool import Row
from aftercall.transports.transport import Message


class MemorySpool:
    """A `Spool`. Its events count against the bounds of the queue, so it has none of its own."""

    place: Literal["held", "spooled"] = "held"

    def __init__(self) -> None:
        self._rows: dict[int, Message] = {}
        self.last = 0

    @property
    def first(self) -> int:
        """The lowest number that is left."""
        return next(iter(self._rows), self.last + 1)

    @property
    def count(self) -> int:
        """How many are left."""
        return len(self._rows)

    def append(self, messages: Sequence[Message]) -> int:
        """Keep them all."""
        for message in messages:
            self.last += 1
            self._rows[self.last] = message
        return len(messages)

    def read(self, after: int, events: int, size: int) -> list[Row]:
        """The oldest beyond a number. Cost: the number of rows held."""
        rows: list[Row] = []
        for number, message in self._rows.items():
            if number > after:
                rows.append(Row(number, message))
                size -= message.size
                if len(rows) >= events or size <= 0:
                    break
        return rows

    def delete(self, numbers: Sequence[int]) -> None:
        """These are settled."""
        for number in numbers:
            self._rows.pop(number, None)

    def close(self) -> None:
        """Drop all."""
        self._rows.clear()
