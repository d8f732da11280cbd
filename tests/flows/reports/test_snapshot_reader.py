"""Reports read the newest snapshot, also one that replaces the file which they were about to open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.snapshot.store import SnapshotStore
from flows.reports.snapshot_reader import open_snapshot, rows

NOTHING: dict[str, Any] = {"calls": []}


def publish(folder: Path) -> None:
    """Only the newest file stays."""
    store = SnapshotStore(folder, keep=1)
    try:
        store.publish({}, NOTHING, NOTHING)
    finally:
        store.close()


def test_a_report_reads_the_snapshot_that_is_published_while_it_opens_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path)
    connect, count = duckdb.connect, [0]

    def late(*arguments: Any, **named: Any) -> duckdb.DuckDBPyConnection:
        count[0] += 1
        if count[0] == 1:
            publish(tmp_path)
        return connect(*arguments, **named)

    monkeypatch.setattr(duckdb, "connect", late)
    with open_snapshot(tmp_path / "outcomes.duckdb") as base:
        assert rows(base, "SELECT version FROM pipeline") == [{"version": 2}]
        publish(tmp_path)
        assert rows(base, "SELECT version FROM pipeline") == [{"version": 2}], "until it is closed"
    with open_snapshot(tmp_path / "outcomes.duckdb") as base:
        assert rows(base, "SELECT version FROM pipeline") == [{"version": 3}]
