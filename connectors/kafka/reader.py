"""One consumer over partitions that are given to it one by one, each at its own position."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import Thread
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.batch import Bools
from connectors.kafka.client import KafkaFailure, is_fatal, open_consumer, sentence
from connectors.kafka.cluster import ClientConfig
from connectors.kafka.envelopes import key_text, payload
from connectors.kafka.lane_settings import Place
from connectors.metrics import METRICS

_TIMEOUT_S: Final = 10.0
_LOST: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)  # noqa: SLF001
_UNKNOWN: Final = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION")
_CLOSE_S: Final = 1.5
_log = logging.getLogger("aftercall.kafka")
_slow_to_close = False
"""Whether the last consumer that was closed took too long: then the next is not waited for at all."""


class Read(NamedTuple):
    """Records as they were read, in order; tombstones are left out.

    Attributes:
        partition: of each record, its index in `KafkaReader.places`.
        offset: of each record.
        payload: the JSON of each record.
        messages: the messages themselves.
        moved: indices of partitions of which anything was read.
        ends: partitions that were found to end, and at which offset, in order.
        full: there may be more.
    """

    partition: list[int]
    offset: list[int]
    payload: list[bytes]
    messages: list[Any]
    moved: list[int]
    ends: list[tuple[int, int]]
    full: bool

    def key(self, record: int) -> str | None:
        """The key of a record."""
        return key_text(self.messages[record].key())


class KafkaReader:
    """Reads records, and notices what is lost."""

    def __init__(self, config: ClientConfig, *, accept_data_loss: bool) -> None:
        """Prepare to read; there is no consumer before there is a partition.

        Args:
            config: of the consumer.
            accept_data_loss: go on where a position has expired, at the first record that is left.
        """
        self._config = config
        self._accept_data_loss = accept_data_loss
        self._consumer: Consumer | None = None
        self._index: dict[Place, int] = {}
        self._known: dict[str, int] = {}
        """Partitions of each topic that the client has heard of."""
        self._paused: list[bool] = []
        self._failure: KafkaError | None = None
        self.places: list[Place] = []
        self.positions: list[int] = []
        """Per partition, the offset after the last record read."""

    def adopt(self, place: Place, position: int | None) -> None:
        """Read a partition from `position` on, or from its beginning. Asks the broker; at most 10 s.

        Raises:
            KafkaFailure: the position has expired, or lies behind the partition's end.
            KafkaException: the broker did not answer; try again.
        """
        if self._consumer is None:
            self._consumer = open_consumer(self._config, error_cb=self._trouble)
        if place[1] >= self._known.get(place[0], 0):
            # A client does not hear of new partitions by itself.
            found = self._consumer.list_topics(place[0], timeout=_TIMEOUT_S).topics[place[0]]
            self._known[place[0]] = len(found.partitions)
        first, end = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT_S)
        start = first if position is None else self._checked(place, position, first, end)
        self._consumer.incremental_assign([TopicPartition(*place, start)])
        self._index[place] = len(self.places)
        self.places.append(place)
        self.positions.append(start)
        self._paused.append(False)

    def read(self, limit: int) -> Read:
        """What the client has fetched, up to `limit` messages; does not wait.

        Raises:
            KafkaFailure: an error that will not pass by itself, or a position that has expired meanwhile.
        """
        found = Read([], [], [], [], [], [], full=False)
        if self._consumer is None:
            return found
        messages: list[Any] = self._consumer.consume(limit, 0)
        if self._failure is not None:
            raise KafkaFailure(sentence(self._failure))
        moved = set()
        for message in messages:
            if message.error() is not None:
                self._event(message, found.ends)
                continue
            i = self._index[message.topic(), message.partition()]
            offset = message.offset()
            self.positions[i] = offset + 1
            moved.add(i)
            value = message.value()
            if value is None:
                continue
            found.partition.append(i)
            found.offset.append(offset)
            found.payload.append(payload(value, message.headers()))
            found.messages.append(message)
        found.moved.extend(sorted(moved))
        ends = [(i, end) for i, end in found.ends if end >= self.positions[i]]
        for i, end in ends:
            # Transactions leave markers that are read over: they count as read.
            self.positions[i] = end
        return found._replace(ends=ends, full=len(messages) >= limit)

    def hold(self, ahead: Bools) -> None:
        """Pause the partitions that are too far ahead, and let the others go on."""
        changed = [
            (place, bool(now)) for place, now, was in zip(self.places, ahead, self._paused, strict=True) if now != was
        ]
        if self._consumer is not None and changed:
            self._consumer.pause([TopicPartition(*place) for place, now in changed if now])
            self._consumer.resume([TopicPartition(*place) for place, now in changed if not now])
            self._paused = ahead.tolist()
            for place, now in changed:
                METRICS.paused(*place, paused=now)

    def commit(self, positions: Mapping[Place, int]) -> None:
        """Tell the broker how far we are, for its lag tools; whether it hears that is of no matter."""
        if self._consumer is None or not positions:
            return
        try:
            offsets = [TopicPartition(*place, position) for place, position in positions.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as wrong:
            _log.debug("offsets were not committed: %s", wrong)

    def close(self) -> None:
        """End the consumer; where the broker is away, that would last until it is back, and is not waited for."""
        global _slow_to_close  # noqa: PLW0603 - consumers are closed one after the other, at the end of the process
        if self._consumer is not None:
            closing = Thread(target=self._consumer.close, name="aftercall-close", daemon=True)
            closing.start()
            closing.join(0 if _slow_to_close else _CLOSE_S)
            _slow_to_close = closing.is_alive()
            self._consumer = None

    def _checked(self, place: Place, position: int, first: int, end: int) -> int:
        if first <= position <= end:
            return position
        name = f"{place[0]}/{place[1]}"
        if position < first:
            lost = (
                f"{name}: the pipeline was to read on at offset {position}, but the partition begins at {first} now: "
                f"{first - position} offsets have expired unread"
            )
        else:
            lost = (
                f"{name}: the pipeline was to read on at offset {position}, but the partition ends at {end}: "
                "the topic was deleted and made anew, or the broker has lost records"
            )
        if not self._accept_data_loss:
            raise KafkaFailure(f"{lost} (start with --accept-data-loss to go on at offset {first})")
        _log.warning("%s; going on at offset %d, as --accept-data-loss says", lost, first)
        return first

    def _event(self, message: Any, ends: list[tuple[int, int]]) -> None:
        """A message that is none: the end of a partition, or an error."""
        error = message.error()
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            ends.append((self._index[message.topic(), message.partition()], message.offset()))
        elif error.code() in _LOST:
            self._relocate((message.topic(), message.partition()))
        else:
            self._trouble(error)
            if self._failure is not None:
                raise KafkaFailure(sentence(self._failure))

    def _relocate(self, place: Place) -> None:
        """The broker no longer has what was to be read next."""
        assert self._consumer is not None  # noqa: S101 - it gave the message
        try:
            first, end = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT_S)
        except KafkaException as wrong:
            raise KafkaFailure(
                f"{place[0]}/{place[1]}: the position to read on at is gone, and the broker does not say "
                f"what is left ({wrong}); check the broker, then give the same command again"
            ) from None
        i = self._index[place]
        self.positions[i] = self._checked(place, self.positions[i], first, end)
        self._consumer.incremental_unassign([TopicPartition(*place)])
        self._consumer.incremental_assign([TopicPartition(*place, self.positions[i])])
        self._paused[i] = False

    def _trouble(self, error: KafkaError) -> None:
        """Called by the client too, from within `consume`, where an exception would be lost."""
        # A broker that has just started may not know its topics yet; that one is gone, the lane hears from the watch.
        if is_fatal(error) and error.name() not in _UNKNOWN:
            self._failure = error
        else:
            METRICS.broker_error(error.name())
