"""What no rule can do with texts is refused when the file is read: file, rule, value, remedy."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from aftercall.contracts.contract import ContractError
from aftercall.contracts.files import read_contract
from aftercall.errors import ExitCode
from harness.text_rules import contract

TOPICS: dict[str, Any] = {"type": "prohibited_topics"}
DATA: dict[str, Any] = {"type": "restricted_data"}
SCHEMA: dict[str, Any] = {"type": "format", "as": "json_schema"}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({**TOPICS, "patterns": [r"(a)\1"]}, r"patterns: '(a)\\1' has a back-reference"),
        ({**TOPICS, "patterns": [r"(?P<n>a)(?P=n)"]}, "patterns: '(?P<n>a)(?P=n)' has a back-reference"),
        ({**TOPICS, "patterns": ["a(?=b)"]}, "patterns: 'a(?=b)' has a look-around"),
        ({**TOPICS, "patterns": ["(?<!a)b"]}, "patterns: '(?<!a)b' has a look-around"),
        ({**TOPICS, "patterns": ["(a"]}, "patterns: '(a' is no pattern of RE2: missing )"),
        ({**TOPICS, "patterns": ["a*"]}, "patterns: 'a*' matches the empty text"),
        ({**TOPICS, "patterns": ["[\u00e9-a]"]}, "invalid character class range"),
        ({**TOPICS, "patterns": [r"\pL{1000}"]}, "is no pattern of RE2: pattern too large"),
        ({**TOPICS, "topics": {"rivals": ["acme", "\u200b \u00ad"]}}, "topics.rivals: "),
        ({**TOPICS, "topics": {"rivals": ["a" + "\u0301" * 40]}}, "topics.rivals: "),
        ({"type": "required_topics", "patterns": ["("]}, "patterns: '(' is no pattern"),
        ({**DATA, "patterns": [r"\k<n>"]}, "patterns: "),
        ({**DATA, "allow": ["[a"]}, "allow: must be a glob"),
        ({"type": "format", "as": "regex", "pattern": r"(.)\1"}, "pattern: "),
        ({**SCHEMA, "schema": {"$ref": "https://127.0.0.1:9/x.json"}}, "schema: $ref 'https://127.0.0.1:9/x.json'"),
        ({**SCHEMA, "schema": {"items": [{"$ref": "other.json#/a"}]}}, "schema: $ref 'other.json#/a'"),
        ({**SCHEMA, "schema": {"allOf": [{"$dynamicRef": "http://x/y"}]}}, "schema: $dynamicRef 'http://x/y'"),
        ({**SCHEMA, "schema": {"$schema": "https://example.org/mine"}}, "schema: $schema 'https://example.org/mine'"),
        ({**SCHEMA, "schema": {"$ref": "#/$defs/none"}}, "schema: it is no JSON Schema: Pointer"),
        ({**SCHEMA, "schema": {"type": "nonsense"}}, "schema: /type is no JSON Schema"),
        ({**SCHEMA, "schema": {"properties": {"a": {"pattern": "(?=a)"}}}}, "is no pattern of linear time"),
        ({**SCHEMA, "schema": {"properties": {"a": {"pattern": r"(a)\1"}}}}, "is no pattern of linear time"),
        ({**SCHEMA, "schema": {"patternProperties": {"(?!a)": {}}}}, "is no pattern of linear time"),
    ],
)
def test_a_rule_that_cannot_be_judged_is_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError) as refused:
        contract(rule)
    sentence = str(refused.value)
    assert sentence.startswith("texts.toml, rule 'rule-0', ")
    assert words.replace(r"\\", "\\") in sentence
    assert sentence.endswith(")")
    assert refused.value.exit_code == ExitCode.USAGE


def test_more_phrases_than_one_search_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftercall.contracts.texts.one_search.MAX_BYTES", 100_000)
    with pytest.raises(ContractError) as refused:
        contract({**TOPICS, "topics": {"many": [f"phrase {i}" for i in range(1000)]}})
    assert str(refused.value) == (
        "texts.toml: 1,000 phrases and patterns are too many for one search (make it two contracts)"
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"$ref": "https://x/y", "$defs": {"a": {"$id": "https://x/y", "type": "string"}}},
        {"properties": {"$ref": {"type": "string"}}},
        {"const": {"$ref": "https://x/y"}},
        {"enum": [{"$ref": "https://x/y"}]},
        {"examples": [{"$ref": "https://x/y"}]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"},
    ],
)
def test_what_is_no_remote_reference_is_accepted(schema: dict[str, Any]) -> None:
    contract({**SCHEMA, "schema": schema})


def test_nothing_is_fetched_for_a_schema(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        (tmp_path / "one.toml").write_text(
            f"""
            contract = "c"
            version = "1"
            [[rule]]
            id = "fits"
            type = "format"
            as = "json_schema"
            schema = {{ "$ref" = "http://127.0.0.1:{server.getsockname()[1]}/schema.json" }}
            """
        )
        with pytest.raises(ContractError, match=r"one\.toml, rule 'fits', schema: .*nothing is ever fetched"):
            read_contract(tmp_path / "one.toml")
        with pytest.raises(TimeoutError):
            server.accept()
