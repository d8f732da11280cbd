"""The README's section on Kafka and the page that continues it are what happens, on a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harness.waiting import HANG_S, until
from kafka.clusters import Cluster
from system.documents import document, run, section, shells

BROKER = "localhost:9092"
SERVICE = "aftercall run"


def _table(folder: Path, name: str, columns: str = "*") -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "outcomes.duckdb"), read_only=True) as base:
        return base.execute(f"SELECT {columns} FROM {name} ORDER BY ALL").fetchall()


def _records(folder: Path) -> int:
    if not (folder / "outcomes.duckdb").exists():
        return 0
    return sum(count for (count,) in _table(folder, "pipeline", "records"))


def _letters(folder: Path) -> list[tuple[Any, ...]]:
    return _table(folder, "dead_letters", "reason")


@pytest.mark.slow
def test_a_reader_of_the_readme_gets_from_kafka_what_the_replay_gave(real_broker: Cluster, tmp_path: Path) -> None:
    data, kafka = section("Your own data"), section("Kafka")
    example = next(block.commands for block in shells(data) if "mkdir -p mine" in block.commands)
    run(example, tmp_path)
    folder = tmp_path / "mine"
    env = {name: value for name, value in os.environ.items() if not name.startswith("AFTERCALL_")}
    hurry = {"JOIN__IDLE_AFTER": "2s", "SNAPSHOT__EVERY": "1s", "RECOVERY__EPOCH": "1s", "SERVICE__PORT": "0"}
    env |= {f"AFTERCALL_{name}": value for name, value in hurry.items()}
    service: subprocess.Popen[bytes] | None = None
    try:
        for block in shells(kafka + document("docs/kafka.md")):
            commands, started, options = block.commands.replace(BROKER, real_broker.bootstrap).partition(SERVICE)
            run(commands, folder)
            if started:
                assert service is None
                command = [f"{Path(sys.executable).parent}/aftercall", "run", *options.split()]
                service = subprocess.Popen(command, cwd=folder, env=env)
        assert service is not None
        live = folder / "live"
        until(lambda: service.poll() is not None or _records(live) >= 12, lambda: _records(live), every_s=0.2)
        assert service.poll() is None
        # The watermark goes on once the partitions are idle: only then is an orphan no longer one that waits.
        until(lambda: ("orphan",) in _letters(live), lambda: _letters(live), every_s=0.2)
        service.send_signal(signal.SIGINT)
        assert service.wait(HANG_S) == 0
    finally:
        if service is not None and service.poll() is None:
            service.kill()
    for name in ("calls", "statements", "rates"):
        assert _table(folder / "live", name) == _table(folder / "out", name)
    counted = "records - marks, calls, outcomes, duplicates, waiting, orphans, dead_letters, "
    counted += "pending, successes, failures"
    assert _table(folder / "live", "pipeline", counted) == _table(folder / "out", "pipeline", counted)
    assert _table(folder / "live", "pipeline", "marks") == [(1,)]  # the mark of docs/kafka.md
