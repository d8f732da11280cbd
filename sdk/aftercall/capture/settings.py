"""Holds what a client was made with, as far as capturing a call needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

Cost = Callable[[Mapping[str, Any]], float | None]
"""The user's price list: gets the event of a call as it would be sent, gives US dollars, or None where unknown."""
UNKNOWN: Final = "wrong arguments"
"""Key under which names of arguments that do not exist, or are no ids, go with an event: it is invalid."""
_Build = Callable[[], dict[str, Any] | None]


class Arranged(Protocol):
    """An arm that was chosen for a call: what `route` gives, or any object with a model and a config.

    `task_type`, `segment`, `recommendation_id` and `propensity` are taken from it too, where it has them.
    """

    @property
    def model(self) -> str:
        """To call."""

    @property
    def config(self) -> str:
        """To call it with."""


class Sink(Protocol):
    """What capture needs of an emitter; both methods are called on the response path, never raise and never wait."""

    @property
    def at_once(self) -> bool:
        """Whether events are built on the caller's thread, for tests."""

    def emit(
        self,
        kind: Literal["calls", "outcomes"],
        key: str,
        build: _Build,
        size: int = 256,
        *,
        durable: bool | None = None,
        place: str | None = None,
    ) -> None:
        """Take an event; `build` makes it, once, on the sender thread, where None means that there is none.

        Args:
            kind: decides the topic.
            key: key of the record.
            build: gives the event as a plain dict.
            size: an estimate in bytes of what `build` holds, for the bound of the queue.
            durable: whether the event must be on disk before this returns; None: as the client was made.
            place: "file.py:12" of the user's code, for messages about events that are refused.
        """

    def count_invalid(self, reason: str, place: str | None = None) -> None:
        """Count an event that could not be made because of wrong arguments, and log it once per place."""


class Capturing:
    """How calls of a client are captured.

    Attributes:
        sink: where events go; None: the client is off.
        text: whether inputs and outputs are sent.
        input_hash: whether `attrs.input_hash` is sent.
        sample: share of calls that are kept, (0, 1].
        release: of the agent, for `attrs.release`.
        cost: the user's price list.
    """

    __slots__ = ("cost", "input_hash", "release", "sample", "sink", "text")

    def __init__(
        self,
        sink: Sink | None,
        *,
        text: bool = False,
        input_hash: bool = True,
        sample: float = 1.0,
        release: str | None = None,
        cost: Cost | None = None,
    ) -> None:
        self.sink = sink
        self.text = text
        self.input_hash = input_hash
        self.sample = sample
        self.release = release
        self.cost = cost
