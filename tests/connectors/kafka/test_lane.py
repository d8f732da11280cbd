"""A lane gives every record once, wherever it is resumed, and knows where partitions end; on both brokers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aftercall.times import NEVER
from connectors.batch import ENDED, Batch
from connectors.decode.decoder import Decoder
from connectors.kafka.client import KafkaConfigError, KafkaFailure, admin_config, consumer_config
from connectors.kafka.cluster import Cluster as Address
from connectors.kafka.lane import KafkaLane, KafkaLaneState
from connectors.kafka.lane_settings import LaneCallbacks, LaneSettings, Place
from connectors.kafka.metadata import Metadata, MetadataPoller
from connectors.kafka.progress_board import ProgressBoard
from connectors.pauses import PAUSES
from harness.waiting import until
from kafka.clusters import DEADLINE_S, Cluster, RealCluster

pytestmark = pytest.mark.slow  # each waits for a broker and for clocks

T0_US = 1_767_225_600_000_000  # 2026-01-01


def _call(i: int, minute: int = 0) -> bytes:
    at = f"2026-01-01T{minute // 60:02d}:{minute % 60:02d}:00Z"
    return json.dumps({"call_id": f"c{i}", "occurred_at": at, "task_type": "t", "model": "m"}).encode()


def _outcome(i: int, minute: int = 0) -> bytes:
    at = f"2026-01-01T{minute // 60:02d}:{minute % 60:02d}:00Z"
    outcome = {"outcome_id": "o", "call_id": f"c{i}", "occurred_at": at, "source": "s", "success": True}
    return json.dumps(outcome).encode()


class Rig:
    """A lane over two fresh topics."""

    def __init__(self, broker: Cluster, folder: Path, partitions: int = 2, **settings: Any) -> None:
        self.broker = broker
        self.calls, self.outcomes = broker.fresh_topic(partitions, "calls"), broker.fresh_topic(partitions, "outcomes")
        address = Address(brokers=broker.bootstrap, group_id=f"g-{self.calls}")
        self.settings = LaneSettings(
            **{  # type: ignore[arg-type]
                "consumer": consumer_config(address),
                "topics": (self.calls, self.outcomes),
                "lanes": 1,
                "board": folder / "lead",
                "idle_after_s": 0.3,
            }
            | settings
        )
        self.callbacks = LaneCallbacks()
        read_to = ProgressBoard(folder / "lead", self.settings.lanes).read_to
        self.poller = MetadataPoller(admin_config(address), self.settings.topics, 0.1, read_to)

    @contextmanager
    def lane(
        self,
        state: KafkaLaneState | None = None,
        number: int = 0,
        callbacks: LaneCallbacks | None = None,
        **other: Any,
    ) -> Iterator[KafkaLane]:
        self.poller.start()
        settings = LaneSettings(**(self.settings.__dict__ | other))
        decoder = Decoder(now_us=T0_US + 10**15, max_future_skew_us=0)
        lane = KafkaLane(settings, number, decoder, self.poller, callbacks or self.callbacks, state)
        try:
            yield lane
        finally:
            lane.close()

    def close(self) -> None:
        self.poller.close()


@pytest.fixture
def rig(broker: Cluster, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(**settings: Any) -> Rig:
        made.append(Rig(broker, tmp_path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def _until(lane: KafkaLane, done: Callable[[list[Batch]], bool]) -> list[Batch]:
    batches: list[Batch] = []
    deadline = time.monotonic() + DEADLINE_S
    while not done(batches):
        assert time.monotonic() < deadline, [(b.records, b.low, b.high, b.idle, b.marks) for b in batches]
        batches += lane.next_batch()
        time.sleep(0.01)
    return batches


def _ids(batches: list[Batch]) -> list[str]:
    return [r.call_id for b in batches for columns in (b.calls, b.outcomes) for r in columns.records]


def _read(count: int) -> Callable[[list[Batch]], bool]:
    return lambda batches: sum(b.records for b in batches) >= count


def _idle(batches: list[Batch]) -> bool:
    """All partitions are: then the watermark is the greatest clock."""
    return bool(batches) and batches[-1].low == batches[-1].high != NEVER


def test_records_of_all_partitions_arrive_with_their_places_and_the_lane_goes_idle_at_their_ends(
    rig: Callable[..., Rig],
) -> None:
    it = rig()
    for i in range(10):
        it.broker.send(it.calls, i % 2, f"c{i}", _call(i, i))
    it.broker.send(it.outcomes, 1, "c1", _outcome(1, 30))
    it.broker.flush()
    with it.lane() as lane:
        batches = _until(lane, _idle)
    assert sorted(_ids(batches)) == sorted([*(f"c{i}" for i in range(10)), "c1"])
    marks = {name: mark for b in batches for name, mark in b.marks.items()}
    assert marks == {f"{it.calls}/0": 5, f"{it.calls}/1": 5, f"{it.outcomes}/1": 1}
    assert batches[-1].high == T0_US + 30 * 60_000_000
    places = {(b.partitions[p], o) for b in batches for p, o in zip(b.calls.partition, b.calls.offset, strict=True)}
    assert places == {(f"{it.calls}/{i % 2}", i // 2) for i in range(10)}


def test_the_watermark_waits_for_a_partition_that_has_not_been_read_yet(rig: Callable[..., Rig]) -> None:
    it = rig(idle_after_s=1000.0)
    it.broker.produce(it.calls, 0, "c0", _call(0, 7))
    it.broker.produce(it.calls, 1, "c1", _call(1, 3))
    with it.lane() as lane:
        batches = _until(lane, lambda found: bool(found) and found[-1].low == T0_US + 3 * 60_000_000)
        assert all(b.low in {NEVER, T0_US + 3 * 60_000_000} for b in batches), "it starts when both have records"


def test_a_lane_resumed_from_its_state_reads_the_rest_and_nothing_twice(rig: Callable[..., Rig]) -> None:
    it = rig()
    for i in range(100):
        it.broker.send(it.calls, i % 2, f"c{i}", _call(i))
    it.broker.flush()
    with it.lane(batch_size=7) as lane:
        first = _until(lane, _read(30))
        state = lane.snapshot()
    for i in range(100, 120):
        it.broker.send(it.calls, i % 2, f"c{i}", _call(i))
    it.broker.flush()
    with it.lane(state) as lane:
        second = _until(lane, _read(120 - len(_ids(first))))
    assert sorted(_ids(first) + _ids(second)) == sorted(f"c{i}" for i in range(120))


def test_tombstones_are_skipped_and_counted_as_read(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    it.broker.produce(it.calls, 0, "c0", None)
    it.broker.produce(it.calls, 0, "c1", _call(1))
    it.broker.produce(it.calls, 0, "c2", None)
    with it.lane() as lane:
        batches = _until(lane, _idle)
        assert lane.snapshot()["partitions"][it.calls, 0][0] == 3
    assert _ids(batches) == ["c1"]
    assert sum(b.records for b in batches) == 1


def test_a_refused_record_keeps_its_key_and_stops_nothing(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    it.broker.produce(it.calls, 0, "the-key", b"{")
    it.broker.produce(it.calls, 0, "c1", _call(1))
    with it.lane() as lane:
        batches = _until(lane, _read(2))
    refused = [r for b in batches for r in b.refused]
    assert [(r.key, r.reason, r.offset) for r in refused] == [("the-key", "not_json", 0)]
    assert _ids(batches) == ["c1"]


def test_lanes_share_the_partitions_by_their_number(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=4, lanes=3)
    for i in range(40):
        it.broker.send(it.calls, i % 4, f"c{i}", _call(i))
        it.broker.send(it.outcomes, i % 4, f"c{i}", _outcome(i))
    it.broker.flush()
    for number, partitions in ((0, (0, 3)), (1, (1,)), (2, (2,))):
        with it.lane(number=number) as lane:
            batches = _until(lane, _idle)
        assert sorted(set(_ids(batches))) == sorted(f"c{i}" for i in range(40) if i % 4 in partitions)


def test_a_lane_without_partitions_reports_at_once_that_it_is_idle(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1, lanes=2)
    with it.lane(number=1) as lane:
        batches = _until(lane, lambda found: len(found) == 1)
    assert (batches[0].idle, batches[0].low, batches[0].high, batches[0].records) == (True, NEVER, NEVER, 0)


def test_a_partition_far_ahead_is_paused_until_the_slowest_has_caught_up(rig: Callable[..., Rig]) -> None:
    """Partition 0 is two hours ahead; the slow one is read by another lane, which publishes its clock on the board."""
    it = rig(partitions=2, lanes=2, max_lead_us=3_600_000_000)
    it.broker.produce(it.calls, 0, "c0", _call(0, 180))
    with it.lane(number=1) as slow, it.lane(number=0) as fast:
        slow._board.publish(1, T0_US, T0_US)
        _until(fast, _read(1))
        it.broker.produce(it.calls, 0, "c2", _call(2, 181))
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert not any(b.records for b in fast.next_batch())
            time.sleep(0.02)
        slow._board.publish(1, T0_US + 150 * 60_000_000, NEVER)
        assert _ids(_until(fast, _read(1))) == ["c2"]


def test_where_outcomes_have_no_room_calls_are_read_as_far_as_is_needed(rig: Callable[..., Rig]) -> None:
    """Further than `max_lead` ahead of the outcomes, which are not read; then the outcomes are read again."""
    it = rig(partitions=1, max_lead_us=60_000_000)
    needed: list[int | None] = [T0_US + 30 * 60_000_000]
    it.callbacks = LaneCallbacks(needed=lambda: needed[0])
    it.broker.produce(it.calls, 0, "c0", _call(0))
    it.broker.produce(it.outcomes, 0, "c0", _outcome(0))
    with it.lane() as lane:
        # The first poll reads before anything is paused.
        first = _until(lane, _read(1))
        it.broker.produce(it.outcomes, 0, "c1", _outcome(1, 1))
        calls: list[Batch] = []
        for minute in range(10, 50, 10):
            it.broker.produce(it.calls, 0, f"m{minute}", _call(minute, minute))
            if minute <= 40:
                calls += _until(lane, _read(1))
        assert {b.calls.records[0].call_id for b in first + calls if len(b.calls.pos)} >= {"c10", "c20", "c30", "c40"}
        assert "c1" not in [r.call_id for b in first + calls for r in b.outcomes.records]
        assert calls[-1].calls_low == T0_US + 40 * 60_000_000
        assert PAUSES.is_paused("waiting_outcomes")
        needed[0] = None
        assert "c1" in _ids(_until(lane, lambda batches: any(len(b.outcomes.pos) for b in batches)))


def test_calls_that_stay_away_are_given_up_where_outcomes_have_no_room(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1, orphan_wait_s=1.0)
    needed: list[int | None] = [None]
    it.callbacks = LaneCallbacks(needed=lambda: needed[0])
    it.broker.produce(it.calls, 0, "c0", _call(0))
    it.broker.produce(it.outcomes, 0, "c0", _outcome(0))
    with it.lane() as lane:
        batches = _until(lane, _idle)
        assert batches[-1].calls_high == T0_US
        needed[0] = T0_US
        began = time.monotonic()
        _until(lane, lambda batches: bool(batches) and batches[-1].calls_high == ENDED)
        assert time.monotonic() - began >= 1.0
        it.broker.produce(it.calls, 0, "c1", _call(1, 1))
        assert _until(lane, _read(1))[-1].calls_high == T0_US + 60_000_000


def test_while_no_broker_answers_calls_do_not_stay_away(rig: Callable[..., Rig]) -> None:
    """Also where there is no claim, which would hold the lane: that they are at their end is not known then."""
    it = rig(partitions=1, orphan_wait_s=0.3)
    it.callbacks = LaneCallbacks(needed=lambda: T0_US)
    it.broker.produce(it.calls, 0, "c0", _call(0))
    it.broker.produce(it.outcomes, 0, "c0", _outcome(0))
    PAUSES.begin("broker", "a test", "no broker answers")
    try:
        with it.lane() as lane:
            batches = _until(lane, _read(1))
            began = time.monotonic()
            batches += _until(lane, lambda _: time.monotonic() - began > 1.5)
            assert ENDED not in {batch.calls_high for batch in batches}
            PAUSES.end("broker", "a test", at_once=True)
            _until(lane, lambda batches: bool(batches) and batches[-1].calls_high == ENDED)
    finally:
        PAUSES.end("broker", "a test", at_once=True)


def test_a_position_behind_the_end_is_reported_and_accepted_only_on_demand(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    it.broker.produce(it.calls, 0, "c0", _call(0))
    state = {"lanes": 1, "partitions": {(it.calls, 0): (500, "", -1, T0_US)}}
    with it.lane(state) as lane, pytest.raises(KafkaFailure, match=r"ends at 1.*--accept-data-loss"):
        _until(lane, _read(1))
    with it.lane(state, accept_data_loss=True) as lane:
        assert _ids(_until(lane, _read(1))) == ["c0"]


def test_states_of_another_number_of_lanes_or_of_partitions_are_refused(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    with pytest.raises(KafkaConfigError, match="must stay 3"), it.lane({"lanes": 3, "partitions": {}}):
        pass
    gone = {"lanes": 1, "partitions": {(it.calls, 5): (2, "", -1, T0_US)}}
    with it.lane(gone) as lane, pytest.raises(KafkaFailure, match="must still have partition 5"):
        _until(lane, _read(1))


def test_a_lane_reads_nothing_before_both_topics_are_listed(rig: Callable[..., Rig]) -> None:
    """A broker that is starting may list one of them first; the other's partitions would not hold the watermark."""
    it = rig(partitions=1)
    it.broker.produce(it.calls, 0, "c0", _call(0))
    it.broker.produce(it.outcomes, 0, "c0", _outcome(0, minute=90))
    it.poller.start()
    until(lambda: it.poller.latest is not None, lambda: it.poller.latest)
    it.poller.close()
    whole = it.poller.latest
    assert whole is not None
    it.poller = StoodStill(whole._replace(partitions={it.outcomes: 1}))
    with it.lane() as lane:
        for _ in range(20):
            assert lane.next_batch() == []
            time.sleep(0.02)
        it.poller.latest = whole
        assert sorted(_ids(_until(lane, _read(2)))) == ["c0", "c0"]


def test_a_lane_reports_where_it_reads_and_once_that_each_partition_was_at_its_end(rig: Callable[..., Rig]) -> None:
    it = rig()
    for i in range(10):
        it.broker.produce(it.calls, 0, f"c{i}", _call(i))
    reported: list[dict[Place, tuple[int, int]]] = []
    caught_up: list[str] = []
    callbacks = LaneCallbacks(
        partitions=lambda _lane, partitions: reported.append(dict(partitions)), caught_up=caught_up.append
    )
    with it.lane(callbacks=callbacks) as lane:
        _until(lane, lambda _: bool(reported))
        assert reported[0] == {(topic, i): (0, 0) for topic in (it.calls, it.outcomes) for i in (0, 1)} | {
            (it.calls, 0): (0, 10)
        }
        _until(lane, lambda _: bool(caught_up))
        it.broker.produce(it.calls, 0, "c10", _call(10))
        _until(lane, lambda _: reported[-1][it.calls, 0] == (11, 0))
    assert caught_up == ["lane00"]


def test_a_defect_that_ends_the_poller_is_raised_by_the_lane(rig: Callable[..., Rig]) -> None:
    """Without answers no partition would become idle, and no new one be found, for ever and without a word."""
    it = rig(partitions=1)
    with it.lane() as lane:
        _until(lane, lambda _: it.poller.latest is not None)
        it.poller._read_to_us = {}.popitem  # type: ignore[assignment]
        with pytest.raises(KeyError):
            _until(lane, lambda _: False)


class StoodStill(MetadataPoller):
    """Reports what it was given."""

    def __init__(self, latest: Metadata) -> None:
        self.latest, self.defect = latest, None

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_offsets_are_committed_for_lag_tools_one_epoch_behind(rig: Callable[..., Rig]) -> None:
    from confluent_kafka import Consumer, TopicPartition

    it = rig(partitions=1)
    for i in range(5):
        it.broker.produce(it.calls, 0, f"c{i}", _call(i))
    asking = Consumer({"bootstrap.servers": it.broker.bootstrap, "group.id": f"g-{it.calls}"})

    def committed() -> int:
        return int(asking.committed([TopicPartition(it.calls, 0)], timeout=DEADLINE_S)[0].offset)

    with it.lane() as lane:
        _until(lane, _read(5))
        lane.snapshot()
        assert committed() < 0, "the epoch is not stored yet"
        lane.snapshot()

        def goes_on_until_committed() -> bool:
            lane.next_batch()
            return committed() == 5

        until(goes_on_until_committed, committed, every_s=0.05)
    asking.close()


def test_partitions_that_are_added_are_read_from_their_beginning(real_broker: Cluster, tmp_path: Path) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewPartitions

    it = Rig(real_broker, tmp_path, partitions=1)
    real_broker.produce(it.calls, 0, "c0", _call(0))
    with it.lane() as lane:
        _until(lane, _read(1))
        admin = AdminClient(real_broker.client)
        for answer in admin.create_partitions([NewPartitions(it.calls, 2)]).values():
            answer.result()
        # Another producer: this one may still know the old number of partitions.
        RealCluster(real_broker.client).produce(it.calls, 1, "c1", _call(1))
        assert _ids(_until(lane, _read(1))) == ["c1"]
    it.close()


def test_a_position_that_has_expired_is_reported_with_what_is_lost(real_broker: Cluster, tmp_path: Path) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    it = Rig(real_broker, tmp_path, partitions=1)
    for i in range(10):
        real_broker.produce(it.calls, 0, f"c{i}", _call(i))
    with it.lane() as lane:
        _until(lane, _read(10))
        state = lane.snapshot()
    _, *rest = state["partitions"][it.calls, 0]
    state["partitions"][it.calls, 0] = (4, *rest)
    admin = AdminClient(real_broker.client)  # its answers come only as long as it lives
    for answer in admin.delete_records([TopicPartition(it.calls, 0, 7)]).values():
        answer.result()
    with it.lane(state) as lane, pytest.raises(KafkaFailure, match=r"offset 4.*begins at 7.*3 offsets have expired"):
        _until(lane, _read(1))
    with it.lane(state, accept_data_loss=True) as lane:
        assert _ids(_until(lane, _read(3))) == ["c7", "c8", "c9"]
    it.close()
