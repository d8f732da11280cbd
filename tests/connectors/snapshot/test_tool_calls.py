"""Tool calls, and what else calls carry, in the snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from connectors.snapshot.columns import columns_of
from connectors.snapshot.store import SnapshotStore
from connectors.snapshot.tables import DETAILS, LOGS
from harness.snapshot_rows import AT, NOTHING, call, published, query

MORE = ("parent", "rec", 0.25, "2026-10", "canary-1", "canary", 3, 600, 212, 2)
NAMES = ", ".join(DETAILS)
FAILED = ("crm", False, 3, 12.5, "timeout", None, None, None, None, None, None)
EMPTY = ("search", True, 1, None, None, False, True, True, 0, AT - 9, '[{"id":"d"}]')


def tool(i: int, position: int, *rest: Any) -> tuple[Any, ...]:
    return (f"c{i}", AT + i, position, *rest)


def test_what_a_call_carries_is_in_its_columns_whichever_record_brought_it(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_calls([(*call(1), *MORE), (*call(2), *(None,) * 10), (*call(3), "parent", *(None,) * 9)])
    store.append_completions(
        [
            ("c2", AT + 2, *(None,) * 6, *MORE[:7], *(None,) * 3),
            ("c2", AT + 2, *(None,) * 13, *MORE[7:]),
            ("c3", AT + 3, *(None,) * 15, 4),
            ("c3", AT + 3, *(None,) * 15, 0),
            ("c1", AT + 1, *(None,) * 15, MORE[-1] - 1),
        ]
    )
    store.append_attempts([("c1", AT + 1, 1, "large", "v2", 90.0, 0.5, "429")])
    store.commit(1)
    published(store)
    rows = query(tmp_path, f"SELECT call_id, attempt, {NAMES} FROM calls ORDER BY ALL")
    assert rows == [
        ("c1", 0, *MORE),
        # What it cost to ask, and why it was asked, are of the model that answered.
        ("c1", 1, "parent", None, None, "2026-10", "canary-1", "canary", 3, None, None, None),
        ("c2", 0, *MORE),
        ("c3", 0, "parent", *(None,) * 8, 4),
    ]


def test_tool_calls_go_with_their_calls(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_calls([call(1), call(2), call(3)])
    store.append_tool_calls([tool(1, 1, *FAILED), tool(1, 2, *EMPTY), tool(2, 1, *EMPTY), tool(3, 7, *FAILED)])
    store.commit(1)
    published(store)
    shown = "SELECT call_id, position, name, ok, attempts, error, empty, items, data_at, documents FROM tool_calls"
    rows = query(tmp_path, f"{shown} ORDER BY ALL")
    assert rows[0] == ("c1", 1, "crm", False, 3, "timeout", None, None, None, None)
    assert rows[1][:8] == ("c1", 2, "search", True, 1, None, True, 0)
    assert rows[1][9] == '[{"id":"d"}]'
    assert query(
        tmp_path, "SELECT epoch_us(call_occurred_at), epoch_us(data_at) FROM tool_calls WHERE position = 2"
    ) == [(AT + 1, AT - 9)]
    store.erase(["c1"])
    store.forget({"calls": AT + 3})
    store.commit(2)
    published(store)
    assert query(tmp_path, "SELECT call_id, position FROM tool_calls") == [("c3", 7)]
    left = store._connection.execute("SELECT call_id FROM tool_calls").fetchall()
    assert left == [("c3",)]


@pytest.mark.parametrize(("calls", "ids"), [("all", ["c1", "c2"]), ("decided", ["c2"]), ("none", [])])
def test_a_snapshot_has_the_tool_calls_of_the_calls_that_it_has(tmp_path: Path, calls: str, ids: list[str]) -> None:
    store = SnapshotStore(tmp_path, calls=calls)
    store.append_calls([call(1), call(2)])
    store.append_tool_calls([tool(1, 1, *FAILED), tool(2, 1, *FAILED)])
    store.append_tool_calls([("c2", AT + 999, 1, *FAILED)][: calls == "all"])  # of a call of before with this id
    store.append_verdicts([("c2", AT + 2, "success", 1.0, "judge", AT + 9, 1, 0)])
    store.commit(1)
    published(store)
    assert query(tmp_path, "SELECT DISTINCT call_id FROM tool_calls ORDER BY 1") == [(name,) for name in ids]


def test_rates_of_tools_are_published_as_they_are_given(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.commit(1)
    hour = 3_600_000_000 * 400_000
    given = {
        "task_type": np.array(["t", "t"], np.object_),
        "tool": np.array(["search", None], np.object_),
        "window_start": np.array([hour, hour]),
        "calls": np.array([5, 1]),
        "failures": np.array([2, 0]),
        "retries": np.array([3, 0]),
    }
    store.begin_publish().write({}, NOTHING, NOTHING, tool_rates=given)
    assert query(tmp_path, "SELECT * EXCLUDE (window_start), epoch_us(window_start) FROM tool_rates") == [
        ("t", "search", 5, 2, 3, hour),
        ("t", None, 1, 0, 0, hour),
    ]
    published(store)
    assert query(tmp_path, "SELECT count(*) FROM tool_rates") == [(0,)]


def test_a_live_database_of_before_gains_the_columns_and_keeps_its_rows(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    before = [name for name in LOGS["calls"] if name not in NAMES.split(", ")]
    with duckdb.connect(str(state / "live.duckdb")) as live:
        columns = ", ".join(f'"{name}" {LOGS["calls"][name]}' for name in before)
        live.execute(f"CREATE TABLE calls ({columns}, cut BIGINT)")
        live.executemany(f"INSERT INTO calls VALUES ({', '.join('?' * 13)})", [(*call(i), 1) for i in range(3)])
        live.execute("CREATE TABLE last_cut AS SELECT 1 AS cut")
    store = SnapshotStore(tmp_path)
    store.resume(1)
    store.append_calls([(*call(3), *MORE)])
    store.append_tool_calls([tool(3, 1, *EMPTY)])
    store.commit(2)
    published(store)
    rows = query(tmp_path, f"SELECT call_id, tokens, attrs, {NAMES} FROM calls ORDER BY call_id")
    assert rows == [*((f"c{i}", 7, '{"a":1}', *(None,) * 10) for i in range(3)), ("c3", 7, '{"a":1}', *MORE)]
    assert query(tmp_path, "SELECT call_id FROM tool_calls") == [("c3",)]


def test_columns_hold_what_rows_hold(tmp_path: Path) -> None:
    """Absent values at the beginning, at the end, everywhere; text that looks like a number; a NUL."""
    table = {"a": "VARCHAR", "b": "BIGINT", "c": "DOUBLE", "d": "BOOLEAN", "e": "INTEGER", "f": "VARCHAR"}
    none = (None,) * 5
    rows = [none] * 1500 + [("12", 2**62, 0.1, True, -5), ("a\0b", -(2**63), 1e300, False, 2**31 - 1), none]
    with duckdb.connect(str(tmp_path / "a.duckdb")) as base:
        base.execute(f"CREATE TABLE t ({', '.join(f'{name} {kind}' for name, kind in table.items())})")
        arrays, listed = columns_of(rows, table)
        base.register("given", arrays)
        base.execute(f"INSERT INTO t SELECT {listed} FROM given")
        assert base.execute("SELECT * FROM t").fetchall() == [(*row, None) for row in rows]
