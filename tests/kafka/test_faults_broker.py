"""The broker is away, refuses us, loses a topic or has a small one: waited for or reported, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from confluent_kafka.admin import AdminClient

from benchmarks.kafka_broker import Broker
from kafka.clusters import RealCluster
from kafka.service import STOP_S, Pipeline

Pipelines = Callable[..., Pipeline]
AWAY_S = float(os.environ.get("AFTERCALL_TEST_BROKER_AWAY_S", "10"))


class Fragile(NamedTuple):
    """A broker that may be stopped, with users."""

    broker: Broker
    cluster: RealCluster


@pytest.fixture(scope="module")
def fragile(kafka_is_here: None) -> Iterator[Fragile]:
    """One for all tests of this file that stop it: each leaves it running."""
    with Broker(users={"ada": "the right word"}, brief=True) as broker:
        yield Fragile(broker, RealCluster(broker.client))
        broker.kill()  # its records are not needed any more


@pytest.mark.slow
@pytest.mark.long
def test_a_broker_that_is_away_is_waited_for(pipeline: Pipelines, fragile: Fragile) -> None:
    it = pipeline(fragile.cluster)
    it.send(300)
    running = it.start(processes=2)
    running.until_counted()
    running.until(running.ready)
    it.send(3_000)
    fragile.broker.kill()
    gone = time.monotonic()
    try:
        running.until(lambda: running.probe("/readyz")[0] == 503)
        assert "broker: " in running.probe("/readyz")[1]
        while time.monotonic() - gone < AWAY_S:
            assert running.probe("/healthz")[0] == 200
            assert running.process.poll() is None
            time.sleep(0.2)
    finally:
        fragile.broker.start()
    it.send(300)
    running.until_counted()
    running.until(running.ready)
    running.stop()
    it.assert_right()
    assert running.logged("paused (broker): the broker does not answer")
    assert running.logged("resumed (broker)")


@pytest.mark.long
@pytest.mark.slow
def test_stopped_while_the_broker_is_away_it_ends_in_time_and_loses_nothing(
    pipeline: Pipelines, fragile: Fragile
) -> None:
    it = pipeline(fragile.cluster)
    it.send(300)
    running = it.start()
    running.until_counted()
    it.send(3_000)
    fragile.broker.kill()
    try:
        running.until(lambda: running.logged("the broker does not answer"))
        running.process.send_signal(signal.SIGTERM)
        code = running.ended(STOP_S)
    finally:
        fragile.broker.start()
    # Where something was on its way, that epoch cannot be stored, and it reports that.
    sentences = running.sentences()
    assert (code, sentences) == (0, []) or (code == 1 and "must be acknowledged" in sentences[0]), running.printed()
    it.assert_goes_on()


@pytest.mark.slow
def test_no_broker_at_the_start_is_reported_and_a_stop_ends_the_waiting(pipeline: Pipelines, fragile: Fragile) -> None:
    it = pipeline(fragile.cluster)
    it.settings["kafka"]["brokers"] = "127.0.0.1:1"
    running = it.start()
    running.until(lambda: running.logged("kafka.brokers"))
    running.process.send_signal(signal.SIGTERM)
    assert running.ended(10) == 0
    it.settings["kafka"]["brokers"] = fragile.cluster.bootstrap
    it.assert_goes_on()


@pytest.mark.slow
def test_wrong_credentials_are_reported_at_once(pipeline: Pipelines, fragile: Fragile) -> None:
    it = pipeline(fragile.cluster)
    right = it.settings["kafka.librdkafka"]["sasl.password"]
    it.settings["kafka.librdkafka"]["sasl.password"] = "the wrong word"
    running = it.start()
    running.assert_refused(1, "credentials", "sasl.password", promised_s=15)
    assert "the wrong word" not in running.printed()
    it.settings["kafka.librdkafka"]["sasl.password"] = right
    it.assert_goes_on()


@pytest.mark.slow
def test_topics_that_are_missing_are_named(pipeline: Pipelines) -> None:
    it = pipeline()
    topics = it.settings["kafka.topics"]
    topics |= {"outcomes": "nowhere", "alerts": "nor-there"}
    it.start().assert_refused(1, "kafka.topics", "missing: nowhere, nor-there", "aftercall topics create")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("which", ["outcomes", "verdicts"])
def test_a_topic_that_is_deleted_ends_it_with_a_sentence(pipeline: Pipelines, which: str) -> None:
    it = pipeline()
    it.send(300)
    running = it.start()
    running.until_counted()
    admin = AdminClient(it.cluster.client)
    for deleted in admin.delete_topics([it.topics[which]]).values():
        deleted.result()
    if which == "verdicts":
        it.send(3)
    running.assert_refused(1, it.topics[which], "aftercall topics create")


@pytest.mark.slow
def test_an_output_too_large_for_its_topic_is_cut_and_the_others_stay_whole(pipeline: Pipelines) -> None:
    it = pipeline()
    small = it.cluster.fresh_topic(2, "small", max_message_bytes="2000")
    it.topics["verdicts"] = it.settings["kafka.topics"]["verdicts"] = small
    it.send(300)
    # Hard to compress.
    long = os.urandom(3_000).hex()
    it.verdicts["call-1"] = "failure"
    it.send_outcome("call-1", 1, time.time() - 60, success=False, reason=long)
    it.cluster.flush()
    running = it.start()
    running.until_counted()
    running.stop()
    it.assert_right()
    newest = [json.loads(read.value or b"") for read in it.cluster.read_all(small)]
    assert [record["reason"] for record in newest if record["call_id"] == "call-1"][-1] is None
    assert running.logged("was shortened")
    (row,) = it.table("SELECT reason FROM statements WHERE call_id = 'call-1' AND reason IS NOT NULL")
    assert row["reason"] == long


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_broker_that_is_away_at_the_start_is_waited_for_and_probes_are_answered(
    pipeline: Pipelines, fragile: Fragile, processes: int
) -> None:
    it = pipeline(fragile.cluster)
    it.send(300)
    fragile.broker.stop()
    try:
        it.start("--wait-for-broker", "2s", processes=processes).assert_refused(1, "must answer within 2 s")
        running = it.start(processes=processes)
        running.until(lambda: running.probe("/healthz")[0] == 200)
        status, why = running.probe("/readyz")
        assert status == 503
        assert "broker: it has not answered yet" in why
        running.until(lambda: running.logged("waiting for one"))
    finally:
        fragile.broker.start()
    running.until_counted()
    running.until(running.ready)
    running.stop()
    it.assert_right()
