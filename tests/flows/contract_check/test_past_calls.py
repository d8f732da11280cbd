"""Past calls are read as a replay reads them, each once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from flows.contract_check.past_calls import PastCall, PastCalls
from flows.settings import load


def write(path: Path, *records: dict[str, Any] | str) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def call(call_id: str, minute: int, **fields: Any) -> dict[str, Any]:
    at = f"2026-03-01T12:{minute:02d}:00Z"
    return {"call_id": call_id, "occurred_at": at, "task_type": "refund", "model": "m", **fields}


def read(folder: Path, *paths: Path) -> tuple[list[PastCall], PastCalls]:
    past = PastCalls(paths, folder, load(None))
    return list(past), past


def test_calls_come_in_the_order_of_time_with_their_places(tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", call("c3", 30), "", call("c1", 10))
    two = write(tmp_path / "b.jsonl.gz", call("c2", 20, output="text"))
    calls, _ = read(tmp_path, one, two)
    assert [(one.record["call_id"], Path(one.file).name, one.line) for one in calls] == [
        ("c1", "a.jsonl", 3),
        ("c2", "b.jsonl.gz", 1),
        ("c3", "a.jsonl", 1),
    ]
    assert calls[1].record["output"] == "text"  # whatever the settings keep


def test_what_the_pipeline_would_refuse_is_counted_and_not_judged(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", call("c1", 1), call("c2", 2, latency_ms="slow"), "{", call("c3", 3, model="*"))
    calls, past = read(tmp_path, path)
    assert [one.record["call_id"] for one in calls] == ["c1"]
    assert sum(past.refused.values()) == 3
    assert past.refused["reserved_name"] == 1


def test_names_are_plain_ones(tmp_path: Path) -> None:
    calls, _ = read(tmp_path, write(tmp_path / "a.jsonl", call("c1", 1, config=" v2\u200b")))
    assert calls[0].group == ("refund", "m", "v2")
    assert calls[0].record["config"] == "v2"


def test_a_call_reported_twice_is_judged_once_with_what_the_second_record_adds(tmp_path: Path) -> None:
    begun = call("c1", 1, tool_calls=2, cost_usd=0.5)
    ended = call("c1", 1, tool_calls=[{"name": "search"}], cost_usd=0.7, latency_ms=40, output="text")
    path = write(tmp_path / "a.jsonl", begun, call("c2", 2), ended, call("c1", 1, latency_ms=99))
    calls, past = read(tmp_path, path)
    assert sorted(one.record["call_id"] for one in calls) == ["c1", "c2"]
    record = next(one.record for one in calls if one.record["call_id"] == "c1")
    assert (record["cost_usd"], record["latency_ms"], record["output"]) == (0.5, 40, "text")  # the first value stays
    assert [tool.name for tool in record["tool_calls"]] == ["search"]
    assert past.completed == 2
