"""What lanes are told, and whom they ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aftercall.times import HOUR_US
from connectors.batch import Erase
from connectors.kafka.cluster import ClientConfig

Place = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True, kw_only=True)
class LaneSettings:
    """What lanes are told.

    Attributes:
        consumer: configuration of the consumers.
        topics: that of calls, and that of outcomes.
        lanes: how many lanes there are; part of the state.
        board: file in which lanes tell each other how far they are.
        batch_size: messages per batch, at most.
        idle_after_s: how long a partition must have been at its end to be left out of the watermark.
        max_lead_us: how far a partition may be ahead of the slowest one that is not read to its end.
        accept_data_loss: go on where a position has expired.
    """

    consumer: ClientConfig
    topics: tuple[str, str]
    lanes: int
    board: Path
    batch_size: int = 20_000
    idle_after_s: float = 60.0
    max_lead_us: int = HOUR_US
    accept_data_loss: bool = False


@dataclass(frozen=True, kw_only=True)
class LaneHooks:
    """Whom lanes ask and tell; the functions must be quick.

    Attributes:
        stopping: whether to read no further.
        beat: the dataflow is awake.
        polled: a lane knows its partitions and was asked for its next batch.
        built: a lane is read in this process.
        erasures: requests to erase calls that no lane has been given yet; asked by the first lane.
    """

    stopping: Callable[[], bool] = lambda: False
    beat: Callable[[], None] = lambda: None
    polled: Callable[[str], None] = lambda _lane: None
    built: Callable[[str], None] = lambda _lane: None
    erasures: Callable[[], tuple[Erase, ...]] = tuple
