"""No piece of a text is in what a guard sends, logs, or gives to others, with rules of every kind broken by it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.guarding import code, guarding, sent, written
from harness.waiting import HANG_S

SECRETS = (
    "zyx4711",
    "anna.miller@example.org",
    "4111 1111 1111 1111",
    "hunter2hunter2",
    "sk-proj-Abcdefghijklmnop1234",
)
PROMPT = f"Mrs zyx4711 of {SECRETS[1]} asks"
REPLY = f"# Ha\nzyx4711 pays by {SECRETS[2]}; password: {SECRETS[3]}, key {SECRETS[4]} {{[("
RULES: list[dict[str, Any]] = [
    {"id": "topic", "type": "prohibited_topics", "topics": {"money": ["pays by"]}, "patterns": ["zyx[0-9]+"]},
    {"id": "asked", "type": "prohibited_topics", "where": "input", "patterns": ["[a-z.]+@example"]},
    {"id": "named", "type": "required_topics", "topics": {"thanks": ["thank you"]}},
    {"id": "safe", "type": "safety", "patterns": ["zyx.*"]},
    {"id": "data", "type": "restricted_data", "patterns": ["zyx[0-9]{4}"]},
    {"id": "json", "type": "format", "as": "json"},
    {"id": "schema", "type": "format", "as": "json_schema", "schema": {"type": "string", "maxLength": 3}},
    {"id": "form", "type": "format", "as": "regex", "pattern": "^[a-z]+$"},
    {"id": "marked", "type": "format", "as": "markdown", "require": ["table"]},
    {"id": "long", "type": "output_length", "unit": "characters", "max": 3},
    {"id": "tools", "type": "tool_failure_handled"},
    code("raises"),
    code("has_order_in_words"),
]


@pytest.mark.parametrize("reply", [REPLY, json.dumps(REPLY)], ids=["text", "json"])
def test_no_token_is_in_a_check_or_a_log(tmp_path: Path, caplog: pytest.LogCaptureFixture, reply: str) -> None:
    def words(text: str) -> Iterator[str]:
        yield from (reply[:7], reply[7:])

    def fails(text: str) -> str:
        with guard._client.current_call().tool("search", input=text, output=reply) as tool:
            tool.set(error="KeyError")
        return reply

    def listed(text: str) -> dict[str, Any]:
        return {"choices": [{"message": {"content": reply}}]}

    heard: list[object] = []
    with (
        caplog.at_level(logging.DEBUG),
        guarding(written(tmp_path, *RULES), on_violation=heard.append) as guard,
    ):
        judgements = []
        for agent in (fails, listed, words):
            result = guard.call(PROMPT, agent)
            if agent is words:
                list(result.response)
            judgements.append(result.verification.result(HANG_S))
        calls = sent(guard)
        assert guard.flush(HANG_S)
    assert all(len(judgement.violations) >= 9 for judgement in judgements)
    assert len(calls) == len(heard) == 3
    # What the user's own code says in words is given to the program alone.
    shown = [[check for check in judgement.checks if check.type != "python"] for judgement in judgements]
    for secret in (*SECRETS, "Miller", "4111"):
        assert secret not in json.dumps(calls)
        assert secret not in str(shown)
        assert secret not in caplog.text
