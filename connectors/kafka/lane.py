"""Reads part of the partitions of the calls and outcomes topics with one consumer.

Such a part is a lane. Its positions are part of its state, so that they roll back together with everything derived from
the records; the offsets committed to the group are for lag tools alone. A lane never waits: it reads only what the
client has already fetched.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from bytewax.inputs import StatefulSourcePartition
from confluent_kafka import KafkaException
from typing_extensions import override

from aftercall.times import NEVER
from connectors.batch import ENDED, Batch, Bools
from connectors.decode.decoder import CALL, MARK, OUTCOME, Decoder
from connectors.kafka.client import KafkaConfigError, KafkaFailure
from connectors.kafka.lane_settings import LaneCallbacks, LaneSettings, Place
from connectors.kafka.metadata import Metadata, MetadataPoller
from connectors.kafka.partition_clocks import PartitionClocks
from connectors.kafka.position import Position
from connectors.kafka.progress_board import ProgressBoard
from connectors.kafka.quiet_calls import QuietCalls
from connectors.kafka.reader import NOTHING_READ, KafkaReader, Read, Wait
from connectors.metrics import METRICS
from connectors.pauses import PAUSES

_LEAST_WAIT_S: Final = 0.02
_MOST_WAIT_S: Final = 1.0
_NOTHING_WAIT_S: Final = 0.1
_HEARTBEAT_S: Final = 5.0
"""Seconds between heartbeats: Bytewax stores a sink's state, and a sink publishes, only in epochs that reach it."""
_MISSING_S: Final = 30.0
"""Seconds that a topic may be missing: a broker that is starting may not list its topics yet."""
_NO_ROOM: Final = (
    "is not read: as many outcomes as may (join.max_waiting) wait for calls that are still to be read (see whether the "
    "producers of calls are running; they are waited for up to join.orphan_wait)"
)
_log = logging.getLogger("aftercall.kafka")
_REST_FACTOR: Final = 9
"""After a batch that was not full, the lane rests this many times its CPU time: small batches cost more per record."""

KafkaLaneState = dict[str, Any]


class KafkaLane(StatefulSourcePartition[Batch, KafkaLaneState]):
    """Reads each partition p for which p modulo the number of lanes is the lane's number."""

    def __init__(
        self,
        settings: LaneSettings,
        lane: int,
        decoder: Decoder,
        poller: MetadataPoller,
        callbacks: LaneCallbacks,
        resume_state: KafkaLaneState | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to read; `next_batch` sends the first request to the broker.

        Raises:
            KafkaConfigError: the state is of another number of lanes.
        """
        self._settings, self._lane, self._decoder = settings, lane, decoder
        self._name = f"lane{lane:02d}"
        callbacks.built(self._name)
        self._poller, self._callbacks, self._monotonic = poller, callbacks, monotonic
        self._board = ProgressBoard(settings.board, settings.lanes)
        self._reader = KafkaReader(settings.consumer, accept_data_loss=settings.accept_data_loss)
        self._clocks = PartitionClocks(settings.idle_after_s)
        self._names: list[str] = []
        self._kind = np.zeros(0, np.uint8)
        self._kinds = dict(zip((*settings.topics, settings.marks), (CALL, OUTCOME, MARK), strict=True))
        lead = timedelta(microseconds=settings.max_lead_us)
        self._too_far = f"is more than {lead} ahead of the slowest partition (join.max_lead); it waits for that one"
        self._quiet = QuietCalls(settings.orphan_wait_s)
        self._kept = _restored(settings.lanes, resume_state)
        """Positions and clocks of partitions that have not been adopted yet."""
        self._metadata: Metadata | None = None
        self._missing_since_s: dict[str, float] = {}
        self._stored: dict[Place, Position] = {}
        self._emitted: tuple[Any, ...] | None = None
        """The clocks of the last batch."""
        self._emitted_s = monotonic()
        self._ended: Bools = np.zeros(0, np.bool_)
        self._caught_up = False
        self._wake: datetime | None = None
        self._cpu_s = time.thread_time()

    @override
    def next_batch(self) -> list[Batch]:
        """The records that the client has fetched, up to a full batch. Without any, called about ten times a second."""
        if self._callbacks.stopping():
            raise StopIteration
        self._callbacks.beat()
        now = self._monotonic()
        if not self._apply_metadata():
            self._set_wake(_NOTHING_WAIT_S)
            return []
        self._callbacks.polled(self._name)
        read, batch = self._read()
        needed = self._callbacks.needed()
        batch = self._batch(read, batch, now, needed)
        self._report_ends()
        self._board.publish(self._lane, self._clocks.slowest(), self._clocks.high())
        self._reader.set_paused(
            [
                Wait("ahead", self._too_far_ahead(needed), self._too_far),
                Wait("waiting_outcomes", (self._kind == OUTCOME) & (needed is not None), _NO_ROOM),
            ]
        )
        self._set_wake(0.0 if read.full else _LEAST_WAIT_S if read.moved else _NOTHING_WAIT_S)
        clock = (batch.low, batch.high, batch.idle, batch.calls_low, batch.calls_high, batch.ended)
        batch.erase = self._callbacks.erasures() if self._lane == 0 else ()
        batch.news = bool(batch.marks or batch.erase) or clock != self._emitted
        if not batch.news and now - self._emitted_s < _HEARTBEAT_S:
            return []
        self._emitted, self._emitted_s = clock, now
        return [batch]

    @override
    def next_awake(self) -> datetime | None:
        """When Bytewax is to call `next_batch` again."""
        return self._wake

    @override
    def snapshot(self) -> KafkaLaneState:
        """Positions and clocks to resume at. Also commits the last epoch's positions to the group, for lag tools."""
        self._reader.commit({place: position.offset for place, position in self._stored.items()})
        self._stored = self._reader.state()
        clocks = dict(zip(self._stored, self._clocks.clock.tolist(), strict=True))
        partitions = self._kept | {place: (position, clocks[place]) for place, position in self._stored.items()}
        return {
            "lanes": self._settings.lanes,
            "partitions": {place: (*position, clock) for place, (position, clock) in partitions.items()},
        }

    @override
    def close(self) -> None:
        """Close the consumer at the end of the dataflow; not called after a crash."""
        self._board.publish(self._lane, None, NEVER)
        self._reader.close()

    def _apply_metadata(self) -> bool:
        """Adopt new partitions, and confirm ends; False until the broker has answered for the first time."""
        metadata = self._poller.latest
        if metadata is None:
            return False
        if metadata is not self._metadata:
            if not self._adopt_all(metadata):
                return self._metadata is not None
            self._reader.check_topics(metadata)
            partitions = dict[Place, tuple[int, int]]()
            for i, place in enumerate(self._reader.places):
                if (bounds := metadata.bounds.get(place)) is not None:
                    self._clocks.confirm(i, bounds.stable, metadata.at_s, metadata.read_to_us, is_open=bounds.is_open)
                    position = self._reader.positions[i]
                    partitions[place] = position, max(0, bounds.high - position)
                    METRICS.lag(*place, partitions[place][1])
            self._callbacks.partitions(self._name, partitions)
            self._metadata = metadata
        return True

    def _adopt_all(self, metadata: Metadata) -> bool:
        """Adopt all new partitions of the lane; False if a request failed, so that the next poll retries."""
        for topic in self._settings.topics:
            if topic in metadata.partitions:
                self._missing_since_s.pop(topic, None)
                PAUSES.end("topic_missing", topic)
                continue
            if metadata.at_s - self._missing_since_s.setdefault(topic, metadata.at_s) > _MISSING_S:
                raise KafkaFailure(f"{topic}: must exist; it is gone (make it with `aftercall topics create`)")
            PAUSES.begin("topic_missing", topic, f"the broker does not list {topic}; waiting {_MISSING_S:.0f} s for it")
        places = [
            (topic, partition)
            for topic in self._kinds
            if topic is not None
            for partition in range(metadata.partitions.get(topic, 0))
            if partition % self._settings.lanes == self._lane
        ]
        for place in [*self._kept]:
            if place not in places and place[0] in metadata.partitions:
                self._miss(place, metadata.partitions[place[0]])
        if self._metadata is None and self._missing_since_s:
            # The clocks of partitions that are not read would not hold the watermark back.
            return False
        new = [place for place in places if place not in self._reader.places]
        kept = {place: self._kept.get(place, (None, NEVER)) for place in new}
        try:
            self._reader.adopt({place: position for place, (position, _) in kept.items()}, metadata)
        except KafkaException as wrong:
            METRICS.broker_error(wrong.args[0].name())
            return False
        for place, (_, clock) in kept.items():
            self._kept.pop(place, None)
            kind = self._kinds[place[0]]
            self._clocks.add(clock, timed=kind != MARK)
            self._names.append(f"{place[0]}/{place[1]}")
            self._kind = np.append(self._kind, np.uint8(kind))
        return True

    def _miss(self, place: Place, partitions: int) -> None:
        """Forget a partition that there is no more, with --accept-data-loss.

        Raises:
            KafkaFailure: without it.
        """
        lost = (
            f"{place[0]}: must still have partition {place[1]}, which was read up to offset "
            f"{self._kept[place][0].offset}; it has {partitions} partitions: it was deleted and created again"
        )
        if not self._settings.accept_data_loss:
            raise KafkaFailure(f"{lost} (start with --accept-data-loss to read what there is now)")
        _log.warning("%s; going on without it because of --accept-data-loss", lost)
        del self._kept[place]

    def _read(self) -> tuple[Read, Batch]:
        """What the client has fetched, and the same decoded; nothing while this host's clock is too far behind.

        That may show only after the read, or while records are decoded: then they are put back, to be read again.
        """
        if self._callbacks.holding():
            return NOTHING_READ, self._decoded(NOTHING_READ)
        read = self._reader.read(self._settings.batch_size)
        early = read.appended_us != NEVER and self._callbacks.too_early(read.appended_us)
        batch = self._decoded(NOTHING_READ if early else read)
        if early or (any(refused.reason == "future" for refused in batch.refused) and self._callbacks.holding()):
            self._reader.put_back()
            return NOTHING_READ, self._decoded(NOTHING_READ)
        return read, batch

    def _decoded(self, read: Read) -> Batch:
        partition = np.array(read.partition, np.int32)
        offset = np.array(read.offset, np.int64)
        return self._decoder.decode(read.payload, self._kind[partition], partition, offset, self._names)

    def _batch(self, read: Read, batch: Batch, now: float, needed: int | None) -> Batch:
        """What goes on into the dataflow of a read: its records with their watermarks, and the lane's clocks."""
        partition = np.array(read.partition, np.int32)
        if batch.refused:
            record = {place: i for i, place in enumerate(zip(read.partition, read.offset, strict=True))}
            rows = [record[refused.partition, refused.offset] for refused in batch.refused]
            batch.refused = [
                refused._replace(key=read.key(i), redriven_of=read.redriven_of(i))
                for i, refused in zip(rows, batch.refused, strict=True)
            ]
        if batch.records:
            for name, kind in (("call", CALL), ("outcome", OUTCOME), ("mark", MARK)):
                METRICS.records(name, int(np.count_nonzero(self._kind[partition] == kind)))
            batch.met(self._clocks.read(partition, batch.times()))
        for i, end in read.ends:
            self._clocks.reached_end(i, end, now)
        batch.lane, batch.lanes, batch.last = self._name, self._settings.lanes, False
        batch.low, batch.idle = self._clocks.low()
        batch.high, batch.ended = self._clocks.high(), self._clocks.all_idle
        is_call = self._kind == CALL
        batch.calls_low, batch.calls_high = self._clocks.calls(is_call)
        at_end = self._clocks.at_end[is_call].all() and not self._callbacks.holding() and not PAUSES.is_paused("broker")
        moved = bool(is_call[read.moved].any()) or not at_end
        if self._quiet.last_too_long(now, moved=moved, blocked=needed is not None):
            batch.calls_low = batch.calls_high = ENDED
        batch.marks = {self._names[i]: self._reader.positions[i] for i in read.moved}
        return batch

    def _report_ends(self) -> None:
        """Report once that each partition has been at its end, at the same time or not."""
        if self._caught_up:
            return
        at_end = self._clocks.at_end
        self._ended = np.concatenate([self._ended, np.zeros(len(at_end) - len(self._ended), np.bool_)]) | at_end
        if self._ended.all():
            self._caught_up = True
            self._callbacks.caught_up(self._name)

    def _too_far_ahead(self, needed: int | None) -> Bools:
        slowest = self._board.slowest()
        clock = self._clocks.clock
        if slowest is None:
            return np.zeros(len(clock), np.bool_)
        ahead: Bools = (clock != NEVER) & (clock > slowest + self._settings.max_lead_us)
        if needed is not None:
            # Outcomes are not read before calls have come so far: if they waited for these, neither would go on.
            ahead &= (self._kind != CALL) | (clock > needed)
        return ahead

    def _set_wake(self, least_s: float) -> None:
        """Rest only after a batch that was not full, so that small batches grow and cost less per record."""
        cpu, self._cpu_s = time.thread_time() - self._cpu_s, time.thread_time()
        if least_s == 0.0:
            self._wake = None
            return
        self._wake = datetime.now(UTC) + timedelta(seconds=min(_MOST_WAIT_S, max(least_s, _REST_FACTOR * cpu)))


def _restored(lanes: int, state: KafkaLaneState | None) -> dict[Place, tuple[Position, int]]:
    if state is None:
        return {}
    if state["lanes"] != lanes:
        raise KafkaConfigError(
            f"kafka.lanes: must stay {state['lanes']} as long as the run's state is used; got {lanes} (set it back)"
        )
    return {place: (Position(*position), clock) for place, (*position, clock) in state["partitions"].items()}
