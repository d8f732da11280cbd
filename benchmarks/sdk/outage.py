"""Freezes a real broker, kills it and starts it again, under an agent that goes on, and counts what came."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from aftercall.snapshot import open_snapshot
from benchmarks.kafka_broker import Broker

TOPICS: Final = ("agent.calls", "agent.outcomes")
RATE: Final = 500
AGENT: Final = Path(__file__).with_name("agent.py")
_SILENCE_S: Final = 10.0


def outage(broker: Broker, folder: Path, frozen_s: float, dead_s: float) -> dict[str, Any]:
    """An agent through both; the topics must be there, and empty."""
    environment = {**os.environ, "AFTERCALL_SPOOL": str(folder / "spool")}
    command = [sys.executable, str(AGENT), broker.bootstrap, str(RATE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as agent:
        time.sleep(3)
        _freeze(broker, frozen_s)
        time.sleep(3)
        broker.kill()
        time.sleep(dead_s)
        broker.start()
        time.sleep(3)
        printed, _ = agent.communicate("\n", timeout=600)
    said: dict[str, Any] = json.loads(printed)
    records = _records(broker, "agent.calls")
    ids = Counter(json.loads(record)["call_id"] for record in records)
    in_snapshot = _snapshot(folder, records)
    return said | {
        "records": len(records),
        "in_snapshot": in_snapshot,
        "lost": said["made"] - in_snapshot,
        "doubled": len(records) - len(ids),
        "spools_left": len(list((folder / "spool").rglob("*.spool"))),
    }


def _freeze(broker: Broker, seconds: float) -> None:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(broker.pid, signal.SIGCONT)


def _records(broker: Broker, topic: str) -> list[bytes]:
    """All that a topic holds."""
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap, "group.id": "count", "enable.auto.commit": False, "log_level": 0}
    )
    partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[bytes] = []
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _SILENCE_S:
        for message in consumer.consume(1000, timeout=0.5):
            if message.error() is None and (value := message.value()) is not None:
                found.append(value)
                quiet_since = time.monotonic()
    consumer.close()
    return found


def _snapshot(folder: Path, records: list[bytes]) -> int:
    """How many calls there are in the snapshot of a replay of these."""
    calls = folder / "calls.jsonl"
    calls.write_bytes(b"".join(record + b"\n" for record in records))
    (folder / "outcomes.jsonl").write_bytes(b"")
    replay = [sys.executable, "-m", "aftercall", "replay", "--calls", str(calls)]
    replay += ["--outcomes", str(folder / "outcomes.jsonl"), "--out", str(folder / "out"), "--json"]
    subprocess.run(replay, check=True, capture_output=True, timeout=1200)
    with open_snapshot(folder / "out") as db:
        (count,) = db.execute("SELECT count(*) FROM calls").fetchone() or (0,)
    return int(count)
