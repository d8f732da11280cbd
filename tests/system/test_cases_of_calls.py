"""Calls as people report them: at the start and at the end, and after a fallback, also from ../shared/cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall, call, counts, lines, outcome, table

RATES = "SELECT model, calls, successes, failures FROM current_rates WHERE span = '7d' ORDER BY 1"


def replayed(folder: Path, calls: list[dict[str, Any]], outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """What `replay --json` prints."""
    (folder / "calls.jsonl").write_bytes(lines(calls))
    (folder / "outcomes.jsonl").write_bytes(lines(outcomes))
    done = aftercall(
        folder, "replay", "--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--out", "out", "--json"
    )
    return counts(done)


def case(cases: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    folder = next(iter(cases.glob("26-*")), None)
    if folder is None:
        pytest.skip("needs case 26 in ../shared/cases beside this checkout; it is not there")
    calls, outcomes = (
        [json.loads(line) for line in (folder / f"{kind}.jsonl").read_text("utf-8").splitlines()]
        for kind in ("calls", "outcomes")
    )
    return calls, outcomes


def test_a_fallback_credits_the_model_that_answered(field_cases: Path, tmp_path: Path) -> None:
    """The case as its sender is asked to write it: one record, with the model that failed in `attempts`."""
    (failed, answered, other), outcomes = case(field_cases)
    tried = {name: failed[name] for name in ("model", "config", "error", "latency_ms")}
    found = replayed(tmp_path, [{**answered, "attempts": [tried]}, other], outcomes)
    assert (found["calls"], found["attempts"], found["successes"], found["failures"]) == (2, 1, 2, 1)
    assert table(tmp_path / "out", RATES) == [("backup", 1, 1, 0), ("large", 2, 1, 1)]
    columns = "call_id, attempt, model, verdict, verdict_source, statements, error, latency_ms"
    assert table(tmp_path / "out", f"SELECT {columns} FROM calls ORDER BY call_id, attempt") == [
        ("call-0000", 0, "backup", "success", "user_feedback", 1, None, 1800.0),
        ("call-0000", 1, "large", "failure", "call", 0, "429 rate limited", 90.0),
        ("call-0001", 0, "large", "success", "user_feedback", 1, None, None),
    ]


def test_a_fallback_under_one_id_is_refused_with_the_field_and_the_remedy(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(tmp_path, *case(field_cases))
    assert (found["calls"], found["completed"], found["dead_letter_reasons"]) == (2, 0, {"conflict": 1})
    ((detail,),) = table(tmp_path / "out", "SELECT detail FROM dead_letters")
    assert "its 'model' differs" in detail
    assert "'attempts'" in detail


def test_a_call_reported_at_its_start_and_at_its_end_is_one_call(tmp_path: Path) -> None:
    bare: dict[str, Any] = {"latency_ms": None, "cost_usd": None}
    start = call(1, **bare)
    end = {**start, "occurred_at": "2025-03-01T00:01:02.5Z", "cost_usd": 0.25, "tokens": 9, "session_id": "s"}
    failed = [call(2, **bare), call(2, **bare, error="timeout")]
    found = replayed(tmp_path, [start, end, end, *failed], [outcome(1)])
    assert (found["records"], found["calls"], found["completed"], found["duplicates"]) == (6, 2, 2, 1)
    assert (found["successes"], found["failures"], found["dead_letters"]) == (1, 1, 0)
    columns = "latency_ms, cost_usd, tokens, session_id, error, verdict, statements"
    assert table(tmp_path / "out", f"SELECT {columns} FROM calls ORDER BY occurred_at") == [
        (2500.0, 0.25, 9, "s", None, "success", 1),
        (None, None, None, None, "timeout", "failure", 0),
    ]
    assert table(tmp_path / "out", "SELECT sum(calls), sum(cost_usd) FROM rates WHERE grain = '1h'") == [(2, 0.25)]


def test_the_summary_names_what_a_run_has_of_them(tmp_path: Path) -> None:
    tried = {**call(0), "attempts": [{"model": "large", "error": "429"}]}
    (tmp_path / "calls.jsonl").write_bytes(lines([tried, {**tried, "tokens": 1}]))
    done = aftercall(tmp_path, "replay", "--calls", "calls.jsonl", "--out", "out")
    assert "2 records = 1 calls + 1 completed + 0 outcomes" in done.stdout
    assert "1 calls + 1 attempts = 1 pending + 0 successes + 1 failures + 0 expired" in done.stdout
