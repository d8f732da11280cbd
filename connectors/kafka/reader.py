"""Reads partitions with one consumer, each added at its own position."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, TopicPartition

from aftercall.times import NEVER
from connectors.background import beside
from connectors.batch import Bools
from connectors.kafka.client import KafkaFailure, is_fatal, open_consumer, sentence
from connectors.kafka.cluster import ClientConfig
from connectors.kafka.envelopes import key_text, payload, redriven_of
from connectors.kafka.lane_settings import Place
from connectors.kafka.metadata import Bounds, Metadata
from connectors.kafka.position import UNKNOWN_EPOCH, UNKNOWN_ID, Position
from connectors.metrics import METRICS
from connectors.pauses import PAUSES

_TIMEOUT_S: Final = 10.0
_LOST: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)  # noqa: SLF001
_UNKNOWN: Final = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION")
_CLOSE_S: Final = 1.5
_log = logging.getLogger("aftercall.kafka")
_slow_to_close = False
"""Whether closing the last consumer took longer than `_CLOSE_S`: if so, the next is not waited for."""


class Read(NamedTuple):
    """Records as they were read, in order; tombstones are left out.

    Attributes:
        partition: of each record, its index in `KafkaReader.places`.
        offset: of each record.
        payload: the JSON of each record.
        messages: the client's message of each record.
        moved: indices of the partitions from which messages were read.
        ends: index and offset of each end of a partition that was reached, in order.
        full: the client may have fetched more.
        appended_us: when the broker appended the newest record, us; `NEVER` where the topics have producers' times.
    """

    partition: list[int]
    offset: list[int]
    payload: list[bytes]
    messages: list[Any]
    moved: list[int]
    ends: list[tuple[int, int]]
    full: bool
    appended_us: int = NEVER

    def key(self, record: int) -> str | None:
        """The key of a record."""
        return key_text(self.messages[record].key())

    def redriven_of(self, record: int) -> str | None:
        """Of a record that was sent again, the `event_id` of its dead letter."""
        return redriven_of(self.messages[record].headers())


NOTHING_READ: Final = Read([], [], [], [], [], [], full=False)


class Wait(NamedTuple):
    """What is not read now: why (a name in `CAUSES`), which partitions, and how a sentence about one goes on."""

    cause: str
    places: Bools
    sentence: str


class KafkaReader:
    """Reads records, and detects lost ones."""

    def __init__(self, config: ClientConfig, *, accept_data_loss: bool) -> None:
        """Prepare to read; the consumer is created with the first partition.

        Args:
            config: of the consumer.
            accept_data_loss: where records are lost, resume at the first one left instead of raising.
        """
        self._config = config
        self._accept_data_loss = accept_data_loss
        self._consumer: Consumer | None = None
        self._index: dict[Place, int] = {}
        self._partition_counts: dict[str, int] = {}
        """Number of partitions of each topic in the client's metadata."""
        self._paused: list[bool] = []
        self._waits: set[tuple[str, Place]] = set()
        self._failure: KafkaError | None = None
        self.places: list[Place] = []
        self.positions: list[int] = []
        """Per partition, the offset after the last record read."""
        self._topic_ids: list[str] = []
        self._leader_epochs: list[int] = []
        self._before: dict[Place, Position] = {}
        """Where the last `read` began."""

    def adopt(self, positions: Mapping[Place, Position | None], metadata: Metadata) -> None:
        """Read partitions from their positions on, or from their beginnings.

        Args:
            positions: of partitions that are in `metadata`; None for the beginning.
            metadata: what the broker reported last.

        Raises:
            KafkaFailure: a position has expired, lies behind the partition's end, or is of another topic of that name.
            KafkaException: the broker did not answer within 10 s; retry.
        """
        if not positions:
            return
        if self._consumer is None:
            self._consumer = open_consumer(self._config, error_cb=self._on_error)
        self._discover(metadata)
        starts = {place: self._start(place, position, metadata) for place, position in positions.items()}
        self._consumer.incremental_assign([_assigned(place, start) for place, start in starts.items()])
        for place, start in starts.items():
            self._index[place] = len(self.places)
            self.places.append(place)
            self.positions.append(start.offset)
            self._topic_ids.append(start.topic_id)
            self._leader_epochs.append(start.leader_epoch)
            self._paused.append(False)

    def check_topics(self, metadata: Metadata) -> None:
        """Check that the topics are still those that were read.

        Raises:
            KafkaFailure: one was deleted and created again.
        """
        for i, place in enumerate(self.places):
            found = metadata.topic_ids.get(place[0], UNKNOWN_ID)
            if UNKNOWN_ID not in {found, self._topic_ids[i]} and found != self._topic_ids[i]:
                if place not in metadata.bounds:
                    raise KafkaFailure(
                        f"{place[0]}: that topic was deleted, and another one of its name was created, without "
                        f"partition {place[1]} (start with --accept-data-loss to read what there is now)"
                    )
                self._move(i, self._start(place, self.state()[place], metadata))
            elif found != UNKNOWN_ID:
                self._topic_ids[i] = found

    def state(self) -> dict[Place, Position]:
        """The position of each partition."""
        positions = map(Position, self.positions, self._topic_ids, self._leader_epochs)
        return dict(zip(self.places, positions, strict=True))

    def read(self, limit: int) -> Read:
        """Read what the client has fetched, up to `limit` messages, without waiting.

        Raises:
            KafkaFailure: an error that will not pass by itself, or a position that has expired meanwhile.
        """
        if self._consumer is None:
            return NOTHING_READ
        result, self._before = Read([], [], [], [], [], [], full=False), self.state()
        messages: list[Any] = self._consumer.consume(limit, 0)
        if self._failure is not None:
            raise KafkaFailure(sentence(self._failure))
        moved: dict[int, Any] = {}
        for message in messages:
            if message.error() is not None:
                self._event(message, result.ends)
                continue
            i = self._index[message.topic(), message.partition()]
            offset = message.offset()
            self.positions[i] = offset + 1
            moved[i] = message
            value = message.value()
            if value is None:
                continue
            result.partition.append(i)
            result.offset.append(offset)
            result.payload.append(payload(value, message.headers()))
            result.messages.append(message)
        result.moved.extend(sorted(moved))
        for i, message in moved.items():
            epoch = message.leader_epoch()
            self._leader_epochs[i] = UNKNOWN_EPOCH if epoch is None else epoch
        ends = [(i, end) for i, end in result.ends if end >= self.positions[i]]
        for i, end in ends:
            # The markers of transactions hold no record: they count as read.
            self.positions[i] = end
        appended_us = max(map(_appended_us, moved.values()), default=NEVER)
        return result._replace(ends=ends, full=len(messages) >= limit, appended_us=appended_us)

    def put_back(self) -> None:
        """Take the last `read` back: its records are read again by the next one."""
        for i, place in enumerate(self.places):
            before = self._before.get(place)
            if before is not None and before.offset != self.positions[i]:
                self._move(i, before)

    def set_paused(self, waits: Sequence[Wait]) -> None:
        """Pause the partitions that wait for anything, resume the others, and report which wait for what."""
        if self._consumer is None:
            return
        paused = np.logical_or.reduce([wait.places for wait in waits]).tolist()
        changed = [
            (place, now) for place, now, before in zip(self.places, paused, self._paused, strict=True) if now != before
        ]
        if changed:
            self._consumer.pause([TopicPartition(*place) for place, now in changed if now])
            self._consumer.resume([TopicPartition(*place) for place, now in changed if not now])
            self._paused = paused
            for place, now in changed:
                METRICS.paused(*place, paused=now)
        waiting = {(wait.cause, self.places[i]): wait for wait in waits for i in wait.places.nonzero()[0].tolist()}
        for cause, place in self._waits - waiting.keys():
            PAUSES.end(cause, _name(place))
        for cause, place in waiting.keys() - self._waits:
            PAUSES.begin(cause, _name(place), f"{_name(place)} {waiting[cause, place].sentence}")
        self._waits = set(waiting)

    def commit(self, positions: Mapping[Place, int]) -> None:
        """Commit positions to the group, for lag tools; a failure is logged and ignored."""
        if self._consumer is None or not positions:
            return
        try:
            offsets = [TopicPartition(*place, position) for place, position in positions.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as wrong:
            _log.debug("offsets were not committed: %s", wrong)

    def close(self) -> None:
        """Close the consumer. Waits at most 1.5 s: while the broker is away, closing lasts until it is back."""
        global _slow_to_close  # noqa: PLW0603 - consumers are closed one after the other, at the end of the process
        if self._consumer is not None:
            _slow_to_close = not beside(self._consumer.close).wait(0 if _slow_to_close else _CLOSE_S)
            self._consumer = None
        for place in self.places:
            self._end_waits(place)

    def _discover(self, metadata: Metadata) -> None:
        """Make the client look for new partitions of topics that it reads already: it does not do so by itself."""
        assert self._consumer is not None  # noqa: S101 - `adopt` has opened it
        for topic, count in metadata.partitions.items():
            if topic in self._partition_counts and count > self._partition_counts[topic]:
                count = len(self._consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions)  # noqa: PLW2901
            self._partition_counts[topic] = count

    def _start(self, place: Place, position: Position | None, metadata: Metadata) -> Position:
        """Where to begin to read: at a position, if the broker still has what comes after it."""
        bounds, found = metadata.bounds[place], metadata.topic_ids.get(place[0], UNKNOWN_ID)
        beginning = Position(bounds.first, found)
        if position is None:
            return beginning
        if UNKNOWN_ID not in {found, position.topic_id} and found != position.topic_id:
            what = "that topic was deleted, and another one of its name was created"
            return self._from_the_beginning(place, position, what, beginning)
        if lost := _lost(position.offset, bounds):
            return self._from_the_beginning(place, position, lost, beginning)
        return position._replace(topic_id=found or position.topic_id)

    def _from_the_beginning(self, place: Place, position: Position, lost: str, beginning: Position) -> Position:
        """The beginning, with --accept-data-loss.

        Raises:
            KafkaFailure: without it.
        """
        lost = f"{place[0]}/{place[1]}: the pipeline must resume at offset {position.offset}, but {lost}"
        if not self._accept_data_loss:
            raise KafkaFailure(f"{lost} (start with --accept-data-loss to resume at offset {beginning.offset})")
        _log.warning("%s; resuming at offset %d because of --accept-data-loss", lost, beginning.offset)
        return beginning

    def _event(self, message: Any, ends: list[tuple[int, int]]) -> None:
        """Handle a message that holds no record: the end of a partition, or an error."""
        error = message.error()
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            ends.append((self._index[message.topic(), message.partition()], message.offset()))
        elif error.code() in _LOST:
            self._relocate((message.topic(), message.partition()))
        else:
            self._on_error(error)
            if self._failure is not None:
                raise KafkaFailure(sentence(self._failure))

    def _relocate(self, place: Place) -> None:
        """Move to the first record left, or raise: the broker no longer has the next record."""
        assert self._consumer is not None  # noqa: S101 - it gave the message
        try:
            first, end = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT_S)
        except KafkaException as wrong:
            raise KafkaFailure(
                f"{place[0]}/{place[1]}: the position to resume at is gone, and the broker does not report "
                f"what is left ({wrong}); check the broker, then give the same command again"
            ) from None
        i, position = self._index[place], self.state()[place]
        lost = _lost(position.offset, Bounds(first, end, end)) or (
            "the record before it was replaced by another one: after an unclean election records were lost, and "
            "others have their offsets"
        )
        self._move(i, self._from_the_beginning(place, position, lost, Position(first, position.topic_id)))

    def _move(self, i: int, to: Position) -> None:
        assert self._consumer is not None  # noqa: S101 - it reads the partition
        self._consumer.incremental_unassign([TopicPartition(*self.places[i])])
        self._consumer.incremental_assign([_assigned(self.places[i], to)])
        self.positions[i], self._topic_ids[i], self._leader_epochs[i] = to
        self._paused[i] = False
        self._end_waits(self.places[i])

    def _end_waits(self, place: Place) -> None:
        ended = {wait for wait in self._waits if wait[1] == place}
        self._waits -= ended
        if ended:
            METRICS.paused(*place, paused=False)
        for cause, _ in ended:
            PAUSES.end(cause, _name(place))

    def _on_error(self, error: KafkaError) -> None:
        """Called by the client too, from within `consume`, where an exception would be lost."""
        # A broker that has just started may not list its topics yet; the metadata poller reports topics that are gone.
        if is_fatal(error) and error.name() not in _UNKNOWN:
            self._failure = error
        else:
            METRICS.broker_error(error.name())


def _name(place: Place) -> str:
    return f"{place[0]}/{place[1]}"


def _assigned(place: Place, start: Position) -> TopicPartition:
    """With the leader epoch the client asks the broker whether the record before the offset is still the same."""
    if start.leader_epoch == UNKNOWN_EPOCH:
        return TopicPartition(*place, start.offset)
    return TopicPartition(*place, start.offset, leader_epoch=start.leader_epoch)


def _appended_us(message: Any) -> int:
    """The broker's time of a record, us; `NEVER` where it has the producer's."""
    kind, at_ms = message.timestamp()
    return at_ms * 1000 if kind == TIMESTAMP_LOG_APPEND_TIME else NEVER


def _lost(offset: int, bounds: Bounds) -> str:
    """What is lost for a reader that was at this offset; empty if nothing is."""
    if offset < bounds.first:
        return f"the partition now begins at {bounds.first}: {bounds.first - offset} offsets have expired unread"
    if offset > bounds.high:
        return (
            f"the partition ends at {bounds.high}: the topic was deleted and created again, or the broker has lost "
            "records"
        )
    return ""
