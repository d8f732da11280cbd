"""Rows for a snapshot store, and queries on what it publishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from connectors.snapshot.store import SnapshotStore

AT = 1_760_000_000_000_000
NOTHING: dict[str, Any] = {"calls": []}


def call(i: int, **changes: Any) -> tuple[Any, ...]:
    row = {
        "call_id": f"c{i}",
        "at": AT + i,
        "task_type": "support",
        "model": "gpt",
        "config": "v1",
        "segment": None,
        "session_id": None,
        "latency_ms": 12.5,
        "cost_usd": 0.25,
        "tokens": 7,
        "error": None,
        "attrs": '{"a":1}',
    }
    return tuple({**row, **changes}.values())


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Read through the version's own name: in one process DuckDB would serve an open link's old content."""
    with duckdb.connect(str((folder / "outcomes.duckdb").resolve()), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def published(store: SnapshotStore, **pipeline: Any) -> Path:
    return store.publish(pipeline, NOTHING, NOTHING)
