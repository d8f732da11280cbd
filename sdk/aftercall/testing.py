"""For the tests of programs that use aftercall: events in memory, wrong ones raised where they are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aftercall.emitter.encoding import InvalidEventError
from aftercall.transports.transport import Message, Receipt

__all__ = ["InvalidEventError", "MemoryTransport"]


class MemoryTransport:
    """Keeps events as plain dictionaries, in the order in which they came.

    By default at once, on the caller's thread: an invalid event raises `InvalidEventError` there, as does an argument
    that no event could be made of. With `at_once=False` they go through queue, thread and spool as in production.

    >>> from aftercall.emitter import Emitter
    >>> memory = MemoryTransport()
    >>> emitter = Emitter(memory, spool=None)
    >>> emitter.emit("outcomes", "c1", lambda: {"outcome_id": "o1", "call_id": "c1", "source": "judge", "success": True,
    ...                                         "occurred_at": "2026-03-01T12:00:00Z"})
    >>> memory.outcomes[0]["source"]
    'judge'
    """

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.calls: list[dict[str, Any]] = []
        self.outcomes: list[dict[str, Any]] = []
        self._receipts: list[Receipt] = []

    @property
    def destination(self) -> str:
        """One of its own: nothing that is left in a spool reaches another test."""
        return f"memory:{id(self)}"

    def clear(self) -> None:
        """Forget what came."""
        self.calls.clear()
        self.outcomes.clear()

    def open(self) -> None:
        """Nothing to load."""

    def offer(self, messages: Sequence[tuple[int, Message]]) -> int:
        """Keep all."""
        import json

        for number, message in messages:
            (self.calls if message.kind == "calls" else self.outcomes).append(json.loads(message.value))
            if not self.at_once:
                self._receipts.append(Receipt(number, "acknowledged"))
        return len(messages)

    def receipts(self, wait_s: float) -> list[Receipt]:
        """Those of the last offer."""
        receipts, self._receipts = self._receipts, []
        return receipts

    def close(self, timeout_s: float) -> None:
        """What came stays."""

    def abandon(self) -> object:
        """What came before the fork is the parent's."""
        self.calls, self.outcomes, self._receipts = [], [], []
        return None
