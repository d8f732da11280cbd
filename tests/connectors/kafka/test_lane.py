"""A lane gives every record once, wherever it is resumed, and knows where partitions end; on both brokers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aftercall.times import NEVER
from connectors.kafka.client import KafkaConfigError, KafkaFailure
from connectors.kafka.lane_settings import LaneCallbacks, Place
from connectors.kafka.metadata import Metadata, MetadataPoller
from harness.waiting import until
from kafka.clusters import DEADLINE_S, Cluster, RealCluster
from kafka.lane_rig import T0_US, Rig, call, has_read, ids_of, is_idle, outcome, read_until

pytestmark = pytest.mark.slow  # each waits for a broker and for clocks


def test_records_of_all_partitions_arrive_with_their_places_and_the_lane_goes_idle_at_their_ends(
    rig: Callable[..., Rig],
) -> None:
    it = rig()
    for i in range(10):
        it.broker.send(it.calls, i % 2, f"c{i}", call(i, i))
    it.broker.send(it.outcomes, 1, "c1", outcome(1, 30))
    it.broker.flush()
    with it.lane() as lane:
        batches = read_until(lane, is_idle)
    assert sorted(ids_of(batches)) == sorted([*(f"c{i}" for i in range(10)), "c1"])
    marks = {name: mark for b in batches for name, mark in b.marks.items()}
    assert marks == {f"{it.calls}/0": 5, f"{it.calls}/1": 5, f"{it.outcomes}/1": 1}
    assert batches[-1].high == T0_US + 30 * 60_000_000
    places = {(b.partitions[p], o) for b in batches for p, o in zip(b.calls.partition, b.calls.offset, strict=True)}
    assert places == {(f"{it.calls}/{i % 2}", i // 2) for i in range(10)}


def test_the_watermark_waits_for_a_partition_that_has_not_been_read_yet(rig: Callable[..., Rig]) -> None:
    it = rig(idle_after_s=1000.0)
    it.broker.produce(it.calls, 0, "c0", call(0, 7))
    it.broker.produce(it.calls, 1, "c1", call(1, 3))
    with it.lane() as lane:
        batches = read_until(lane, lambda found: bool(found) and found[-1].low == T0_US + 3 * 60_000_000)
        assert all(b.low in {NEVER, T0_US + 3 * 60_000_000} for b in batches), "it starts when both have records"


def test_a_lane_resumed_from_its_state_reads_the_rest_and_nothing_twice(rig: Callable[..., Rig]) -> None:
    it = rig()
    for i in range(100):
        it.broker.send(it.calls, i % 2, f"c{i}", call(i))
    it.broker.flush()
    with it.lane(batch_size=7) as lane:
        first = read_until(lane, has_read(30))
        state = lane.snapshot()
    for i in range(100, 120):
        it.broker.send(it.calls, i % 2, f"c{i}", call(i))
    it.broker.flush()
    with it.lane(state) as lane:
        second = read_until(lane, has_read(120 - len(ids_of(first))))
    assert sorted(ids_of(first) + ids_of(second)) == sorted(f"c{i}" for i in range(120))


def test_tombstones_are_skipped_and_counted_as_read(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    it.broker.produce(it.calls, 0, "c0", None)
    it.broker.produce(it.calls, 0, "c1", call(1))
    it.broker.produce(it.calls, 0, "c2", None)
    with it.lane() as lane:
        batches = read_until(lane, is_idle)
        assert lane.snapshot()["partitions"][it.calls, 0][0] == 3
    assert ids_of(batches) == ["c1"]
    assert sum(b.records for b in batches) == 1


def test_a_refused_record_keeps_its_key_and_stops_nothing(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    it.broker.produce(it.calls, 0, "the-key", b"{")
    it.broker.produce(it.calls, 0, "c1", call(1))
    with it.lane() as lane:
        batches = read_until(lane, has_read(2))
    refused = [r for b in batches for r in b.refused]
    assert [(r.key, r.reason, r.offset) for r in refused] == [("the-key", "not_json", 0)]
    assert ids_of(batches) == ["c1"]


def test_lanes_share_the_partitions_by_their_number(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=4, lanes=3)
    for i in range(40):
        it.broker.send(it.calls, i % 4, f"c{i}", call(i))
        it.broker.send(it.outcomes, i % 4, f"c{i}", outcome(i))
    it.broker.flush()
    for number, partitions in ((0, (0, 3)), (1, (1,)), (2, (2,))):
        with it.lane(number=number) as lane:
            batches = read_until(lane, is_idle)
        assert sorted(set(ids_of(batches))) == sorted(f"c{i}" for i in range(40) if i % 4 in partitions)


def test_a_lane_without_partitions_reports_at_once_that_it_is_idle(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1, lanes=2)
    with it.lane(number=1) as lane:
        batches = read_until(lane, lambda found: len(found) == 1)
    assert (batches[0].idle, batches[0].low, batches[0].high, batches[0].records) == (True, NEVER, NEVER, 0)


def test_a_partition_far_ahead_is_paused_until_the_slowest_has_caught_up(rig: Callable[..., Rig]) -> None:
    """Partition 0 is two hours ahead; the slow one is read by another lane, which publishes its clock on the board."""
    it = rig(partitions=2, lanes=2, max_lead_us=3_600_000_000)
    it.broker.produce(it.calls, 0, "c0", call(0, 180))
    with it.lane(number=1) as slow, it.lane(number=0) as fast:
        slow._board.publish(1, T0_US, T0_US)
        read_until(fast, has_read(1))
        it.broker.produce(it.calls, 0, "c2", call(2, 181))
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert not any(b.records for b in fast.next_batch())
            time.sleep(0.02)
        slow._board.publish(1, T0_US + 150 * 60_000_000, NEVER)
        assert ids_of(read_until(fast, has_read(1))) == ["c2"]


def test_a_position_behind_the_end_is_reported_and_accepted_only_on_demand(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    it.broker.produce(it.calls, 0, "c0", call(0))
    state = {"lanes": 1, "partitions": {(it.calls, 0): (500, "", -1, T0_US)}}
    with it.lane(state) as lane, pytest.raises(KafkaFailure, match=r"ends at 1.*--accept-data-loss"):
        read_until(lane, has_read(1))
    with it.lane(state, accept_data_loss=True) as lane:
        assert ids_of(read_until(lane, has_read(1))) == ["c0"]


def test_states_of_another_number_of_lanes_or_of_partitions_are_refused(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    with pytest.raises(KafkaConfigError, match="must stay 3"), it.lane({"lanes": 3, "partitions": {}}):
        pass
    gone = {"lanes": 1, "partitions": {(it.calls, 5): (2, "", -1, T0_US)}}
    with it.lane(gone) as lane, pytest.raises(KafkaFailure, match="must still have partition 5"):
        read_until(lane, has_read(1))


def test_a_lane_reads_nothing_before_both_topics_are_listed(rig: Callable[..., Rig]) -> None:
    """A broker that is starting may list one of them first; the other's partitions would not hold the watermark."""
    it = rig(partitions=1)
    it.broker.produce(it.calls, 0, "c0", call(0))
    it.broker.produce(it.outcomes, 0, "c0", outcome(0, minute=90))
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
        assert sorted(ids_of(read_until(lane, has_read(2)))) == ["c0", "c0"]


def test_a_lane_reports_where_it_reads_and_once_that_each_partition_was_at_its_end(rig: Callable[..., Rig]) -> None:
    it = rig()
    for i in range(10):
        it.broker.produce(it.calls, 0, f"c{i}", call(i))
    reported: list[dict[Place, tuple[int, int]]] = []
    caught_up: list[str] = []
    callbacks = LaneCallbacks(
        partitions=lambda _lane, partitions: reported.append(dict(partitions)), caught_up=caught_up.append
    )
    with it.lane(callbacks=callbacks) as lane:
        read_until(lane, lambda _: bool(reported))
        assert reported[0] == {(topic, i): (0, 0) for topic in (it.calls, it.outcomes) for i in (0, 1)} | {
            (it.calls, 0): (0, 10)
        }
        read_until(lane, lambda _: bool(caught_up))
        it.broker.produce(it.calls, 0, "c10", call(10))
        read_until(lane, lambda _: reported[-1][it.calls, 0] == (11, 0))
    assert caught_up == ["lane00"]


def test_a_defect_that_ends_the_poller_is_reported(rig: Callable[..., Rig]) -> None:
    """Without answers no partition would become idle, and no new one be found, for ever and without a word."""
    it = rig(partitions=1)
    it.poller.start()
    until(lambda: it.poller.latest is not None, lambda: it.defects)
    it.poller._read_to_us = {}.popitem  # type: ignore[assignment]
    until(lambda: bool(it.defects), lambda: it.poller.latest)
    assert isinstance(it.defects[0], KeyError)


class StoodStill(MetadataPoller):
    """Reports what it was given."""

    def __init__(self, latest: Metadata) -> None:
        self.latest = latest

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_offsets_are_committed_for_lag_tools_one_epoch_behind(rig: Callable[..., Rig]) -> None:
    from confluent_kafka import Consumer, TopicPartition

    it = rig(partitions=1)
    for i in range(5):
        it.broker.produce(it.calls, 0, f"c{i}", call(i))
    asking = Consumer({"bootstrap.servers": it.broker.bootstrap, "group.id": f"g-{it.calls}"})

    def committed() -> int:
        return int(asking.committed([TopicPartition(it.calls, 0)], timeout=DEADLINE_S)[0].offset)

    with it.lane() as lane:
        read_until(lane, has_read(5))
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
    real_broker.produce(it.calls, 0, "c0", call(0))
    with it.lane() as lane:
        read_until(lane, has_read(1))
        admin = AdminClient(real_broker.client)
        for answer in admin.create_partitions([NewPartitions(it.calls, 2)]).values():
            answer.result()
        # Another producer: this one may still know the old number of partitions.
        RealCluster(real_broker.client).produce(it.calls, 1, "c1", call(1))
        assert ids_of(read_until(lane, has_read(1))) == ["c1"]
    it.close()


def test_a_position_that_has_expired_is_reported_with_what_is_lost(real_broker: Cluster, tmp_path: Path) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    it = Rig(real_broker, tmp_path, partitions=1)
    for i in range(10):
        real_broker.produce(it.calls, 0, f"c{i}", call(i))
    with it.lane() as lane:
        read_until(lane, has_read(10))
        state = lane.snapshot()
    _, *rest = state["partitions"][it.calls, 0]
    state["partitions"][it.calls, 0] = (4, *rest)
    admin = AdminClient(real_broker.client)  # its answers come only as long as it lives
    for answer in admin.delete_records([TopicPartition(it.calls, 0, 7)]).values():
        answer.result()
    with it.lane(state) as lane, pytest.raises(KafkaFailure, match=r"offset 4.*begins at 7.*3 offsets have expired"):
        read_until(lane, has_read(1))
    with it.lane(state, accept_data_loss=True) as lane:
        assert ids_of(read_until(lane, has_read(3))) == ["c7", "c8", "c9"]
    it.close()
