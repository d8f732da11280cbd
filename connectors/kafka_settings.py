"""What lanes are told, and whom they ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Place = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True, kw_only=True)
class LaneSettings:
    """What lanes are told.

    Attributes:
        consumer: configuration of the consumers.
        admin: configuration of the client that watches the topics.
        topics: that of calls, and that of outcomes.
        lanes: how many lanes there are; part of the state.
        board: file in which lanes tell each other how far they are.
        batch_size: messages per batch, at most.
        idle_after_s: how long a partition must have been at its end to be left out of the watermark.
        max_lead_us: how far a partition may be ahead of the slowest one that is not read to its end.
        watch_s: how often the broker is asked for ends and new partitions.
        accept_data_loss: go on where a position has expired.
    """

    consumer: Mapping[str, Any]
    admin: Mapping[str, Any]
    topics: tuple[str, str]
    lanes: int
    board: Path
    batch_size: int = 20_000
    idle_after_s: float = 60.0
    max_lead_us: int = 3_600_000_000
    watch_s: float = 10.0
    accept_data_loss: bool = False


@dataclass(frozen=True, kw_only=True)
class LaneHooks:
    """Whom lanes ask and tell; the functions must be quick.

    Attributes:
        stopping: whether to read no further.
        polled: a lane was asked for its next batch, and the broker has told it which partitions there are.
    """

    stopping: Callable[[], bool] = lambda: False
    polled: Callable[[int], None] = lambda lane: None
