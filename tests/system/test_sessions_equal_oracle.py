"""What is said about sessions, through the whole dataflow over files, equals the oracle."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.against import compare, compare_verdicts
from oracle.session_files import as_settings, files_of, replayed_files
from oracle.session_histories import SessionHistory, session_histories
from system.test_flow_equals_oracle import COSTLY, lines_of, replayed

if TYPE_CHECKING:
    from oracle.replay import Oracle

COUNTED = ("session_late", "session_cut", "sessions_dropped")


def agree(history: SessionHistory, workers: int) -> None:
    rules, files = as_settings(history.rules), files_of(history)
    with tempfile.TemporaryDirectory() as folder:
        out = replayed(rules, files, Path(folder), workers)
        expected = replayed_files(rules, files)
        compare(out / "outcomes.duckdb", cast("Oracle", expected))
        compare_verdicts(lines_of(out / "verdicts.jsonl"), cast("Oracle", expected))
        assert counted(out) == {name: expected.counters().get(name, 0) for name in COUNTED}


def counted(out: Path) -> dict[str, Any]:
    with duckdb.connect(str(out / "outcomes.duckdb"), read_only=True) as snapshot:
        row = snapshot.execute(f"SELECT {', '.join(COUNTED)} FROM pipeline").fetchone()
    assert row is not None
    return dict(zip(COUNTED, row, strict=True))


@pytest.mark.slow
@settings(parent=COSTLY, max_examples=4)
@given(session_histories(in_order=False), st.sampled_from([1, 2]))
def test_sessions_in_the_dataflow_equal_the_oracle(history: SessionHistory, workers: int) -> None:
    agree(history, workers)


@pytest.mark.first
@pytest.mark.long
@pytest.mark.slow
@settings(parent=COSTLY, max_examples=8)
@given(session_histories(), st.sampled_from([1, 2]))
def test_sessions_in_order_equal_the_oracle(history: SessionHistory, workers: int) -> None:
    agree(history, workers)
