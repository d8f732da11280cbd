"""The examples in other languages do on a real broker what their page says; without their tools they are skipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Producer

from aftercall import AgentCall, Outcome
from aftercall.routes import Arm, KafkaSource, Routes
from benchmarks.kafka_jars import jars
from harness.recommending import VALID_S, recommendation
from harness.waiting import HANG_S
from kafka.clusters import RealCluster
from system.documents import ROOT, document, shells

pytestmark = pytest.mark.slow

PARTITIONS: Final = 4
NO_NETWORK: Final = re.compile(r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|dial tcp|no such host|i/o timeout")


def shown(title: str) -> str:
    """The commands of a section of the page."""
    page = document("examples/README.md")
    (section,) = re.findall(rf"^## {title}\n.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    (block,) = shells(section)
    return block.commands


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)} on the path")


def run(commands: str, folder: Path) -> str:
    """What the commands print, in a copy of the examples. Skips where no registry of packages can be reached."""
    examples = folder / "examples"
    shutil.copytree(ROOT / "examples", examples, ignore=shutil.ignore_patterns("node_modules", "build"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", commands],
        cwd=examples,
        env=os.environ | {"PATH": path, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip(f"needs packages that cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def sent(broker: RealCluster, topic: str, keys: list[str]) -> list[dict[str, Any]]:
    """The records, in the order of their keys, which are where a producer in Java places them."""
    java = broker.fresh_topic(PARTITIONS, "as-java")
    producer = Producer(broker.client | {"partitioner": "murmur2_random"})
    for key in keys:
        producer.produce(java, b"{}", key)
    assert producer.flush(HANG_S) == 0
    places = {record.key: record.partition for record in broker.read_all(java)}
    records = {record.key: record for record in broker.read_all(topic)}
    assert {key: record.partition for key, record in records.items()} == places
    assert len(set(places.values())) > 1
    return [json.loads(records[key.encode()].value or b"") for key in keys]


def test_a_producer_in_typescript_sends_typed_calls(real_broker: RealCluster, tmp_path: Path) -> None:
    needs("node", "npm")
    topic, ids = real_broker.fresh_topic(PARTITIONS, "calls"), [f"c{number}" for number in range(20)]
    commands = shown("TypeScript: send calls").replace("localhost:9092 agent.calls c1 c2 c3", "$0")
    run(commands.replace("$0", f"{real_broker.bootstrap} {topic} {' '.join(ids)}"), tmp_path)
    calls = [AgentCall.model_validate(call) for call in sent(real_broker, topic, ids)]
    assert [(call.call_id, call.model, call.config) for call in calls] == [(one, "large", "prompt-v7") for one in ids]


@pytest.mark.long  # compiles the client: 40 s of CPU on a new machine
def test_a_producer_in_go_sends_outcomes(real_broker: RealCluster, tmp_path: Path) -> None:
    needs("go")
    topic, ids = real_broker.fresh_topic(PARTITIONS, "outcomes"), [f"c{number}" for number in range(20)]
    given = " ".join([*ids[:-1], f"{ids[-1]}-"])
    commands = shown("Go: send outcomes").replace("localhost:9092 agent.outcomes c1 c2 c3-", "$0")
    run(commands.replace("$0", f"{real_broker.bootstrap} {topic} {given}"), tmp_path)
    outcomes = [Outcome.model_validate(outcome) for outcome in sent(real_broker, topic, ids)]
    assert [(one.call_id, one.success) for one in outcomes] == [(one, one != ids[-1]) for one in ids]


def test_a_router_in_java_draws_what_the_sdk_draws(
    kafka_is_here: None, real_broker: RealCluster, tmp_path: Path
) -> None:
    needs("java", "javac")
    now = float(int(time.time()))
    topic, keys = real_broker.fresh_topic(2, "recommendations"), [f"Benutzer-ü{number}" for number in range(60)]
    # By code points, not by the units of UTF-16, in which the last two change places.
    weights = {("a", "v1"): 0.0, ("a", "v2"): 0.1, ("模型", "v1"): 0.4, ("\uff21", "v"): 0.2, ("\U0001f600", "v"): 0.3}
    for record in (
        recommendation("support", {("lost", "state"): 1.0}, seq=500, issued_s=now - 2 * VALID_S),
        recommendation("support", weights, seq=2, issued_s=now),
        recommendation("support", {("older", "v1"): 1.0}, seq=1, issued_s=now),
    ):
        real_broker.produce(topic, None, "support", record)
    folder = jars()
    commands = shown("Java: follow recommendations").replace("$(echo ../.kafka/jars-*)", str(folder))
    commands = commands.replace("localhost:9092 agent.recommendations support user-17 user-18", "$0")
    commands = commands.replace("java -cp", "java -Dfile.encoding=UTF-8 -XX:TieredStopAtLevel=1 -cp")
    printed = run(commands.replace("$0", f"{real_broker.bootstrap} {topic} support {' '.join(keys)}"), tmp_path)
    routes = Routes(KafkaSource(real_broker.bootstrap, topic))
    assert routes.ready(HANG_S)
    drawn = [routes.route("support", Arm("careful"), key=key)._asdict() for key in keys]
    routes.close()
    fields = ("model", "config", "recommendation_id", "propensity")
    assert [json.loads(line) for line in printed.splitlines()] == [
        {name: one[name] for name in fields} for one in drawn
    ]
    assert {one["model"] for one in drawn} == {"a", "模型", "\uff21", "\U0001f600"}
