"""Where the differences of calls count."""

from __future__ import annotations

from typing import Final, NamedTuple

from models.arrays import I32, I64


class CallPlace(NamedTuple):
    """Where the differences of a call count: its group as the shard's code, its time, and its effective minute."""

    group: int
    at: int
    minute: int


class Known(NamedTuple):
    """A call's own error, None where it has none, and the minute from which on it is known."""

    error: str | None
    minute: int


UNKNOWN: Final = Known(None, 0)


class CallPlaces(NamedTuple):
    """The same of many calls, as columns."""

    group: I32
    at: I64
    minute: I32
