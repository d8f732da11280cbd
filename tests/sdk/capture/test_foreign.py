"""The SDK beside what agents are made with, as published: openai, anthropic, google-genai, Starlette on uvicorn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.foreign import TESTS, foreign_python, run_foreign

pytestmark = pytest.mark.slow
USED = {"chat": (5, 2), "responses": (6, 3), "messages": (105, 4), "contents": (11, 23)}
USED_BY_STREAMS = {"chat": (5, 3), "responses": (6, 3), "messages": (105, 42), "contents": (11, 23)}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign_python(tmp_path_factory.getbasetemp().parent)


def test_what_libraries_of_providers_return_is_read_and_stays_theirs(python: Path) -> None:
    calls: list[dict[str, Any]] = json.loads(run_foreign(python, TESTS / "harness" / "foreign_providers.py"))
    *read, left = calls
    assert (left["task_type"], left["attrs"]["cancelled"]) == ("left", True)
    assert len(read) == 12
    for call in read:
        used = USED_BY_STREAMS if "ttft_ms" in call["attrs"] else USED
        assert (call["tokens_in"], call["tokens_out"]) == used[call["task_type"]], call
        assert call["attrs"]["response_model"]
        assert "error" not in call
    assert sum("ttft_ms" in call["attrs"] for call in read) == 7


def test_a_streaming_response_is_measured_to_its_last_byte_and_one_that_is_left_is_no_error(python: Path) -> None:
    calls: list[dict[str, Any]] = json.loads(run_foreign(python, TESTS / "harness" / "foreign_server.py"))
    by_task = {call["task_type"]: call for call in calls}
    children = [call for call in calls if "child" in call["task_type"]]
    assert len(children) >= 7
    for name, child in (("async", "child"), ("sync", "sync child")):
        call = by_task[name]
        mine = [one for one in children if one.get("parent_call_id") == call["call_id"]]
        assert [one["task_type"] for one in mine] == [child] * 3
        assert call["latency_ms"] >= sum(one["latency_ms"] for one in mine) >= 29
        assert "cancelled" not in call["attrs"]
    left = by_task["endless"]
    assert left["attrs"]["cancelled"] is True
    assert "error" not in left
    parents = {call["call_id"] for call in calls if "child" not in call["task_type"]}
    assert {child.get("parent_call_id") for child in children} <= parents
