"""Reads the newest record of a claim."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from connectors.background import beside
from connectors.kafka.claim import Claim
from connectors.kafka.client import open_consumer
from connectors.kafka.cluster import ClientConfig

_ASK_S: Final = 5.0
_READ_S: Final = 60.0
_SLICE_S: Final = 0.25
_log = logging.getLogger("aftercall.kafka")
_OWN: Final = {"isolation.level": "read_uncommitted", "fetch.wait.max.ms": 100, "auto.offset.reset": "error"}
"""Records of transactions that were aborted count too: what was written shows that its writer was there. So no open
transaction of another claim can hide the newest record."""


class ClaimLog:
    """The records of one key in the topic of claims, read from its beginning."""

    def __init__(self, config: ClientConfig, topic: str, key: str) -> None:
        """`config`: of a consumer."""
        self._config, self._topic, self._key = ClientConfig(config | _OWN), topic, key.encode()
        self._consumer: Consumer | None = None
        self._reached: dict[int, int] = {}
        self._newest: Claim | None = None
        self.at: tuple[int, int] | None = None
        """Partition and offset of the newest record of the key."""
        self.written_s = 0.0
        """When the broker appended that, or its producer wrote it: seconds since 1970."""

    def newest(self) -> Claim | None:
        """Read to the end of the topic; the newest record of the key, None without one.

        Raises:
            KafkaException: the broker does not answer in time, or refuses. The next call reads from the beginning.
        """
        try:
            return self._read()
        except KafkaException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the consumer; the next call of `newest` reads from the beginning. Returns at once.

        While the broker is away, closing a consumer lasts until it is back.
        """
        if self._consumer is not None:
            beside(self._consumer.close)
            self._consumer = None

    def _read(self) -> Claim | None:
        consumer = self._consumer or self._opened()
        ends = {}
        for partition in self._reached:
            _, ends[partition] = consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), timeout=_ASK_S, cached=False
            )
        deadline = time.monotonic() + _READ_S
        while any(self._reached[partition] < end for partition, end in ends.items()):
            for message in consumer.consume(1_000, _SLICE_S):
                self._take(message)
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        return self._newest

    def _opened(self) -> Consumer:
        consumer = open_consumer(self._config)
        self._consumer = consumer
        topic = consumer.list_topics(self._topic, timeout=_ASK_S).topics[self._topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        self._reached, self._newest, self.at = dict.fromkeys(topic.partitions, 0), None, None
        consumer.assign([TopicPartition(self._topic, partition, OFFSET_BEGINNING) for partition in topic.partitions])
        return consumer

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise KafkaException(error)
            self._reached[message.partition()] = message.offset()
            return
        self._reached[message.partition()] = message.offset() + 1
        if message.key() != self._key or message.value() is None:
            return
        self.at, self.written_s = (message.partition(), message.offset()), message.timestamp()[1] / 1000
        try:
            self._newest = Claim.from_json(message.value())
        except ValueError as wrong:
            _log.warning("%s: a record of this claim cannot be read and is left out; it %s", self._topic, wrong)
