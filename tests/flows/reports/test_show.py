"""What is known of one call, in snapshots of this version and of earlier ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from aftercall.times import DAY_US
from connectors.snapshot.store import SnapshotStore
from flows.reports.show import story_of
from harness.snapshot_rows import AT, call, published


def _statement(number: int, at: int) -> tuple[Any, ...]:
    return ("c1", AT + at, f"o{number}", 1, "judge", None, AT + at + 9, "assert", True, None, None, None, True)


def _tool(position: int, at: int) -> tuple[Any, ...]:
    return ("c1", AT + at, position, "search", True, 1, 5.0, None, None, None, None, -1, None, None)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """One id of two calls, weeks apart, and another call between them."""
    store, later = SnapshotStore(tmp_path), 30 * DAY_US
    store.append_calls([call(1), call(2), ("c1", AT + later, *call(1)[2:])])
    store.append_statements([_statement(1, 1), ("c2", AT + 2, *_statement(3, 2)[2:]), _statement(2, later)])
    store.append_tool_calls([_tool(1, 1), _tool(2, later)])
    store.commit(1)
    published(store)
    return tmp_path / "outcomes.duckdb"


def _shown(snapshot: Path) -> tuple[int, list[str], list[int]]:
    story = story_of(snapshot, "c1")
    return len(story.calls), [one["outcome_id"] for one in story.statements], [one["position"] for one in story.tools]


def test_all_calls_with_an_id_have_their_statements_and_tools(snapshot: Path) -> None:
    assert _shown(snapshot) == (2, ["o1", "o2"], [1, 2])


@pytest.mark.parametrize(
    ("change", "tools"),
    [
        ("ALTER TABLE statements DROP COLUMN call_occurred_at", [1, 2]),
        ("DROP TABLE tool_calls", []),
        # Calls leave sooner than what was said about them, where `retention` says so.
        ("DELETE FROM calls", [1, 2]),
    ],
)
def test_a_snapshot_that_has_less_shows_what_it_has(snapshot: Path, change: str, tools: list[int]) -> None:
    file = snapshot.resolve()
    file.chmod(0o600)
    with duckdb.connect(str(file)) as base:
        base.execute(change)
    assert _shown(snapshot)[1:] == (["o1", "o2"], tools)
