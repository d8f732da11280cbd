"""Reads records that topics still have, for commands beside the pipeline.

A lane goes on from a stored position and never waits; here a topic is read from its first record to its present end, or
at single offsets, and the caller waits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.client import KafkaFailure, consumer_config, open_consumer, reach, sentence
from connectors.kafka.cluster import Cluster
from connectors.kafka.errors import displayable, is_fatal
from connectors.kafka.lane_settings import Place

_TIMEOUT_S: Final = 15.0
_SLICE_S: Final = 0.5
_BATCH: Final = 1_000
_JUMP: Final = 2_000
"""A record further ahead than this is sought; to read those in between is cheaper than a request."""
_ENDS: Final = (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)  # noqa: SLF001
_NO_GROUP: Final = "GROUP_AUTHORIZATION_FAILED"
"""The client looks for the coordinator of its group, without which it reads all the same."""

Headers = tuple[tuple[str, Any], ...]


class Sent(NamedTuple):
    """A record as it is on its topic; `at_us`: its timestamp there, us since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    at_us: int


def read_topic(cluster: Cluster, topic: str) -> Iterator[Sent]:
    """All records of a topic, up to its end at the time of the first one; each partition in order.

    Raises:
        KafkaConfigError: librdkafka rejects the settings.
        KafkaFailure: the broker is away or refuses, or there is no such topic.
    """
    reached = reach(cluster, inputs=[topic], timeout_s=_TIMEOUT_S)
    if topic in reached.missing:
        raise KafkaFailure(
            f"{topic}: the topic must exist, and this user must be allowed to read it; it is missing or hidden (create "
            "it with `aftercall topics create`, or correct kafka.topics)"
        )
    consumer = open_consumer(consumer_config(cluster))
    try:
        bounds = {p: _bounds(consumer, (topic, p)) for p in range(reached.partitions[topic])}
        ends = {p: end for p, (first, end) in bounds.items() if end > first}
        consumer.assign([TopicPartition(topic, p, bounds[p][0]) for p in ends])
        for message in _messages(consumer, ends, topic):
            partition = message.partition()
            if partition in ends and message.error() is None and message.offset() < ends[partition]:
                yield _sent(message)
            if partition in ends and (message.error() is not None or message.offset() + 1 >= ends[partition]):
                del ends[partition]
    finally:
        consumer.close()


def read_at(cluster: Cluster, wanted: Mapping[Place, Iterable[int]]) -> Iterator[Sent]:
    """The records at these offsets, as far as the topics still have them; by partition, in order.

    Raises:
        KafkaConfigError: librdkafka rejects the settings.
        KafkaFailure: the broker is away or refuses.
    """
    if not wanted:
        return
    reached = reach(cluster, inputs=sorted({topic for topic, _ in wanted}), timeout_s=_TIMEOUT_S)
    consumer = open_consumer(consumer_config(cluster))
    try:
        places = [place for place in sorted(wanted) if place[1] < reached.partitions.get(place[0], 0)]
        bounds = {place: _bounds(consumer, place) for place in places}  # would wait behind requests for records
        for place, (first, end) in bounds.items():
            yield from _read_offsets(consumer, place, sorted({at for at in wanted[place] if first <= at < end}))
    finally:
        consumer.close()


def _bounds(consumer: Consumer, place: Place) -> tuple[int, int]:
    try:
        first, end = consumer.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT_S)
    except KafkaException as wrong:
        raise KafkaFailure(sentence(wrong.args[0], place[0])) from None
    return first, end


def _read_offsets(consumer: Consumer, place: Place, offsets: Sequence[int]) -> Iterator[Sent]:
    left = deque(offsets)
    while left:
        consumer.assign([TopicPartition(*place, left[0])])
        for message in _messages(consumer, left, place[0]):
            if message.error() is not None:
                return
            at = message.offset()
            while left and left[0] < at:
                left.popleft()  # compacted, or of a transaction that was aborted
            if left and left[0] == at:
                left.popleft()
                yield _sent(message)
            if left and left[0] > at + _JUMP:
                break


def _messages(consumer: Consumer, open_ones: Sized, topic: str) -> Iterator[Any]:
    """Messages, and the ends of partitions, as long as something is open.

    Raises:
        KafkaFailure: nothing comes for 15 s, or the broker refuses.
    """
    heard_s, last = time.monotonic(), ""
    while open_ones:
        for message in consumer.consume(_BATCH, _SLICE_S):
            error = message.error()
            if error is None or error.code() in _ENDS:
                heard_s = time.monotonic()
                yield message
            elif is_fatal(error) and error.name() != _NO_GROUP:
                raise KafkaFailure(sentence(error, topic))
            else:
                last = f", and its last error was: {displayable(error.str())}"
        if open_ones and time.monotonic() - heard_s > _TIMEOUT_S:
            raise KafkaFailure(
                f"{topic}: the broker must send what it has within {_TIMEOUT_S:g} s; it sent nothing{last} (check the "
                "broker, then give the same command again)"
            )


def _sent(message: Any) -> Sent:
    return Sent(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
        max(message.timestamp()[1], 0) * 1000,
    )
