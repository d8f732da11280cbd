"""What is known of one call, in snapshots of this version and of earlier ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from aftercall.times import DAY_US
from connectors.snapshot.sql import call_hash
from connectors.snapshot.store import SnapshotStore
from flows.reports.show import story_of
from flows.reports.snapshot_reader import InsightError, open_snapshot
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


def _change(snapshot: Path, change: str) -> None:
    file = snapshot.resolve()
    file.chmod(0o600)
    with duckdb.connect(str(file)) as base:
        base.execute(change)


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
    _change(snapshot, change)
    assert _shown(snapshot)[1:] == (["o1", "o2"], tools)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE calls DROP COLUMN call_hash",  # a snapshot of an earlier version
        "UPDATE calls SET call_hash = 7",  # one by another DuckDB, that hashes in another way
        "UPDATE calls SET call_hash = (SELECT call_hash FROM calls WHERE call_id = 'c2')",
        "UPDATE calls SET call_hash = (SELECT any_value(call_hash) FROM calls WHERE call_id = 'c1')",
    ],
)
def test_whatever_the_hashes_are_a_call_is_found_by_its_id(snapshot: Path, change: str) -> None:
    before = story_of(snapshot, "c1").calls
    assert "call_hash" not in before[0]
    _change(snapshot, change)
    assert story_of(snapshot, "c1").calls == before
    with pytest.raises(InsightError, match="there is none with the id c3"):
        story_of(snapshot, "c3")


def test_each_of_two_calls_of_one_hash_is_found(tmp_path: Path) -> None:
    alike = f"SELECT min(i), max(i) FROM range(300_000) t(i) GROUP BY {call_hash('i')} HAVING count(*) > 1 LIMIT 1"
    with duckdb.connect() as base:
        ((one, other),) = base.execute(alike).fetchall()
    store = SnapshotStore(tmp_path)
    store.append_calls([call(1, call_id=str(one)), call(2, call_id=str(other), model="another"), call(3)])
    store.append_attempts([(str(other), AT + 2, 1, "large", "v2", 90.0, 0.5, "429")])
    store.commit(1)
    published(store)
    with open_snapshot(tmp_path / "outcomes.duckdb") as base:
        hashes = base.execute("SELECT count(*), count(DISTINCT call_hash) FROM calls").fetchall()
    assert hashes == [(4, 2)]
    found = [story_of(tmp_path / "outcomes.duckdb", str(id_)).calls for id_ in (one, other)]
    assert [[row["model"] for row in rows] for rows in found] == [["gpt"], ["another", "large"]]
