"""A lane: part of the partitions of the calls and outcomes topics, read by one consumer.

Positions are part of the lane's state, so that they go back together with all that was made of the records; the offsets
committed to the group are for lag tools alone. A lane waits for nothing: what the client has not fetched yet is not
there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from bytewax.inputs import StatefulSourcePartition
from confluent_kafka import KafkaException
from typing_extensions import override

from aftercall.errors import StateError
from aftercall.times import NEVER
from connectors.batch import Batch, Bools
from connectors.decode.decoder import CALL, OUTCOME, Decoder
from connectors.kafka.client import KafkaConfigError, KafkaFailure
from connectors.kafka.lane_settings import LaneHooks, LaneSettings, Place
from connectors.kafka.metadata import KafkaWatch, Seen
from connectors.kafka.partition_clocks import PartitionClocks
from connectors.kafka.progress_board import LeadBoard
from connectors.kafka.reader import KafkaReader, Read
from connectors.metrics import METRICS

_VERSION: Final = 1
_LEAST_WAIT_S: Final = 0.02
_MOST_WAIT_S: Final = 1.0
_NOTHING_WAIT_S: Final = 0.1
_SIGN_OF_LIFE_S: Final = 5.0
"""Sinks are asked for their state only where something reached them in an epoch, and publish then."""
_MISSING_S: Final = 30.0
"""A broker that is starting may not know its topics yet."""
_REST: Final = 9
"""A batch that was not full is followed by a rest of this many times what it cost: small batches cost more a record."""

KafkaLaneState = dict[str, Any]


class KafkaLane(StatefulSourcePartition[Batch, KafkaLaneState]):
    """Reads the partitions whose number, divided by the number of lanes, leaves the lane's own as remainder."""

    def __init__(
        self,
        settings: LaneSettings,
        lane: int,
        decoder: Decoder,
        watch: KafkaWatch,
        hooks: LaneHooks,
        resume_state: KafkaLaneState | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to read; the broker is first spoken to by `next_batch`.

        Raises:
            StateError: another version wrote the state.
            KafkaConfigError: the state is of another number of lanes.
        """
        self._settings, self._lane, self._decoder = settings, lane, decoder
        self._name = f"lane{lane:02d}"
        hooks.built(self._name)
        self._watch, self._hooks, self._monotonic = watch, hooks, monotonic
        self._board = LeadBoard(settings.board, settings.lanes)
        self._reader = KafkaReader(settings.consumer, accept_data_loss=settings.accept_data_loss)
        self._clocks = PartitionClocks(settings.idle_after_s)
        self._names: list[str] = []
        self._kind = np.zeros(0, np.uint8)
        self._kept = _restored(settings.lanes, resume_state)
        """Positions and clocks of partitions that have not been adopted yet."""
        self._seen: Seen | None = None
        self._missing_since_s: dict[str, float] = {}
        self._stored: dict[Place, int] = {}
        self._said: tuple[int, int, bool] | None = None
        self._spoke_s = monotonic()
        self._wake: datetime | None = None
        self._cpu_s = time.thread_time()

    @override
    def next_batch(self) -> list[Batch]:
        """What is there, up to a full batch; also called where nothing is, some ten times a second."""
        if self._hooks.stopping():
            raise StopIteration
        self._hooks.beat()
        now = self._monotonic()
        if not self._follow():
            self._rest(_NOTHING_WAIT_S)
            return []
        self._hooks.polled(self._name)
        read = self._reader.read(self._settings.batch_size)
        batch = self._batch(read, now)
        self._board.tell(self._lane, self._clocks.slowest())
        self._reader.hold(self._too_far_ahead())
        self._rest(0.0 if read.full else _LEAST_WAIT_S if read.moved else _NOTHING_WAIT_S)
        said = (batch.low, batch.high, batch.idle)
        batch.erase = self._hooks.erasures() if self._lane == 0 else ()
        batch.news = bool(batch.marks or batch.erase) or said != self._said
        if not batch.news and now - self._spoke_s < _SIGN_OF_LIFE_S:
            return []
        self._said, self._spoke_s = said, now
        return [batch]

    @override
    def next_awake(self) -> datetime | None:
        """When to be called again."""
        return self._wake

    @override
    def snapshot(self) -> KafkaLaneState:
        """Where to go on. Also tells the broker's lag tools what the epoch before has stored."""
        self._reader.commit(self._stored)
        self._stored = dict(zip(self._reader.places, self._reader.positions, strict=True))
        clocks = self._clocks.clock.tolist()
        partitions = self._kept | {
            place: (position, clock) for (place, position), clock in zip(self._stored.items(), clocks, strict=True)
        }
        return {"version": _VERSION, "lanes": self._settings.lanes, "partitions": partitions}

    @override
    def close(self) -> None:
        """Called at the end, not after a crash."""
        self._board.tell(self._lane, None)
        self._reader.close()

    def _follow(self) -> bool:
        """Adopt new partitions, and hear which ones still end where they did; False before the broker has spoken."""
        seen = self._watch.seen
        if seen is None:
            return False
        if seen is not self._seen:
            if not self._adopt_all(seen):
                return self._seen is not None
            for i, place in enumerate(self._reader.places):
                if place in seen.ends:
                    self._clocks.confirm(i, seen.ends[place], seen.at_s)
                    METRICS.lag(*place, max(0, seen.ends[place] - self._reader.positions[i]))
            self._seen = seen
        return True

    def _adopt_all(self, seen: Seen) -> bool:
        for topic in self._settings.topics:
            if topic in seen.partitions:
                self._missing_since_s.pop(topic, None)
            elif seen.at_s - self._missing_since_s.setdefault(topic, seen.at_s) > _MISSING_S:
                raise KafkaFailure(f"{topic}: must exist; it is gone (make it with `aftercall topics create`)")
        mine = [
            (topic, partition)
            for topic in self._settings.topics
            for partition in range(seen.partitions.get(topic, 0))
            if partition % self._settings.lanes == self._lane
        ]
        for place in self._kept:
            if place not in mine and place[0] in seen.partitions:
                raise KafkaFailure(
                    f"{place[0]}: must still have partition {place[1]}, which was read up to offset "
                    f"{self._kept[place][0]}; it has {seen.partitions[place[0]]} partitions (if the topic was deleted "
                    "and created again, choose an empty --out)"
                )
        try:
            for place in mine:
                if place not in self._reader.places:
                    self._adopt(place)
        except KafkaException as wrong:
            METRICS.broker_error(wrong.args[0].name())
            return False
        return True

    def _adopt(self, place: Place) -> None:
        position, clock = self._kept.get(place, (None, NEVER))
        self._reader.adopt(place, position)
        self._kept.pop(place, None)
        self._clocks.add(clock)
        self._names.append(f"{place[0]}/{place[1]}")
        self._kind = np.append(self._kind, np.uint8(CALL if place[0] == self._settings.topics[0] else OUTCOME))

    def _batch(self, read: Read, now: float) -> Batch:
        partition = np.array(read.partition, np.int32)
        offset = np.array(read.offset, np.int64)
        batch = self._decoder.decode(read.payload, self._kind[partition], partition, offset, self._names)
        if batch.refused:
            record = {place: i for i, place in enumerate(zip(read.partition, read.offset, strict=True))}
            batch.refused = [
                refused._replace(key=read.key(record[refused.partition, refused.offset])) for refused in batch.refused
            ]
        if batch.records:
            for name, kind in (("call", CALL), ("outcome", OUTCOME)):
                METRICS.records(name, int(np.count_nonzero(self._kind[partition] == kind)))
            at = np.full(batch.records, NEVER, np.int64)
            at[batch.calls.pos], at[batch.outcomes.pos] = batch.calls.at, batch.outcomes.at
            met = self._clocks.read(partition, at, now)
            batch.calls.wm[:], batch.outcomes.wm[:] = met[batch.calls.pos], met[batch.outcomes.pos]
        for i, end in read.ends:
            self._clocks.reached_end(i, end, now)
        batch.lane, batch.lanes = self._name, self._settings.lanes
        batch.low, batch.idle = self._clocks.low(now)
        batch.high = self._clocks.high()
        batch.marks = {self._names[i]: self._reader.positions[i] for i in read.moved}
        return batch

    def _too_far_ahead(self) -> Bools:
        slowest = self._board.slowest()
        clock = self._clocks.clock
        if slowest is None:
            return np.zeros(len(clock), np.bool_)
        ahead: Bools = (clock != NEVER) & (clock > slowest + self._settings.max_lead_us)
        return ahead

    def _rest(self, least_s: float) -> None:
        """Nothing after a full batch; else some time, so that small batches become larger and cost less."""
        cpu, self._cpu_s = time.thread_time() - self._cpu_s, time.thread_time()
        if least_s == 0.0:
            self._wake = None
            return
        self._wake = datetime.now(UTC) + timedelta(seconds=min(_MOST_WAIT_S, max(least_s, _REST * cpu)))


def _restored(lanes: int, state: KafkaLaneState | None) -> dict[Place, tuple[int, int]]:
    if state is None:
        return {}
    if state["version"] != _VERSION:
        raise StateError.of_version("step 'lanes'", _VERSION, state["version"])
    if state["lanes"] != lanes:
        raise KafkaConfigError(
            f"kafka.lanes: must stay {state['lanes']} as long as the state lives; got {lanes} (put the setting back)"
        )
    return dict(state["partitions"])
