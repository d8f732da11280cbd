"""Defines the settings and callbacks of the Kafka lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aftercall.times import HOUR_US
from connectors.batch import Erase
from connectors.kafka.cluster import ClientConfig

Place = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True, kw_only=True)
class LaneSettings:
    """Settings of the lanes.

    Attributes:
        consumer: configuration of the consumers.
        topics: the topic of calls, and that of outcomes.
        marks: the topic of marks; it need not exist. None: there is none.
        lanes: how many lanes there are; part of the state.
        board: file in which lanes publish how far they are.
        batch_size: messages per batch, at most.
        idle_after_s: seconds that a partition must have been at its end before the watermark leaves it out.
        orphan_wait_s: seconds after which outcomes no longer wait for calls that do not come, where there is no room.
        max_lead_us: how far a partition may be ahead of the slowest one that is not read to its end, us.
        accept_data_loss: where records are lost, resume at the first one left instead of raising.
    """

    consumer: ClientConfig
    topics: tuple[str, str]
    lanes: int
    board: Path
    batch_size: int = 20_000
    idle_after_s: float = 60.0
    orphan_wait_s: float = 86_400.0
    max_lead_us: int = HOUR_US
    accept_data_loss: bool = False
    marks: str | None = None


@dataclass(frozen=True, kw_only=True)
class LaneCallbacks:
    """Callbacks of the lanes; they must return quickly.

    Attributes:
        stopping: returns whether to stop reading.
        beat: called with each request for a batch, which shows that the dataflow makes progress.
        polled: called with the lane's name when a batch is requested and the lane has its partitions.
        partitions: called with the lane's name and, of each of its partitions, the offset to read next and how many
            records are left: whenever the broker has reported the ends.
        caught_up: called with the lane's name once each of its partitions was at its end for the first time.
        built: called with the lane's name when the lane is built in this process.
        needed: returns up to which event time calls must be read before more outcomes can wait for theirs, us; None:
            there is room.
        erasures: returns requests to erase calls that no lane has received; called by the first lane.
        holding: returns whether to read nothing now; asked before each read.
        too_early: called after each read with the broker's time of the newest record, us, where its topic has such
            times; returns whether the records came too early for this host's clock: then they are read again later.
    """

    stopping: Callable[[], bool] = lambda: False
    beat: Callable[[], None] = lambda: None
    polled: Callable[[str], None] = lambda _lane: None
    partitions: Callable[[str, Mapping[Place, tuple[int, int]]], None] = lambda _lane, _partitions: None
    caught_up: Callable[[str], None] = lambda _lane: None
    built: Callable[[str], None] = lambda _lane: None
    needed: Callable[[], int | None] = lambda: None
    erasures: Callable[[], tuple[Erase, ...]] = tuple
    holding: Callable[[], bool] = lambda: False
    too_early: Callable[[int], bool] = lambda _appended_us: False
