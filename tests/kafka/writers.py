"""Writers to topics, blocks of records, and what arrived of them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connectors.block import Block
from connectors.kafka.client import producer_config
from connectors.kafka.cluster import Cluster as Settings
from connectors.kafka.sink import KafkaPart, KafkaSink
from connectors.kafka.writer import KafkaWriter, WriterCallbacks
from kafka.clusters import Read

QUICK = {"reconnect.backoff.max.ms": 200, "linger.ms": 5, "topic.metadata.propagation.max.ms": 500}


class Recorder:
    """Callbacks that keep their arguments."""

    def __init__(self, give_up: Callable[[], bool] = lambda: False) -> None:
        self.beats = 0
        self.confirmed, self.shortened = Counter[str](), Counter[str]()
        self.refused: list[tuple[str, str]] = []
        self.trouble = Counter[str]()
        self.callbacks = WriterCallbacks(
            beat=self._beat,
            give_up=give_up,
            confirmed=lambda topic, count: self.confirmed.update({topic: count}),
            refused=lambda topic, error: self.refused.append((topic, error)),
            shortened=lambda topic: self.shortened.update([topic]),
            passing_error=lambda name: self.trouble.update([name]),
        )

    def _beat(self) -> None:
        self.beats += 1


def writer(
    client: Mapping[str, Any],
    dead_letters: str = "dead",
    recorder: Recorder | None = None,
    more: Mapping[str, Any] = {},
) -> KafkaWriter:
    settings = dict(client)
    brokers = settings.pop("bootstrap.servers")
    config = producer_config(Settings(brokers=brokers, librdkafka=settings | QUICK | dict(more)))
    return KafkaWriter(config, dead_letters, (recorder or Recorder()).callbacks)


def opened(to: KafkaWriter, topic: str) -> KafkaPart:
    sink = KafkaSink(to, topic)
    return sink.build_part("out", sink.list_parts()[0], None)


def block(numbers: Iterable[int], keys: int = 100) -> Block:
    return [(f"k{n % keys}", b'{"n":%d}' % n) for n in numbers]


def by_key(records: list[Read]) -> dict[str, list[int]]:
    found = defaultdict[str, list[int]](list)
    for record in records:
        found[(record.key or b"").decode()].append(json.loads(record.value or b"")["n"])
    return found
