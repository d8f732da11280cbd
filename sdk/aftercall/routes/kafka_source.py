"""Reads recommendations from the compacted topic: all partitions, from the beginning, without a group.

librdkafka demands a name of a group, but no group is joined and no position stored, so that any number of processes
read the whole topic each, and need the right to read it and no other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aftercall.routes.recommendations import read
from aftercall.routes.table import Table

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

TOPIC: Final = "agent.recommendations"
_DEFAULTS: Final = {"client.id": "aftercall-routes", "log_level": 2, "reconnect.backoff.max.ms": 2_000}
_OWN: Final = {
    "group.id": "aftercall-routes",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
}
_AT_ONCE: Final = 500
_CONTACT_S: Final = 5.0
_PARTITIONS_S: Final = 30.0
"""How often partitions that were added are looked for."""
_SOON_S: Final = 1.0


class KafkaSource:
    """The topic of recommendations. A newer one is in the table as soon as the broker hands it over.

    Args:
        brokers: `host:port`, several with commas.
        topic: as `kafka.topics.recommendations` of the pipeline says.
        settings: any of librdkafka, such as those of TLS and SASL.
    """

    def __init__(self, brokers: str, topic: str = TOPIC, settings: Mapping[str, Any] | None = None) -> None:
        self._topic = topic
        self._settings = {**_DEFAULTS, "bootstrap.servers": brokers, **(settings or {}), **_OWN}

    def open(self) -> KafkaReader:
        """A consumer that has no partitions yet.

        Raises:
            ImportError: the extra `kafka` is not installed.
            confluent_kafka.KafkaException: librdkafka rejects a setting.
        """
        return KafkaReader(self._topic, self._settings)


class KafkaReader:
    """Reads the topic; each partition from its beginning, once, and then as it grows."""

    def __init__(self, topic: str, settings: Mapping[str, Any]) -> None:
        from confluent_kafka import Consumer

        self._topic = topic
        self._trouble: str | None = None
        self._consumer = Consumer({**settings, "error_cb": self._note})
        self._partitions: set[int] = set()
        self._unread: set[int] = set()
        self._look_at = 0.0

    def poll(self, table: Table, timeout_s: float) -> str | None:
        """As `Reader` says; a broker that is away is something wrong."""
        if time.monotonic() >= self._look_at:
            self._look_for_partitions()
        if not self._partitions:
            time.sleep(timeout_s)
            return self._trouble
        first = self._consumer.poll(timeout_s)
        if first is not None:
            for message in (first, *self._consumer.consume(_AT_ONCE, 0)):
                self._take(message, table)
            if not self._unread:
                table.complete_now()
        return self._trouble

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _look_for_partitions(self) -> None:
        from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

        self._look_at = time.monotonic() + (_PARTITIONS_S if self._partitions else _SOON_S)
        try:
            found = self._consumer.list_topics(self._topic, timeout=_CONTACT_S).topics[self._topic]
        except KafkaException as wrong:
            self._note(wrong.args[0])
            return
        self._trouble = None if found.partitions else f"topic {self._topic}: {found.error or 'has no partitions'}"
        new = set(found.partitions) - self._partitions
        if new:
            self._consumer.incremental_assign([TopicPartition(self._topic, one, OFFSET_BEGINNING) for one in new])
            self._partitions |= new
            self._unread |= new
            self._look_at = time.monotonic() + _PARTITIONS_S

    def _take(self, message: Message, table: Table) -> None:
        error = message.error()
        if error is not None:
            if error.name() == "_PARTITION_EOF":
                self._unread.discard(message.partition())
            else:
                self._note(error)
            return
        key, value = message.key(), message.value()
        if value is None:
            table.remove((key or b"").decode(errors="replace"))
            return
        with suppress(ValueError, RecursionError):  # no recommendation: what the table has stands
            table.put(read(value))

    def _note(self, error: KafkaError) -> None:
        self._trouble = f"topic {self._topic}: {error.str()}"
