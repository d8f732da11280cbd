"""Events as a producer makes them, and transports that do what a test wants: for tests of the emitter."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aftercall.emitter import Emitter
from aftercall.transports.transport import Message, Receipt
from harness.waiting import until


def call(call_id: str, **more: Any) -> dict[str, Any]:
    """A valid call."""
    return {"call_id": call_id, "occurred_at": "2026-03-01T12:00:00Z", "task_type": "t", "model": "m", **more}


def emit(emitter: Emitter, *call_ids: str, durable: bool | None = None, **more: Any) -> None:
    """Emit calls of these ids."""
    for call_id in call_ids:
        emitter.emit("calls", call_id, lambda call_id=call_id: call(call_id, **more), durable=durable)  # type: ignore[misc]


def wait_for(condition: Callable[[], bool]) -> None:
    """Until something is so."""
    until(condition, lambda: "nothing that it would say", every_s=0.005)


@contextmanager
def closing(emitter: Emitter) -> Iterator[Emitter]:
    """Closes it at the end, whatever happens."""
    try:
        yield emitter
    finally:
        emitter.close(0.0)
        wait_for(lambda: not emitter._sender.has_thread)


class Scripted:
    """Accepts up to `room` messages, and answers each as `answer` says; None answers nothing."""

    at_once = False

    def __init__(self, answer: str | None = "acknowledged", room: int = 10**9, name: str = "scripted") -> None:
        self.answer, self.room = answer, room
        self.destination = name
        self.raises: BaseException | None = None
        self.waits: Callable[[], object] = lambda: None
        self.delivered: list[str] = []
        self.values: list[dict[str, Any]] = []
        self.accepted: dict[int, Message] = {}
        self.opened = 0

    def open(self) -> None:
        self.opened += 1

    def offer(self, messages: Sequence[tuple[int, Message]]) -> int:
        self.waits()
        if self.raises is not None:
            raise self.raises
        taken = messages[: max(0, self.room - len(self.accepted))]
        self.accepted.update(taken)
        return len(taken)

    def receipts(self, wait_s: float) -> list[Receipt]:
        if self.answer is None:
            time.sleep(min(wait_s, 0.005))
            return []
        answered, self.accepted = self.accepted, {}
        if self.answer == "acknowledged":
            self.delivered += [message.key for message in answered.values()]
            self.values += [json.loads(message.value) for message in answered.values()]
        return [Receipt(number, self.answer) for number in answered]  # type: ignore[arg-type]  # whatever a test wants

    def close(self, timeout_s: float) -> None:
        self.accepted = {}

    def abandon(self) -> object:
        self.accepted, self.delivered, self.values = {}, [], []
        return None


def left_in(folder: Path) -> list[Path]:
    """The spools in a folder."""
    return sorted(folder.rglob("*.spool"))
