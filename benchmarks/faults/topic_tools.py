"""What operators, retention and other clients do to topics."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from benchmarks.kafka_broker import Broker, ClientSettings, create_topic
from benchmarks.kafka_jars import BrokerError

_ANSWER_S = 60.0


def delete(client: ClientSettings, topic: str) -> None:
    """Delete a topic, and return once it is gone.

    Raises:
        BrokerError: it is still there after a minute.
    """
    admin = AdminClient(client | {"log_level": 2})
    for deleted in admin.delete_topics([topic]).values():
        deleted.result(_ANSWER_S)
    deadline = time.monotonic() + _ANSWER_S
    while topic in admin.list_topics(timeout=_ANSWER_S).topics:
        if time.monotonic() > deadline:
            raise BrokerError(f"topic {topic!r} was deleted, and is still there after {_ANSWER_S:g} s")
        time.sleep(0.05)


def recreate(client: ClientSettings, topics: Iterable[str], partitions: int) -> None:
    """Delete topics, and create them again."""
    for topic in topics:
        delete(client, topic)
        create_topic(client, topic, partitions)


def expire(client: ClientSettings, topic: str, partition: int) -> None:
    """Drop all records of a partition, as retention does."""
    admin = AdminClient(client | {"log_level": 2})
    for deleted in admin.delete_records([TopicPartition(topic, partition, OFFSET_END)]).values():
        deleted.result(_ANSWER_S)


def add_partitions(client: ClientSettings, topic: str, partitions: int) -> None:
    """Give a topic more partitions, and return once they have leaders."""
    admin = AdminClient(client | {"log_level": 2})
    for created in admin.create_partitions([NewPartitions(topic, partitions)]).values():
        created.result(_ANSWER_S)
    while len(admin.list_topics(timeout=_ANSWER_S).topics[topic].partitions) < partitions:
        time.sleep(0.05)


def ends(client: ClientSettings, topic: str) -> dict[int, int]:
    """The next offset of each partition."""
    consumer = _consumer(client)
    try:
        partitions = consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic].partitions
        return {part: consumer.get_watermark_offsets(TopicPartition(topic, part), _ANSWER_S)[1] for part in partitions}
    finally:
        consumer.close()


class Read(NamedTuple):
    """A record as it was read."""

    partition: int
    key: str
    value: bytes


def read_from(client: ClientSettings, topic: str, offsets: dict[int, int]) -> list[Read]:
    """What a topic holds from these offsets on, by partition, in its order."""
    last, consumer, found = ends(client, topic), _consumer(client), list[Read]()
    try:
        left = {part for part, end in last.items() if end > offsets[part]}
        consumer.assign([TopicPartition(topic, part, offsets[part]) for part in left])
        while left:
            message = consumer.poll(_ANSWER_S)
            if message is None or message.error() is not None:
                raise BrokerError(f"topic {topic!r} must be readable to its end; partitions {left} were not")
            part, offset = message.partition() or 0, message.offset() or 0
            found.append(Read(part, (message.key() or b"").decode(), message.value() or b""))
            if offset + 1 >= last[part]:
                left.discard(part)
    finally:
        consumer.close()
    return found


def _consumer(client: ClientSettings) -> Consumer:
    return Consumer(client | {"group.id": "bench-faults", "enable.auto.commit": False, "log_level": 2})


def open_transaction(client: ClientSettings, topic: str, partition: int, key: str, value: bytes) -> Producer:
    """A producer that has begun a transaction and written a record in it."""
    transaction = Producer(client | {"transactional.id": topic, "log_level": 2})
    transaction.init_transactions(_ANSWER_S)
    transaction.begin_transaction()
    transaction.produce(topic, value, key, partition)
    transaction.flush(_ANSWER_S)
    return transaction


def kept_logs(broker: Broker, topics: Iterable[str], partitions: int, folder: Path) -> list[Path]:
    """Copies of the files of topics, of a broker that has been stopped."""
    logs = [broker.data / "records" / f"{topic}-{partition}" for topic in topics for partition in range(partitions)]
    for log in logs:
        shutil.copytree(log, folder / log.name)
    return logs


def put_back(logs: Iterable[Path], folder: Path) -> None:
    """Put the copies back in place of what a stopped broker has: as if a leader that lacks the newest took over."""
    for log in logs:
        shutil.rmtree(log)
        shutil.copytree(folder / log.name, log)
