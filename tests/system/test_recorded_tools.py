"""Recorded traces with tools and chains, where they lie beside the checkout: the tables have what polars counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftercall.times import format_time
from flows.replay import Replay, run
from flows.settings import load
from system.commands import table

TOOL_KINDS = {"TOOL", "execute_tool", "ai.toolCall"}
MOST = 1000
"""Calls of a set: what a replay costs is the hours of its traffic, and `make check-real` replays whole sets."""
KIND_KEYS = ("openinference.span.kind", "gen_ai.operation.name", "ai.operationId")


def replayed(folder: Path, calls: Path, outcomes: Path) -> Path:
    settings = load(None, snapshot={"tools": "all"}, join={"horizon": "10d"})
    run(Replay([calls], [outcomes], folder / "out", settings))
    return folder / "out"


def spans(path: Path) -> pl.DataFrame:
    """The spans of a file of OTLP requests, one row each, without repeats."""
    read = pl.read_ndjson(path, infer_schema_length=None)
    for nested in ("resourceSpans", "scopeSpans", "spans"):
        read = read.select(nested).explode(nested).unnest(nested)
    kind = pl.col("attributes").list.eval(
        pl.element()
        .filter(pl.element().struct.field("key").is_in(KIND_KEYS))
        .struct.field("value")
        .struct.field("stringValue")
    )
    return read.select(
        "spanId",
        "traceId",
        "name",
        parent=pl.when(pl.col("parentSpanId") != "").then("parentSpanId"),
        start=pl.col("startTimeUnixNano").cast(pl.Int64),
        end=pl.col("endTimeUnixNano").cast(pl.Int64),
        is_tool=kind.list.set_intersection(pl.lit([*TOOL_KINDS])).list.len() > 0,
    ).unique("spanId")


def as_calls(found: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """As an exporter writes them: a span is a call; one of a tool is a tool call of the span above it."""
    tools: dict[str, list[dict[str, Any]]] = {}
    for span in found.filter("is_tool").iter_rows(named=True):
        tool = {"name": span["name"], "ok": True, "latency_ms": (span["end"] - span["start"]) / 1e6}
        tools.setdefault(span["parent"], []).append(tool)
    for span in found.filter(~pl.col("is_tool")).iter_rows(named=True):
        yield {
            "call_id": span["spanId"],
            "session_id": span["traceId"],
            "parent_call_id": span["parent"],
            "occurred_at": format_time(span["end"] // 1000),
            "task_type": "trace",
            "model": "m",
            "tool_calls": tools.get(span["spanId"]),
        }


@pytest.mark.slow
def test_recorded_traces_have_their_tools_and_chains_in_the_tables(real_data: Path, tmp_path: Path) -> None:
    found = spans(real_data / "langfuse_traces" / "otlp.jsonl")
    (calls := tmp_path / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in as_calls(found)))
    (outcomes := tmp_path / "outcomes.jsonl").touch()
    out = replayed(tmp_path, calls, outcomes)

    chains = found.filter(~pl.col("is_tool") & pl.col("parent").is_not_null()).group_by("parent").len().sort("parent")
    assert len(chains) > 20
    counted = "FROM calls WHERE parent_call_id IS NOT NULL GROUP BY 1 ORDER BY 1"
    assert table(out, f"SELECT parent_call_id, count(*) {counted}") == chains.rows()

    of_calls = found.filter("is_tool").join(found.filter(~pl.col("is_tool")), left_on="parent", right_on="spanId")
    named = of_calls.group_by("name").agg(pl.len(), took=pl.sum("end") - pl.sum("start")).sort("name")
    assert named["len"].sum() >= 10
    rows = table(
        out, "SELECT name, count(*), CAST(round(sum(latency_ms) * 1e6) AS BIGINT) FROM tool_calls GROUP BY 1 ORDER BY 1"
    )
    assert rows == named.rows()
    rates = "SELECT tool, sum(calls)::BIGINT, sum(failures + retries)::BIGINT FROM tool_rates GROUP BY 1 ORDER BY 1"
    assert table(out, rates) == [(name, count, 0) for name, count, _ in named.rows()]
    assert table(out, "SELECT sum(tool_calls)::BIGINT FROM calls") == [(named["len"].sum(),)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["langfuse_traces", "metr_runs"])
def test_recorded_calls_have_the_numbers_of_tools_that_the_files_have(
    real_data: Path, tmp_path: Path, name: str
) -> None:
    lines = (real_data / name / "calls.jsonl").read_bytes().splitlines(keepends=True)
    (calls := tmp_path / "calls.jsonl").write_bytes(b"".join(lines[-MOST:]))
    (outcomes := tmp_path / "outcomes.jsonl").touch()
    out = replayed(tmp_path, calls, outcomes)
    read = pl.read_ndjson(calls, schema_overrides={"tool_calls": pl.Int64}, infer_schema_length=None)
    expected = read.select("call_id", "tool_calls").unique("call_id").sort("call_id")
    assert table(out, "SELECT call_id, tool_calls FROM calls WHERE attempt = 0 ORDER BY 1") == expected.rows()
    # These sets give numbers or nothing, and no parents.
    assert table(out, "SELECT count(parent_call_id) FROM calls") == [(0,)]
    assert table(out, "SELECT (SELECT count(*) FROM tool_calls), (SELECT count(*) FROM tool_rates)") == [(0, 0)]
