"""A dead letter shows the original without private text, within its limits."""

from __future__ import annotations

import json
import re
from hashlib import sha256

import pytest

from aftercall.records import DeadLetter
from connectors.dead_letters import CUT_MARK, REDACTED, dead_letter, file_origin, payload_text, topic_origin


def test_a_dead_letter_has_size_hash_origin_and_the_call_id_as_key() -> None:
    raw = b'{"call_id": "c1", "latency_ms": -1}'
    key, fields = dead_letter("negative", "why.", file_origin("a.jsonl", 3), raw)
    assert key == "c1"
    assert fields == {
        "reason": "negative",
        "detail": "why.",
        "origin": {"file": "a.jsonl", "line": 3},
        "size": len(raw),
        "sha256": sha256(raw).hexdigest(),
        "payload": raw.decode(),
    }
    assert DeadLetter.sealed(**fields).payload == raw.decode()


def test_the_original_key_wins() -> None:
    key, fields = dead_letter("conflict", "why.", topic_origin("t", 1, 2), b"{}", "k")
    assert key == "k"
    DeadLetter.sealed(**fields)


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[1]", b'{"call_id": 5.0}', b"[" * 100_000])
def test_a_record_without_a_readable_call_id_has_the_empty_key(raw: bytes) -> None:
    assert dead_letter("not_json", "why.", file_origin("a", 1), raw)[0] == ""


def test_input_and_output_are_taken_out_and_the_rest_stays_as_written() -> None:
    raw = b'{"call_id": "c\\u00fc", "input": "secret", "n": 1.50e3, "output": null, "o": {"put": [1]}}'
    assert payload_text(raw) == '{"call_id": "c\\u00fc", "n": 1.50e3, "o": {"put": [1]}}'
    assert payload_text(raw, keep_payloads=True) == raw.decode()


@pytest.mark.parametrize("wrap", ['{"tool_calls": [%s], "cost_usd": 1.50}', '{"data": {"tool_calls": [%s, 7]}}'])
def test_of_an_error_of_a_tool_only_its_kind_is_shown(wrap: str) -> None:
    raw = wrap % '{"name": "t", "error": "TimeoutError: secret"}, {"error": "a secret"}, {"error": 5}'
    shown = payload_text(raw.encode())
    assert "secret" not in shown
    assert '{"name": "t", "error": "TimeoutError"}, {"error": "[text]"}, {"error": 5}' in shown
    assert payload_text(raw.encode(), keep_payloads=True) == raw
    kinds = wrap % '{"error": "timeout"}'
    assert payload_text(kinds.encode()) == kinds, "what is its kind already stays as it was written"
    assert "secret" not in payload_text(raw.encode()[:-1])


def test_input_and_output_are_taken_out_of_tool_calls_and_of_envelopes_too() -> None:
    raw = b'{"data": {"call_id": "c", "input": "secret"}, "tool_calls": [{"name": "t", "output": {"a": "secret"}}, 1]}'
    assert payload_text(raw) == '{"data": {"call_id": "c"}, "tool_calls": [{"name": "t"}, 1]}'
    assert payload_text(raw, keep_payloads=True) == raw.decode()


@pytest.mark.parametrize("member", [b'"input"', b'"\\u0069nput"'])
def test_private_text_stays_out_however_its_name_is_written_and_whatever_else_is_wrong(member: bytes) -> None:
    for other in (b"NaN", b"1e999", b"-1", b'"x"'):
        raw = b'{"a": ' + other + b", " + member + b': "secret"}'
        assert "secret" not in payload_text(raw)
        assert "input" not in payload_text(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"call_id": "c1", "input": "secret',
        b'{"call_id": "c1", "output" : "secret", "new": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"call_id": "c1", "\\u0069nput": "secret", "x": "\xff"}',
        b"{'call_id': 'c1', 'input': 'secret'}",
        b'[{"call_id": "c1", "input": "secret"}]',
        json.dumps('{"call_id": "c1", "input": "secret"}').encode(),
    ],
)
def test_of_what_cannot_be_parsed_nothing_is_shown_from_a_private_member_on(raw: bytes) -> None:
    text = payload_text(raw)
    assert "c1" in text
    assert text.endswith(CUT_MARK)
    assert "secret" not in text
    assert "secret" in payload_text(raw, keep_payloads=True)


def test_what_is_too_long_for_a_call_id_is_no_key() -> None:
    assert dead_letter("too_long", "why.", file_origin("a", 1), b'{"call_id": "' + b"c" * 128 + b'"}')[0] == "c" * 128
    assert dead_letter("too_long", "why.", file_origin("a", 1), b'{"call_id": "' + b"c" * 129 + b'"}')[0] == ""


def test_a_payload_that_is_not_an_object_shows_at_most_4_kib() -> None:
    for raw in (b"\xff" * 9000, b'{"a": "' + b"x" * 9000, "ü".encode() * 9000, b"[" * 100_000):
        text = payload_text(raw)
        assert len(text.encode()) <= 4096
        assert text.endswith(CUT_MARK)
    assert payload_text(b"\xffoops") == "\ufffdoops"


def test_a_payload_is_never_over_64_kib() -> None:
    text = payload_text(json.dumps({"reason": "ü" * 60_000, "input": "x"}, ensure_ascii=False).encode())
    assert 65_530 <= len(text.encode()) <= 65_536
    assert text.endswith(CUT_MARK)


def test_what_matches_a_redaction_is_blotted_out_of_payload_and_detail() -> None:
    """Also where payloads are kept."""
    raw = b'{"call_id": "c", "input": "write to ann@example.org", "attrs": {"mail": "bob@example.org"}}'
    pattern = re.compile(r"[a-z]+@example\.org")
    _, fields = dead_letter(
        "wrong_type", "got ann@example.org", file_origin("f", 1), raw, keep_payloads=True, redact=[pattern]
    )
    assert "example.org" not in fields["payload"] + fields["detail"]
    assert fields["payload"].count(REDACTED) == 2
    assert fields["sha256"] == sha256(raw).hexdigest()
