"""Defines what the emitter demands of a transport, and what it promises it.

Every method is called by one thread at a time, and never on the response path of an agent (but see `at_once`). An
exception of any kind is survived: the emitter closes the transport, waits, opens it again, and sends what was not
acknowledged once more. A method that never returns stops deliveries and nothing else: `flush` and the end of the
process keep to their time limits, and the queue stays bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from aftercall.errors import UserError

Answer = Literal["acknowledged", "refused", "failed"]
"""`acknowledged`: it is there for good. `refused`: it can never be delivered. `failed`: it is to be sent again."""


class Message(NamedTuple):
    """An event as it is sent: its topic, its record key, and the JSON of the event in UTF-8."""

    kind: Literal["calls", "outcomes"]
    key: str
    value: bytes

    @property
    def size(self) -> int:
        """Bytes it is counted with wherever bytes are bounded; those of keeping it are estimated."""
        return len(self.value) + len(self.key) + 64


class Receipt(NamedTuple):
    """What became of a message that a transport accepted under this number."""

    number: int
    answer: Answer
    reason: str = ""


class UnavailableError(UserError):
    """Raised by `offer` where the other side cannot take anything now; after `retry_after_s`, if given, it may."""

    def __init__(self, sentence: str, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class Transport(Protocol):
    """A place that takes events."""

    at_once: bool
    """Events are validated and offered on the caller's thread, and errors are raised there: for tests of users."""

    @property
    def destination(self) -> str:
        """Where events go, without secrets. Spools that a process left are sent by those with an equal destination."""

    def open(self) -> None:
        """Load libraries and make handles. Called before the first offer, and again after `close` or `abandon`."""

    def offer(self, messages: Sequence[tuple[int, Message]]) -> int:
        """Accept the first so many numbered messages, none where there is no room; wait only for a bounded time.

        Every accepted message gets one receipt. Where it raises, none was accepted.
        """

    def receipts(self, wait_s: float) -> list[Receipt]:
        """Return the receipts that are there, and wait at most so long for the first."""

    def close(self, timeout_s: float) -> None:
        """Let go of all handles within about this time; accepted messages without a receipt get none any more."""

    def abandon(self) -> object:
        """Forget the handles of the parent without touching them, in a forked child; return them, to be kept alive."""
