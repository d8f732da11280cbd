"""A lane over two fresh topics, and what tests send to it and look for in its batches."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aftercall.times import NEVER
from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from connectors.kafka.client import admin_config, consumer_config
from connectors.kafka.cluster import Cluster as Address
from connectors.kafka.lane import KafkaLane, KafkaLaneState
from connectors.kafka.lane_settings import LaneCallbacks, LaneSettings
from connectors.kafka.metadata import MetadataPoller
from connectors.kafka.progress_board import ProgressBoard
from kafka.clusters import DEADLINE_S, Cluster

T0_US = 1_767_225_600_000_000  # 2026-01-01


def call(i: int, minute: int = 0) -> bytes:
    """The `i`-th call, so many minutes after `T0_US`."""
    at = f"2026-01-01T{minute // 60:02d}:{minute % 60:02d}:00Z"
    return json.dumps({"call_id": f"c{i}", "occurred_at": at, "task_type": "t", "model": "m"}).encode()


def outcome(i: int, minute: int = 0) -> bytes:
    """The outcome of the `i`-th call."""
    at = f"2026-01-01T{minute // 60:02d}:{minute % 60:02d}:00Z"
    outcome = {"outcome_id": "o", "call_id": f"c{i}", "occurred_at": at, "source": "s", "success": True}
    return json.dumps(outcome).encode()


class Rig:
    """A lane over two fresh topics."""

    def __init__(self, broker: Cluster, folder: Path, partitions: int = 2, **settings: Any) -> None:
        self.broker = broker
        self.calls, self.outcomes = broker.fresh_topic(partitions, "calls"), broker.fresh_topic(partitions, "outcomes")
        address = Address(brokers=broker.bootstrap, group_id=f"g-{self.calls}")
        self.settings = LaneSettings(
            **{  # type: ignore[arg-type]
                "consumer": consumer_config(address),
                "topics": (self.calls, self.outcomes),
                "lanes": 1,
                "board": folder / "lead",
                "idle_after_s": 0.3,
            }
            | settings
        )
        self.callbacks = LaneCallbacks()
        read_to = ProgressBoard(folder / "lead", self.settings.lanes).read_to
        self.defects: list[BaseException] = []
        """What has ended the poller."""
        self.poller = MetadataPoller(
            *(admin_config(address), self.settings.topics, 0.1, read_to),
            on_defect=self.defects.append,
            optional=self.settings.marks,
        )

    @contextmanager
    def lane(
        self,
        state: KafkaLaneState | None = None,
        number: int = 0,
        callbacks: LaneCallbacks | None = None,
        **other: Any,
    ) -> Iterator[KafkaLane]:
        self.poller.start()
        settings = LaneSettings(**(self.settings.__dict__ | other))
        decoder = Decoder(now_us=T0_US + 10**15, max_future_skew_us=0)
        lane = KafkaLane(settings, number, decoder, self.poller, callbacks or self.callbacks, state)
        try:
            yield lane
        finally:
            lane.close()

    def close(self) -> None:
        self.poller.close()


@pytest.fixture
def rig(broker: Cluster, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(**settings: Any) -> Rig:
        made.append(Rig(broker, tmp_path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def read_until(lane: KafkaLane, done: Callable[[list[Batch]], bool]) -> list[Batch]:
    """The batches of a lane until they are enough."""
    batches: list[Batch] = []
    deadline = time.monotonic() + DEADLINE_S
    while not done(batches):
        assert time.monotonic() < deadline, [(b.records, b.low, b.high, b.idle, b.marks) for b in batches]
        batches += lane.next_batch()
        time.sleep(0.01)
    return batches


def ids_of(batches: list[Batch]) -> list[str]:
    """Of the calls that the records of batches are about."""
    return [r.call_id for b in batches for columns in (b.calls, b.outcomes) for r in columns.records]


def has_read(count: int) -> Callable[[list[Batch]], bool]:
    """Whether batches have so many records."""
    return lambda batches: sum(b.records for b in batches) >= count


def is_idle(batches: list[Batch]) -> bool:
    """All partitions are: then the watermark is the greatest clock."""
    return bool(batches) and batches[-1].low == batches[-1].high != NEVER
