"""Calls whose texts carry tokens and break every rule of a contract, to search for the tokens afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

TEXT_TOKENS: Final = ("zqxjkvbwpf", "wfqpzxjvkb", "kvjqxzwbpf", "pbwzqkjxvf", "xvbkqjwzfp")
"""Of the output twice, of the input, of the input and output of a tool, and of its error."""
RULES: Final[list[dict[str, Any]]] = [
    {"id": "data", "type": "restricted_data", "severity": "critical", "patterns": [f"{TEXT_TOKENS[1][:3]}[a-z]+"]},
    {"id": "json", "type": "format", "as": "json", "severity": "critical"},
    {"id": "length", "type": "output_length", "unit": "words", "max": 2},
    {"id": "markdown", "type": "format", "as": "markdown", "require": ["table"]},
    {"id": "missing", "type": "required_topics", "topics": {"policy": ["our policy"]}},
    {"id": "pattern", "type": "format", "as": "regex", "pattern": "^[0-9]+$"},
    {"id": "rivals", "type": "prohibited_topics", "topics": {"rivals": ["acme corp"]}, "severity": "critical"},
    {"id": "safety", "type": "safety", "topics": {"law": ["we guarantee"]}},
    {"id": "schema", "type": "format", "as": "json_schema", "schema": {"type": "object"}},
    {"id": "where", "type": "prohibited_topics", "topics": {"asks": ["refund me"]}, "where": "input"},
]
"""Each content rule fails for each planted call."""


def failing_contract(folder: Path) -> list[dict[str, Any]]:
    """Write the contract into a folder; gives its rules."""
    folder.mkdir(parents=True)
    contract = {"contract": "planted", "version": "1", "rule": RULES}
    (folder / "planted.json").write_text(json.dumps(contract))
    return RULES


def planted(call: dict[str, Any]) -> dict[str, Any]:
    """The call with texts."""
    first, second, third, fourth, fifth = TEXT_TOKENS
    tool = {"name": "search", "ok": False, "input": fourth, "output": fourth, "error": f"NotFound: no {fifth}"}
    return call | {
        "output": f"{first} {second}: we guarantee, Acme Corp; {first}@{second}.org, card 4111 1111 1111 1111",
        "input": f"refund me {third} {third}@example.org",
        "tool_calls": [*call.get("tool_calls", []), tool],
    }
