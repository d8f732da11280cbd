"""Defines what a spool is: events that were encoded and are not acknowledged yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from aftercall.errors import UserError
from aftercall.transports.transport import Message


class Row(NamedTuple):
    """A message in a spool; numbers rise."""

    number: int
    message: Message


class SpoolError(UserError):
    """The spool cannot be written or read."""


class DamagedSpoolError(SpoolError):
    """What is in the file is not what was written."""


class Spool(Protocol):
    """Keeps messages in the order in which they came; used by one thread at a time."""

    place: Literal["held", "spooled"]
    """Where its events are counted: `spooled` are those that survive the process."""
    last: int
    """The number of the newest message that was ever appended."""

    @property
    def first(self) -> int:
        """No message with a lower number is left."""

    @property
    def count(self) -> int:
        """How many are left."""

    def append(self, messages: Sequence[Message]) -> int:
        """Keep the first so many of these, all if there is room. They are safe once it returns."""

    def read(self, after: int, events: int, size: int) -> list[Row]:
        """The oldest beyond a number, up to so many and about so many bytes, at least one if there is one."""

    def delete(self, numbers: Sequence[int]) -> None:
        """These are settled."""

    def close(self) -> None:
        """Let go of it. What is left stays for another process, where it can."""
