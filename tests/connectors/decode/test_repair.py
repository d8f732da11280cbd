"""What common exporters write does without pydantic, which takes five times as long."""

from __future__ import annotations

import json

import pytest

from connectors.decode import decoder
from connectors.decode.repair import repaired
from connectors.decode.validation import CALL, OUTCOME, Refusal
from harness.decoding import BASES, decode


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (CALL, {"trace_id": "0" * 32, "metadata": {"tags": ["a"]}}),
        (CALL, {"config": None, "segment": None}),
        (OUTCOME, {"action": None, "attrs": None}),
        (CALL, {"error": "", "tokens": 812.0, "call_id": 17}),
        (CALL, {"attrs": {"note": "x" * 5000, "region": "eu"}, "span": 3}),
        (CALL, {"input": "18 digits in a text: 123456789012345678", "host": None}),
    ],
)
def test_what_exporters_write_does_without_pydantic(
    kind: int, fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "examine", lambda *_: Refusal("not_json", "asked pydantic"))
    assert decode([json.dumps(BASES[kind] | fields).encode()], [kind]).refused == []


@pytest.mark.parametrize(
    "member",
    [b'"n": 123456789012345678', b'"n": [0.123456789012345678]', b'"n": ' + b"[" * 101 + b"]" * 101],
)
def test_long_numbers_and_deep_nesting_are_left_to_pydantic_also_in_unknown_fields(member: bytes) -> None:
    raw = json.dumps(BASES[CALL]).encode()[:-1] + b", " + member + b"}"
    assert repaired(raw, CALL, []) is None
    assert repaired(raw.replace(member, b'"n": 1'), CALL, []) is not None
