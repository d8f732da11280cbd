"""Two brokers that tests talk to in the same words: librdkafka's mock, at once and everywhere, and a real one.

What the mock cannot do (measured on librdkafka 2.16): create topics by request, topic settings, `offsets_for_times`
(answers -1), `delete_records`, and transactions (aborted records are seen under read_committed, offsets sent with one
are lost). Each partition silently keeps its last 5 MiB or 100 000 records. A consumer that subscribes to a group which
others have left waits for `session.timeout.ms`, 45 s by default. Tests of those take `real_broker`.
"""

from __future__ import annotations

import ctypes
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
    cimpl,
)

from benchmarks.faults.topic_tools import delete
from benchmarks.kafka_broker import LOSES_NONE, ClientSettings, create_topic, create_topics
from harness.waiting import HANG_S

DEADLINE_S = HANG_S
# Brokers come and go here: do not log it, and look again soon (by default a client stays away for up to 10 s).
_QUIET: ClientSettings = {"log_level": 2, "reconnect.backoff.max.ms": 200}
PARTITION_EOF = -191
"""`KafkaError._PARTITION_EOF`, which the library's types do not know."""
NOT_LEADER = 6
"""The answer of a broker that leads the partition not yet, or no more."""
_AS_PRODUCER = 0  # RD_KAFKA_PRODUCER
_PRODUCE = 0  # the protocol's number of the request


class Read(NamedTuple):
    """A record as it was read."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


class Cluster(ABC):
    """A broker, and what tests do with it; `client` is what librdkafka needs to reach it."""

    def __init__(self, client: ClientSettings) -> None:
        self.client = client
        self._quiet = client | _QUIET
        settings: ClientSettings = LOSES_NONE | {"message.timeout.ms": int(DEADLINE_S * 1000), "linger.ms": 0}
        self._producer = Producer(self._quiet | settings)

    @property
    def bootstrap(self) -> str:
        return str(self.client["bootstrap.servers"])

    @abstractmethod
    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Settings with underscores for dots: `retention_ms="1000"`."""

    def fresh_topic(self, partitions: int = 1, stem: str = "topic", **config: str) -> str:
        """Create a topic that no other test knows; returns its name."""
        name = _fresh(stem)
        self.create_topic(name, partitions, **config)
        return name

    def fresh_topics(self, partitions: int, stems: Sequence[str]) -> dict[str, str]:
        """Create several, without settings; returns their names by their stems."""
        names = {stem: _fresh(stem) for stem in stems}
        for name in names.values():
            self.create_topic(name, partitions)
        return names

    def produce(
        self,
        topic: str,
        partition: int | None,
        key: bytes | str | None,
        value: bytes | str | None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int = 0,
    ) -> None:
        """Return once the broker has it; partition None leaves the choice to the key, timestamp 0 means now."""
        self.send(topic, partition, key, value, headers, timestamp_ms)
        self.flush()

    def send(
        self,
        topic: str,
        partition: int | None,
        key: bytes | str | None,
        value: bytes | str | None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int = 0,
    ) -> None:
        """As `produce`, for many: returns at once, `flush` waits for all."""
        where = -1 if partition is None else partition
        while True:
            try:
                self._producer.produce(
                    topic, value, key, where, on_delivery=_delivered, timestamp=timestamp_ms, headers=list(headers)
                )
            except BufferError:
                self._producer.poll(1)
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        left = self._producer.flush(DEADLINE_S)
        assert left == 0, f"{left} records were not delivered within {DEADLINE_S:g} s"

    def read_all(self, topic: str) -> list[Read]:
        """What the topic holds now, by partition and offset; of transactions only what was committed."""
        consumer = Consumer(
            self._quiet
            | {
                "group.id": "read-all",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=DEADLINE_S).topics[topic].partitions
            assert partitions, f"there is no topic {topic}"
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
            open_ones, found = set(partitions), list[Read]()
            while open_ones:
                message = consumer.poll(DEADLINE_S)
                assert message is not None, f"{topic} went silent before the ends of partitions {open_ones}"
                error = message.error()
                if error is None:
                    found.append(_read(message))
                elif error.code() == PARTITION_EOF:
                    open_ones.discard(_number(message.partition()))
                else:
                    raise KafkaException(error)
            return sorted(found, key=lambda one: one[:2])
        finally:
            consumer.close()


class MockCluster(Cluster):
    """librdkafka's mock broker, inside this process and over TCP for others; each has its own thread."""

    def __init__(self) -> None:
        library = ctypes.CDLL(cimpl.__file__)  # finds the symbols of the librdkafka this module is linked to
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(library, name).restype = ctypes.c_void_p
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [ctypes.c_void_p, ctypes.c_int32]
        reason = ctypes.create_string_buffer(512)
        room = ctypes.c_size_t(len(reason))
        settings = ctypes.c_void_p(library.rd_kafka_conf_new())
        library.rd_kafka_conf_set(settings, b"log_level", b"2", reason, room)
        handle = library.rd_kafka_new(_AS_PRODUCER, settings, reason, room)
        assert handle, reason.value.decode()
        self._library, self._handle = library, ctypes.c_void_p(handle)
        self._cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(self._handle, 1))
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        super().__init__({"bootstrap.servers": library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()})

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        assert not config, "the mock broker has no topic settings; take `real_broker`"
        error = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        if error:
            raise KafkaException(KafkaError(error))

    def answers_slowly(self, rtt_ms: int) -> None:
        """Each answer is so late that a producer may have several requests on their way."""
        set_rtt = self._library.rd_kafka_mock_broker_set_rtt
        set_rtt.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int]
        set_rtt(self._cluster, 1, rtt_ms)

    def fail_next(self, *errors: int) -> None:
        """The next requests to produce are answered with these errors."""
        push = self._library.rd_kafka_mock_push_request_errors_array
        push.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.c_void_p]
        push(self._cluster, _PRODUCE, len(errors), (ctypes.c_int * len(errors))(*errors))

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


class RealCluster(Cluster):
    """Apache Kafka, wherever it runs."""

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        settings = {key.replace("_", "."): value for key, value in config.items()}
        create_topic(self.client, name, partitions, settings)

    def fresh_topics(self, partitions: int, stems: Sequence[str]) -> dict[str, str]:
        """In one request: each takes a client and its connections."""
        names = {stem: _fresh(stem) for stem in stems}
        create_topics(self.client, [*names.values()], partitions)
        return names

    def delete_topic(self, name: str) -> None:
        """Return once it is gone."""
        delete(self.client, name)


def _fresh(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:12]}"


def _delivered(error: KafkaError | None, message: Message) -> None:
    if error is not None:
        raise KafkaException(error)


def _read(message: Message) -> Read:
    headers: Any = message.headers() or []
    _, timestamp_ms = message.timestamp()
    return Read(
        _number(message.partition()),
        _number(message.offset()),
        message.key(),
        message.value(),
        tuple((name, value) for name, value in headers),
        timestamp_ms,
    )


def _number(value: int | None) -> int:
    assert value is not None
    return value
