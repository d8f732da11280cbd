"""Every pause, caused from outside: log, `/readyz` and metric show it, and its end, at the same time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from benchmarks.kafka_broker import Broker
from connectors.pauses import CAUSES
from kafka.clusters import RealCluster
from kafka.service import Pipeline, Running, rfc3339

ROOT = Path(__file__).parents[2]
ASK_S = 60.0


class Scene:
    """A running pipeline on a broker of its own; each row leaves both as it has found them."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker = broker
        self.pipeline = Pipeline(RealCluster(broker.client), folder, max_lead="5m")
        self.pipeline.send(90)
        self.running: Running = self.pipeline.start("--accept-data-loss")
        self.running.until_counted()
        self.transaction = Producer(broker.client | {"transactional.id": "held back", "log_level": 2})
        self.transaction.init_transactions(ASK_S)

    def set_copies_wanted(self, count: int) -> None:
        """How many brokers must have a verdict before it is acknowledged; there is one broker."""
        entry = ConfigEntry("min.insync.replicas", str(count), incremental_operation=AlterConfigOpType.SET)  # type: ignore[no-untyped-call]
        topic = ConfigResource(ResourceType.TOPIC, self.pipeline.topics["verdicts"], incremental_configs=[entry])
        admin = AdminClient(self.pipeline.cluster.client)
        for done in admin.incremental_alter_configs([topic]).values():
            done.result(ASK_S)


def hold_a_partition_back(scene: Scene) -> None:
    """Behind an open transaction partition 1 is not at its end; partition 0 goes on by ten minutes."""
    call = {"call_id": "aborted", "occurred_at": rfc3339(time.time() - 600), "task_type": "t", "model": "m"}
    scene.transaction.begin_transaction()
    scene.transaction.produce(scene.pipeline.topics["calls"], json.dumps(call), "aborted", partition=1)
    scene.transaction.flush(ASK_S)
    scene.pipeline.send(90, partition=0, ago_s=0)


def let_it_go_on(scene: Scene) -> None:
    scene.transaction.abort_transaction(ASK_S)


def refuse_outputs(scene: Scene) -> None:
    scene.set_copies_wanted(2)
    scene.pipeline.send(90)


def take_outputs(scene: Scene) -> None:
    scene.set_copies_wanted(1)


def kill_the_broker(scene: Scene) -> None:
    scene.broker.kill()


def start_the_broker(scene: Scene) -> None:
    scene.broker.start()


def delete_a_topic(scene: Scene) -> None:
    RealCluster(scene.broker.client).delete_topic(scene.pipeline.topics["outcomes"])


def create_the_topic(scene: Scene) -> None:
    scene.pipeline.cluster = RealCluster(scene.broker.client)  # a producer keeps what it knows of the topic
    scene.pipeline.cluster.create_topic(scene.pipeline.topics["outcomes"], scene.pipeline.partitions)


class Row(NamedTuple):
    """A cause, what brings it about, what ends it, and a part of its sentence."""

    cause: str
    begin: Callable[[Scene], None]
    end: Callable[[Scene], None]
    sentence: str


ROWS = (
    Row("ahead", hold_a_partition_back, let_it_go_on, r"calls-\w+/0 is more than 0:05:00 ahead of the slowest"),
    Row("unacknowledged", refuse_outputs, take_outputs, r"\d+ output records are not acknowledged"),
    Row("broker", kill_the_broker, start_the_broker, "the broker does not answer"),
    Row("topic_missing", delete_a_topic, create_the_topic, r"the broker does not list outcomes-\w+; waiting 30 s"),
)


@pytest.fixture(scope="module")
def scene(kafka_is_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Broker(brief=True) as broker:
        made = Scene(broker, tmp_path_factory.mktemp("pauses"))
        yield made
        made.pipeline.close()


def test_each_cause_has_a_row_and_is_documented() -> None:
    names = [cause.name for cause in CAUSES]
    assert sorted(row.cause for row in ROWS) == sorted(names) == names
    section = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("## Pauses")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == names


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.cause)
def test_a_pause_shows_in_the_log_in_readyz_and_as_a_metric_and_leaves_them_together(scene: Scene, row: Row) -> None:
    running, cause = scene.running, row.cause
    running.until(running.ready)
    assert not places(running, cause)
    row.begin(scene)
    try:
        running.until(lambda: places(running, cause))
        assert re.search(rf"paused \({cause}\): .*{row.sentence}", running.printed())
        status, body = running.probe("/readyz")
        assert status == 503
        assert any(re.match(rf"{cause}: .*{row.sentence}", reason) for reason in json.loads(body)["reasons"])
        assert running.probe("/healthz")[0] == 200
    finally:
        row.end(scene)
    running.until(lambda: not places(running, cause))
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
