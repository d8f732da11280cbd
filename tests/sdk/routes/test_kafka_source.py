"""The topic of recommendations is read whole, without a group, and each newer record takes effect at once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from aftercall.routes import Arm, KafkaSource, Routes
from benchmarks.kafka_broker import Broker
from harness.recommending import NOW_S, VALID_S, recommendation
from harness.waiting import HANG_S, assert_prompt, until
from kafka.clusters import Cluster, RealCluster

LARGE, SMALL, DEFAULT = Arm("large"), Arm("small"), Arm("careful")


def following(cluster: Cluster, topic: str, clock: Callable[[], float] = lambda: NOW_S) -> Routes:
    return Routes(KafkaSource(cluster.bootstrap, topic), clock=clock)


def becomes(routes: Routes, task_type: str, wanted: object) -> None:
    def got() -> object:
        route = routes.route(task_type, DEFAULT)
        return route.reason or route.arm

    until(lambda: got() == wanted, got)


def test_a_newer_recommendation_takes_effect_within_a_second_and_a_tombstone_removes(broker: Cluster) -> None:
    topic = broker.fresh_topic(3)
    broker.produce(topic, None, "triage", recommendation("triage", {LARGE: 1.0}))
    broker.produce(topic, None, "refund", recommendation("refund", {LARGE: 1.0}, seq=2))
    broker.produce(topic, None, "refund", recommendation("refund", {SMALL: 1.0}, seq=1))
    routes = following(broker, topic)
    assert routes.ready(HANG_S)
    assert (routes.route("triage", DEFAULT).arm, routes.route("refund", DEFAULT).arm) == (LARGE, LARGE)
    broker.produce(topic, None, "triage", recommendation("triage", {SMALL: 1.0}, seq=2))
    began = time.monotonic()
    becomes(routes, "triage", SMALL)
    assert_prompt(began, 1.0, lambda: None)
    broker.produce(topic, None, "triage", b"no recommendation")
    broker.produce(topic, None, "refund", None)
    becomes(routes, "refund", "unknown_task")
    assert routes.route("triage", DEFAULT).arm == SMALL


def test_an_empty_topic_is_read_to_its_end(broker: Cluster) -> None:
    routes = following(broker, broker.fresh_topic(4))
    assert routes.ready(HANG_S)
    assert routes.route("triage", DEFAULT).reason == "unknown_task"


def test_librdkafka_writes_nothing_to_the_output(mock_broker: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    source = KafkaSource(mock_broker.bootstrap, mock_broker.fresh_topic(), {"enable.idempotence": True})
    routes = Routes(source, clock=lambda: NOW_S)
    assert routes.ready(HANG_S)
    routes.close(HANG_S)
    assert capfd.readouterr() == ("", "")


def test_no_group_is_made_and_a_topic_and_partitions_may_come_later(
    real_broker: RealCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aftercall.routes.kafka_source._PARTITIONS_S", 0.2)
    topic = "later-" + real_broker.fresh_topic()
    routes = following(real_broker, topic)
    assert routes.route("triage", DEFAULT).reason == "not_ready"
    until(lambda: len(caplog.messages) == 2, lambda: caplog.messages)
    assert any("Unknown topic or partition" in message for message in caplog.messages), caplog.messages
    real_broker.create_topic(topic)
    assert routes.ready(HANG_S)
    admin = AdminClient(real_broker.client | {"log_level": 2})
    for added in admin.create_partitions([NewPartitions(topic, 2)]).values():
        added.result(HANG_S)
    real_broker.produce(topic, 1, "triage", recommendation("triage", {LARGE: 1.0}))
    becomes(routes, "triage", LARGE)
    groups = admin.list_consumer_groups(request_timeout=HANG_S).result(HANG_S).valid
    assert "aftercall-routes" not in {group.group_id for group in groups or []}


@pytest.mark.slow
def test_while_the_broker_is_away_the_last_one_counts_until_it_expires(
    new_broker: Callable[..., Broker], caplog: pytest.LogCaptureFixture
) -> None:
    broker = new_broker()
    broker.start()
    cluster, now = RealCluster(broker.client), [NOW_S]
    topic = cluster.fresh_topic()
    cluster.produce(topic, None, "triage", recommendation("triage", {LARGE: 1.0}))
    routes = following(cluster, topic, lambda: now[0])
    assert routes.ready(HANG_S)
    broker.kill()
    until(lambda: bool(caplog.messages), lambda: None)
    assert routes.route("triage", DEFAULT).arm == LARGE
    now[0] = NOW_S + 3600
    assert routes.route("triage", DEFAULT).arm == LARGE
    now[0] = NOW_S + VALID_S
    for _ in range(1_000):
        assert routes.route("triage", DEFAULT).reason == "expired"
    until(lambda: len(caplog.messages) == 2, lambda: caplog.messages)
    broker.start()
    cluster.produce(topic, None, "triage", recommendation("triage", {SMALL: 1.0}, seq=2, issued_s=now[0]))
    becomes(routes, "triage", SMALL)
    assert ["cannot be read" in caplog.messages[0], "expired" in caplog.messages[1]] == [True, True]
    assert len(caplog.messages) == 2


FORK = """
import os, sys, time
from aftercall.routes import Arm, KafkaSource, Routes
brokers, topic = sys.argv[1:]
routes = Routes(KafkaSource(brokers, topic), clock=lambda: {now})
assert routes.ready(600)
child = os.fork()
assert routes.route("triage", Arm("careful")).model == "large"
if not child:
    print("forked", flush=True)
while routes.route("triage", Arm("careful")).model != "small":
    time.sleep(0.01)
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_parent_and_forked_child_both_read_and_end_without_a_word(broker: Cluster) -> None:
    topic = broker.fresh_topic()
    broker.produce(topic, None, "triage", recommendation("triage", {LARGE: 1.0}))
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK.replace("{now}", str(NOW_S))]
    program = subprocess.Popen(
        [*command, broker.bootstrap, topic], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "forked\n"
    broker.produce(topic, None, "triage", recommendation("triage", {SMALL: 1.0}, seq=2))
    _, errors = program.communicate(timeout=HANG_S)
    assert (program.returncode, errors) == (0, "")
