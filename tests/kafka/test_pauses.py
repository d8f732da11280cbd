"""Every pause, caused from outside: log, `/readyz` and metric show it, and its end, at the same time."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Producer

from benchmarks.faults.clock import WrongClock
from benchmarks.kafka_broker import Broker
from connectors.pauses import CAUSES
from kafka.clusters import RealCluster
from kafka.service import Pipeline, Running, rfc3339

ROOT = Path(__file__).parents[2]
ASK_S = 60.0
IN_FLIGHT_S = 40.0
"""How long outputs may take to count as unacknowledged: four times as long as on an idle machine."""


class Scene:
    """A running pipeline on a broker of its own; each row leaves both as it has found them, but for the time.

    `at` is that of the newest calls in every partition, s since 1970: long ago, so that each row can send newer ones.
    """

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker = broker
        cluster = RealCluster(broker.client)
        self.pipeline = Pipeline(
            cluster, folder, max_lead="5m", allowed_lateness="1s", max_future_skew="5s", max_waiting=1_200
        )
        self.at = time.time() - 7_200
        self.send(90)
        self.clock = WrongClock(folder / "clock")
        self.running: Running = self.pipeline.start(
            "--accept-data-loss", processes=1, before=lambda: None, **self.clock.variables
        )
        self.running.until_counted()
        self.transaction = Producer(broker.client | {"transactional.id": "held back", "log_level": 2})
        self.transaction.init_transactions(ASK_S)

    def send(self, count: int, *, newer_s: float = 0.0, partition: int | None = None) -> None:
        """Send calls, with their outcomes, that are newer than all before by so much."""
        self.at += newer_s
        self.pipeline.send(count, partition=partition, ago_s=time.time() - self.at)


def hold_a_partition_back(scene: Scene) -> None:
    """Behind an open transaction partition 1 is not at its end; partition 0 goes on by ten minutes."""
    call = {"call_id": "aborted", "occurred_at": rfc3339(scene.at), "task_type": "t", "model": "m"}
    scene.transaction.begin_transaction()
    scene.transaction.produce(scene.pipeline.topics["calls"], json.dumps(call), "aborted", partition=1)
    scene.transaction.flush(ASK_S)
    scene.send(90, newer_s=600, partition=0)


def let_it_go_on(scene: Scene) -> None:
    scene.transaction.abort_transaction(ASK_S)
    scene.send(90, partition=1)


def kill_the_broker_with_outputs_in_flight(scene: Scene) -> None:
    """Records that the pipeline has fetched become outputs that no broker takes. Again where it was too quick."""
    process = scene.running.process
    for _ in range(5):
        before = calls_read(scene)
        process.send_signal(signal.SIGSTOP)  # so that it reads all of them at once, in the moment of the kill
        scene.send(3_000)
        process.send_signal(signal.SIGCONT)
        scene.running.until(partial(has_read_more, scene, before), every_s=0.005)
        scene.broker.kill()
        killed_s = time.monotonic()
        while time.monotonic() - killed_s < IN_FLIGHT_S:
            if scene.running.metric("aftercall_paused", cause="unacknowledged"):
                return
            time.sleep(0.1)
        scene.broker.start()


def calls_read(scene: Scene) -> float:
    return scene.running.metric("aftercall_records_total", kind="call") or 0.0


def has_read_more(scene: Scene, before: float) -> bool:
    return calls_read(scene) > before


def start_the_broker(scene: Scene) -> None:
    scene.broker.start()


def delete_the_claims(scene: Scene) -> None:
    RealCluster(scene.broker.client).delete_topic("agent.claims")


def create_the_claims(scene: Scene) -> None:
    scene.pipeline.cluster.create_topic("agent.claims", message_timestamp_type="LogAppendTime")


def set_the_clock_back(scene: Scene) -> None:
    """By less than starts the service again, and by more than is allowed here."""
    scene.clock.set(-8)


def put_the_clock_right(scene: Scene) -> None:
    scene.clock.set(0)


def delete_a_topic(scene: Scene) -> None:
    RealCluster(scene.broker.client).delete_topic(scene.pipeline.topics["outcomes"])


def create_the_topic(scene: Scene) -> None:
    scene.pipeline.cluster = RealCluster(scene.broker.client)  # a producer keeps what it knows of the topic
    scene.pipeline.cluster.create_topic(scene.pipeline.topics["outcomes"], scene.pipeline.partitions)


def send_outcomes_without_their_calls(scene: Scene) -> None:
    """More than may wait, and newer than the newest call."""
    at = scene.at + 60
    for i in range(2_400):
        scene.pipeline.send_outcome(f"stranger-{i}", i % 2, at + i / 10_000, success=True)
    scene.pipeline.cluster.flush()


def send_newer_calls(scene: Scene) -> None:
    """They have passed these outcomes by more than `allowed_lateness`."""
    scene.send(90, newer_s=120)


class Row(NamedTuple):
    """What brings pauses about, what ends them, and of each cause a part of its sentence."""

    begin: Callable[[Scene], None]
    end: Callable[[Scene], None]
    causes: dict[str, str]


ROWS = (
    Row(
        hold_a_partition_back,
        let_it_go_on,
        {"ahead": r"(calls|outcomes)-\w+/[01] is more than 0:05:00 ahead of the slowest"},
    ),
    Row(
        kill_the_broker_with_outputs_in_flight,
        start_the_broker,
        {
            "broker": "the broker does not answer",
            "unacknowledged": r"\d+ output records are not acknowledged",
        },
    ),
    Row(
        delete_the_claims,
        create_the_claims,
        {"claim": r"the claim on the topics was not confirmed for \d+ s; nothing is read until it is"},
    ),
    Row(
        set_the_clock_back,
        put_the_clock_right,
        {"host_clock": r"the clock of this host is [78]s behind the broker's, and 5s are allowed"},
    ),
    Row(
        send_outcomes_without_their_calls,
        send_newer_calls,
        {"waiting_outcomes": r"outcomes-\w+/[01] is not read: as many outcomes as may"},
    ),
    Row(
        delete_a_topic,
        create_the_topic,
        {"topic_missing": r"the broker does not list outcomes-\w+; waiting 30 s"},
    ),
)
"""Each stands by itself, in any order: it leaves the pipeline running, the broker there, and partitions at one time."""


@pytest.fixture(scope="module")
def scene(kafka_is_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Broker(brief=True) as broker:
        made = Scene(broker, tmp_path_factory.mktemp("pauses"))
        yield made
        made.pipeline.close()


def test_each_cause_has_a_row_and_is_documented() -> None:
    names = [cause.name for cause in CAUSES]
    assert sorted(cause for row in ROWS for cause in row.causes) == names
    section = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("## Pauses")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == names


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row.causes))
def test_a_pause_shows_in_the_log_in_readyz_and_as_a_metric_and_leaves_them_together(scene: Scene, row: Row) -> None:
    running = scene.running
    running.until(running.ready)
    assert not any(places(running, cause) for cause in row.causes)
    row.begin(scene)
    try:
        running.until(lambda: all(places(running, cause) for cause in row.causes), every_s=0.05)
        status, body = running.probe("/readyz")
        assert status == 503
        reasons = json.loads(body)["reasons"]
        for cause, sentence in row.causes.items():
            assert re.search(rf"paused \({cause}\): .*{sentence}", running.printed())
            assert any(re.match(rf"{cause}: .*{sentence}", reason) for reason in reasons), reasons
        assert running.probe("/healthz")[0] == 200
    finally:
        row.end(scene)
    running.until(lambda: not any(places(running, cause) for cause in row.causes), every_s=0.05)
    for cause in row.causes:
        assert f"resumed ({cause}), after " in running.printed()
    running.until(running.ready)


def places(running: Running, cause: str) -> bool:
    """Whether a pause of this cause is going on: log, metric and `/readyz` must agree, whichever is read first."""

    def logged() -> bool:
        log = running.printed()
        return log.count(f"paused ({cause})") > log.count(f"resumed ({cause})")

    def measured() -> bool:
        return running.metric("aftercall_paused", cause=cause) == 1

    def answered() -> bool:
        return f'"{cause}: ' in running.probe("/readyz")[1]

    looks = [logged(), measured(), answered(), measured(), logged()]
    # It may begin or end between two looks, once; whatever is read later has seen that too.
    assert looks in (sorted(looks), sorted(looks, reverse=True)), looks
    return looks[-1]
