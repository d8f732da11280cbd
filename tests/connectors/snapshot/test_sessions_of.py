"""Ids that outcomes give as their call's, and that are a session's."""

from __future__ import annotations

from pathlib import Path

from connectors.snapshot.store import SnapshotStore
from harness.snapshot_rows import AT, call


def test_an_id_is_a_sessions_where_calls_have_it_as_theirs_and_no_call_is_named_so(tmp_path: Path) -> None:
    """`c3` is both: its call has closed, and that is why an outcome waits."""
    store = SnapshotStore(tmp_path)
    calls = [call(1, session_id="s"), call(2, session_id="s"), call(3, session_id="c3"), call(4, session_id=None)]
    store.append_calls(calls)
    store.append_completions([("c4", AT + 4, "brought later", None, None, None, None, None)])
    store.commit(1)
    publication = store.begin_publish()
    try:
        assert publication.sessions_of(["s", "c3", "none", "brought later", "s"]) == ["brought later", "s"]
    finally:
        publication.abandon()
