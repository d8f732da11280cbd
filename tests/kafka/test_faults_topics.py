"""A topic is not what it was: recreated, cut, behind an open transaction, with other records at the same offsets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient

from benchmarks.faults.topic_tools import kept_logs, open_transaction, put_back, recreate
from benchmarks.kafka_broker import Broker
from kafka.clusters import RealCluster
from kafka.service import Pipeline, rfc3339

Pipelines = Callable[..., Pipeline]
INPUTS = ("calls", "outcomes")


def recreated(it: Pipeline) -> None:
    """Delete the input topics, and create them again."""
    recreate(it.cluster.client, [it.topics[name] for name in INPUTS], it.partitions)
    it.cluster = RealCluster(it.cluster.client)  # a producer keeps what it knows of the topics that are gone


@pytest.mark.slow
@pytest.mark.parametrize("calls", [300, pytest.param(9, marks=pytest.mark.long)])
def test_a_topic_that_was_recreated_while_it_was_stopped_is_refused_and_read_from_its_beginning_on_demand(
    pipeline: Pipelines, calls: int
) -> None:
    """Whether the new topic is longer than the stored position or not."""
    it = pipeline().ran(90)
    recreated(it)
    it.send(calls)
    it.start().assert_refused(1, it.topics["calls"], "must resume at offset", "was created", "--accept-data-loss")
    running = it.start("--accept-data-loss")
    running.until_counted()
    running.stop()
    it.assert_right()
    it.assert_goes_on()


@pytest.mark.slow
def test_a_topic_that_is_recreated_while_it_runs_ends_it_and_is_read_from_its_beginning_on_demand(
    pipeline: Pipelines,
) -> None:
    it = pipeline()
    it.send(90)
    running = it.start()
    running.until_counted()
    recreated(it)
    it.send(300)
    running.assert_refused(1, "--accept-data-loss")
    running = it.start("--accept-data-loss")
    running.until(lambda: (it.row().get("calls"), it.row().get("outcomes")) == (len(it.verdicts), it.outcomes))
    running.stop()
    # What was read of the new topics before the end was noticed comes again, and is a duplicate.
    row = it.row()
    assert row["records"] - row["duplicates"] == it.records
    assert {r["call_id"]: r["verdict"] for r in it.table("SELECT call_id, verdict FROM calls")} == it.verdicts


@pytest.mark.long
@pytest.mark.slow
def test_a_topic_that_was_recreated_with_fewer_partitions_is_refused_and_read_on_demand(pipeline: Pipelines) -> None:
    it = pipeline(partitions=3).ran(90)
    it.partitions = 1
    recreated(it)
    it.send(30)
    it.start().assert_refused(1, "must still have partition", "--accept-data-loss")
    running = it.start("--accept-data-loss")
    running.until_counted()
    running.stop()
    it.assert_right()


@pytest.mark.slow
def test_behind_an_open_transaction_a_partition_is_not_at_its_end_and_lag_says_so(pipeline: Pipelines) -> None:
    """With one partition: the calls behind the transaction would be too old, if time went on without them."""
    it = pipeline(partitions=1, lanes=1, horizon="1m", allowed_lateness="0s")
    aborted = {"call_id": "aborted", "occurred_at": rfc3339(time.time()), "task_type": "t", "model": "m"}
    transaction = open_transaction(it.cluster.client, it.topics["calls"], 0, "aborted", json.dumps(aborted).encode())
    it.send(30, ago_s=600)
    # The clock of the outcomes goes on: to times at which no call of ten minutes ago is taken any more.
    it.send_refused("outcomes", 0, b"{", "not_json")
    running = it.start()
    lag = "aftercall_consumer_lag_records"
    running.until(lambda: running.metric(lag, topic=it.topics["calls"]) == 31)
    waited = time.monotonic()
    running.until(lambda: time.monotonic() > waited + 5)
    assert it.row().get("calls", 0) == 0
    assert running.metric("aftercall_watermark_delay_seconds") is None or it.row()["watermark"] is None
    transaction.abort_transaction(60)
    running.until_counted()
    running.until(lambda: running.metric(lag, topic=it.topics["calls"]) == 0)
    running.stop()
    it.assert_right()


@pytest.mark.long
@pytest.mark.slow
def test_records_that_were_replaced_at_their_offsets_are_noticed(
    pipeline: Pipelines, new_broker: Callable[..., Broker]
) -> None:
    """As after an unclean election: a leader that lacks the newest records takes others in their place."""
    broker = new_broker()
    broker.start()
    it = pipeline(RealCluster(broker.client), partitions=1, lanes=1)
    it.send(30)
    broker.stop()
    logs = kept_logs(broker, [it.topics[name] for name in INPUTS], 1, it.folder / "logs")
    broker.start()
    it.send(30)
    running = it.start()
    running.until_counted()
    running.stop()
    broker.stop()
    put_back(logs, it.folder / "logs")
    broker.start()
    it.cluster = RealCluster(broker.client)
    it.send(90)
    it.start().assert_refused(1, "must resume at offset", "unclean election", "--accept-data-loss")
    running = it.start("--accept-data-loss")
    running.until(lambda: (it.row().get("calls"), it.row().get("outcomes")) == (len(it.verdicts), it.outcomes))
    running.stop()
    assert {r["call_id"]: r["verdict"] for r in it.table("SELECT call_id, verdict FROM calls")} == it.verdicts


def test_a_recreated_topic_has_another_id(real_broker: RealCluster) -> None:
    """On which the tests above rest."""
    name = real_broker.fresh_topic(1, "again")
    ids = []
    for _ in range(2):
        from confluent_kafka import TopicCollection

        admin = AdminClient(real_broker.client)
        ids.append(admin.describe_topics(TopicCollection([name]))[name].result().topic_id)
        real_broker.delete_topic(name)
        real_broker.create_topic(name, 1)
    assert str(ids[0]) != str(ids[1])
