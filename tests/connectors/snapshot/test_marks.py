"""Marks in the snapshot: published as they are, kept over a restart, and gone with the retention of alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connectors.snapshot.store import SnapshotStore
from harness.snapshot_rows import AT, published, query


def at(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC).replace(tzinfo=None)


def test_marks_are_published_survive_a_restart_and_are_forgotten_with_alerts(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_marks([("m1", AT, "refund", "prompt v8", AT + 5), ("m2", AT + 9, "*", None, AT + 10)])
    store.commit(1)
    store.append_marks([("m3", AT + 11, "*", None, AT + 12)])
    store.commit(2)
    store.close()
    store = SnapshotStore(tmp_path)
    store.resume(1)
    published(store)
    rows = "SELECT * FROM marks ORDER BY mark_id"
    first, second = ("m1", at(AT), "refund", "prompt v8", at(AT + 5)), ("m2", at(AT + 9), "*", None, at(AT + 10))
    assert query(tmp_path, rows) == [first, second]
    store.forget({"calls": AT + 100, "dead_letters": AT + 100})
    store.commit(2)
    published(store)
    assert query(tmp_path, rows) == [first, second]
    store.forget({"alerts": AT + 9})
    store.commit(3)
    published(store)
    assert query(tmp_path, rows) == [second]
