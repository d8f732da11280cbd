"""The snapshot sink inside a dataflow: counts add up, publication keeps its share, a restart changes nothing."""

from __future__ import annotations

import threading
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import duckdb
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, cluster_main

from aftercall.records import Digest
from aftercall.times import MINUTE_US
from connectors.snapshot.versions import newest_version
from flows.dataflow.snapshot_messages import (
    CallRows,
    CellChanges,
    Clock,
    DesignEffects,
    DigestRows,
    SnapshotMessage,
    SuspicionRows,
    Tally,
    VerdictRows,
)
from flows.dataflow.snapshot_sink import SnapshotPartition, SnapshotSettings, SnapshotSink
from models import plain
from models.messages import CellDeltas, DelayDeltas, LatencyDeltas

AT = 1_760_000_000_000_000 // MINUTE_US * MINUTE_US
NAMES = [("support", "gpt", "v1")]


class Wheel:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def settings(folder: Path, *, live: bool = False, wheel: Wheel | None = None, **more: Any) -> SnapshotSettings:
    return SnapshotSettings(folder=folder, live=live, monotonic=wheel or Wheel(), wall_us=lambda: AT, **more)


def minute(i: int) -> list[SnapshotMessage]:
    """Two calls in minute i, one of which has succeeded."""
    at = AT + i * MINUTE_US
    rows = [(f"c{i}-{k}", at + k, "support", "gpt", "v1", None, None, 5.0, 0.1, 3, None, None) for k in range(2)]
    i32 = np.int32
    code, when, one = np.zeros(1, i32), np.array([at // MINUTE_US], i32), np.ones(1, i32)
    cells = CellDeltas(code, when, one * 2, one, one * 0, one * 0, np.array([200_000_000]))
    latencies = LatencyDeltas(code, when, np.array([200], np.int16), one * 2)
    delays = DelayDeltas(code, when // 60, np.ones(1, np.int8), np.array([4], np.int16), one)
    return [
        CallRows(rows),
        VerdictRows([(f"c{i}-0", at, "success", None, "user_feedback", at + 9, 1, 0)]),
        CellChanges(NAMES, cells, latencies, delays),
        Tally({"records": 3, "calls": 2, "outcomes": 1, "successes": 1}),
        Clock(at + 30_000_000, at + 1, {"calls.jsonl": i}),
    ]


def read(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str((folder / "outcomes.duckdb").resolve()), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def everything(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("calls", "statements", "rates", "current_rates", "dead_letters")
    return {table: read(folder, f"SELECT * FROM {table} ORDER BY ALL") for table in tables} | {
        "pipeline": read(folder, "SELECT * EXCLUDE (version, written_at) FROM pipeline")
    }


def wait(partition: SnapshotPartition) -> None:
    if partition._running is not None:
        futures.wait([partition._running], 20)
    partition._check_publication()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_finite_flow_ends_with_a_snapshot_that_adds_up(tmp_path: Path, workers: int) -> None:
    messages = [("snapshot", message) for i in range(50) for message in minute(i)]
    flow = Dataflow("snapshots")
    stream = op.input("in", flow, TestingSource(messages, 7))
    op.output("out", stream, SnapshotSink(settings(tmp_path)))
    cluster_main(flow, [], 0, worker_count_per_proc=workers, epoch_interval=timedelta(0))
    assert read(tmp_path, "SELECT records, calls, outcomes, pending, successes, positions FROM pipeline") == [
        (150, 100, 50, 50, 50, '{"calls.jsonl": 49}')
    ]
    assert read(tmp_path, "SELECT count(*), count(verdict_at) FROM calls") == [(100, 50)]
    assert read(tmp_path, "SELECT sum(calls), sum(successes) FROM rates WHERE grain = '1h'") == [(100, 50)]
    as_of = datetime.fromtimestamp((AT + 50 * MINUTE_US) / 1e6, UTC).replace(tzinfo=None)
    assert read(tmp_path, "SELECT DISTINCT as_of, calls FROM current_rates") == [(as_of, 100)]


def test_suspicions_replace_those_before_and_outlive_a_restart(tmp_path: Path) -> None:
    row = (AT, "support", "gpt", None, "success_rate", "down", 0.9, 0.8, 50, AT - MINUTE_US, 0.25, 0.5)
    partition = SnapshotPartition(settings(tmp_path), None)
    partition.write_batch([*minute(0), SuspicionRows([row, row])])
    partition.write_batch([SuspicionRows([row])])
    state = plain.unpack(plain.pack(partition.snapshot()))
    partition._store.close()
    resumed = SnapshotPartition(settings(tmp_path), state)
    resumed.write_batch(minute(1))
    resumed.snapshot()
    resumed.close()
    assert read(tmp_path, "SELECT epoch_us(as_of), * EXCLUDE (as_of, changed_at) FROM suspicions") == [
        (*row[:9], *row[10:])
    ]


def test_design_effects_replace_those_before_and_outlive_a_restart(tmp_path: Path) -> None:
    (group,) = {names for message in minute(0) if isinstance(message, CellChanges) for names in message.names}
    partition = SnapshotPartition(settings(tmp_path), None)
    partition.write_batch([*minute(0), DesignEffects([(group, 9.0), ((group[0], None, None), 4.0)])])
    partition.write_batch([DesignEffects([(group, 3.0)])])
    state = plain.unpack(plain.pack(partition.snapshot()))
    partition._store.close()
    resumed = SnapshotPartition(settings(tmp_path), state)
    resumed.write_batch(minute(1))
    resumed.snapshot()
    resumed.close()
    assert read(tmp_path, "SELECT DISTINCT design_effect, task_design_effect FROM current_rates") == [(3.0, 4.0)]
    del state["design_effects"]  # that of an earlier version
    before = SnapshotPartition(settings(tmp_path), state)
    before.write_batch(minute(1))
    before.snapshot()
    before.close()
    assert read(tmp_path, "SELECT DISTINCT design_effect, task_design_effect FROM current_rates") == [(1.0, 1.0)]


def test_resuming_from_an_older_snapshot_ends_like_an_undisturbed_run(tmp_path: Path) -> None:
    def run(folder: Path, *, crash: bool) -> dict[str, list[tuple[Any, ...]]]:
        partition = SnapshotPartition(settings(folder), None)
        resume: tuple[int, Any] = (0, None)
        i = 0
        while i < 30:
            partition.write_batch(minute(i))
            i += 1
            if i % 4 == 0:
                state = plain.unpack(plain.pack(partition.snapshot()))
                if i == 12:
                    resume = (i, state)
            if crash and i == 22:
                crash = False
                partition._store.close()
                i = resume[0]
                partition = SnapshotPartition(settings(folder), resume[1])
        partition.snapshot()
        partition.close()
        return everything(folder)

    assert run(tmp_path / "crashed", crash=True) == run(tmp_path / "smooth", crash=False)


def test_publication_waits_for_its_turn_and_runs_beside_the_dataflow(tmp_path: Path) -> None:
    wheel = Wheel()
    partition = SnapshotPartition(settings(tmp_path, live=True, wheel=wheel), None)
    partition.write_batch(minute(0))
    partition.snapshot()
    assert not (tmp_path / "outcomes.duckdb").exists()
    wheel.now = 60.0
    partition.write_batch(minute(1))
    partition.snapshot()
    partition.write_batch(minute(2))
    wait(partition)
    assert read(tmp_path, "SELECT version, calls, (SELECT count(*) FROM calls) FROM pipeline") == [(1, 4, 4)]
    as_of = datetime.fromtimestamp((AT + MINUTE_US) / 1e6, UTC).replace(tzinfo=None)
    assert read(tmp_path, "SELECT DISTINCT as_of, calls FROM current_rates") == [(as_of, 2)]
    partition.snapshot()
    wait(partition)
    assert read(tmp_path, "SELECT version FROM pipeline") == [(1,)]
    wheel.now = 120.0
    partition.snapshot()
    wait(partition)
    assert read(tmp_path, "SELECT version FROM pipeline") == [(2,)]
    partition.close()


def test_the_interval_stretches_until_publication_takes_a_tenth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = Wheel()
    partition = SnapshotPartition(settings(tmp_path, live=True, wheel=wheel), None)

    def slow(publication: Any, *_: Any, **__: Any) -> None:
        publication.abandon()
        wheel.now += 20.0

    monkeypatch.setattr("flows.dataflow.snapshot_sink.publish_counts", slow)
    wheel.now = 60.0
    partition.snapshot()
    wait(partition)
    assert partition._due == 80.0 + 180.0


def test_an_error_while_publishing_reaches_the_dataflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Wheel()
    partition = SnapshotPartition(settings(tmp_path, live=True, wheel=wheel), None)

    def full(publication: Any, *_: Any, **__: Any) -> None:
        publication.abandon()
        raise OSError("No space left on device")

    monkeypatch.setattr("flows.dataflow.snapshot_sink.publish_counts", full)
    wheel.now = 60.0
    partition.snapshot()
    with pytest.raises(OSError, match="No space left"):
        wait(partition)


def test_while_it_works_it_starts_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory `Thread.start` may wait for ever: the one that publishes is there from the beginning."""
    wheel = Wheel()
    partition = SnapshotPartition(settings(tmp_path, live=True, wheel=wheel, every=timedelta(0)), None)
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("it may wait for ever"))
    for i in range(3):
        partition.write_batch(minute(i))
        wheel.now += 1
        partition.snapshot()
        wait(partition)
    assert newest_version(tmp_path) == 3
    partition.close()


def test_closed_in_the_middle_of_an_epoch_it_publishes_nothing_of_it(tmp_path: Path) -> None:
    """As Bytewax does where another process has died."""
    wheel = Wheel()
    partition = SnapshotPartition(settings(tmp_path, live=True, wheel=wheel), None)
    partition.write_batch(minute(0))
    wheel.now = 60.0
    state = plain.unpack(plain.pack(partition.snapshot()))
    wait(partition)
    partition.write_batch(minute(1))
    partition.close()
    assert read(tmp_path, "SELECT version, calls, (SELECT count(*) FROM calls) FROM pipeline") == [(1, 2, 2)]
    again = SnapshotPartition(settings(tmp_path, live=True, wheel=wheel), state)
    again.write_batch(minute(1))
    again.snapshot()
    again.close()
    assert read(tmp_path, "SELECT version, calls, (SELECT count(*) FROM calls) FROM pipeline") == [(2, 4, 4)]


def test_old_rows_are_forgotten_at_publication(tmp_path: Path) -> None:
    partition = SnapshotPartition(settings(tmp_path, forget={"calls": timedelta(minutes=10)}), None)
    for i in range(30):
        partition.write_batch(minute(i))
    partition.snapshot()
    partition.close()
    assert read(tmp_path, "SELECT count(*), (SELECT any_value(calls) FROM pipeline) FROM calls") == [(20, 60)]


def test_a_digest_that_a_week_brought_is_in_the_snapshot_once_also_after_a_restart(tmp_path: Path) -> None:
    week = Digest.sealed(
        week="2025-W41", issued_at=datetime(2025, 10, 13, tzinfo=UTC), groups=9, false_discovery_rate=0.05, entries=[]
    )
    first = SnapshotPartition(settings(tmp_path), None)
    state = first.snapshot()
    first.write_batch([*minute(1), DigestRows([week])])
    first.snapshot()
    first.abandon()
    again = SnapshotPartition(settings(tmp_path), state)
    again.write_batch([*minute(1), DigestRows([week])])
    again.snapshot()
    again.close()
    assert read(tmp_path, "SELECT week, groups, rank FROM digests") == [("2025-W41", 9, None)]
