"""Values of messages: plain JSON, behind a schema id, within a CloudEvent."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from connectors.kafka.envelopes import key_text, payload, redriven_of

CALL = b'{"call_id": "c"}'
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def test_plain_json_is_left_as_it_is() -> None:
    assert payload(CALL, None) is CALL
    assert payload(CALL, [("trace", b"1")]) is CALL


def test_a_schema_id_before_the_json_is_taken_off() -> None:
    assert payload(b"\x00\x00\x00\x01\x02" + CALL, None) == CALL


def test_a_binary_cloud_event_is_its_value() -> None:
    headers = [("ce_id", b"1"), ("ce_type", b"agent.call"), ("content-type", b"application/json")]
    assert payload(CALL, headers) == CALL


@pytest.mark.parametrize("name", ["content-type", "Content-Type"])
def test_a_structured_cloud_event_is_its_data(name: str) -> None:
    event = b'{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": ' + CALL + b"}"
    assert payload(event, [(name, STRUCTURED[0][1])]) == CALL


def test_a_structured_cloud_event_may_carry_its_data_in_base64() -> None:
    event = json.dumps({"specversion": "1.0", "data_base64": base64.b64encode(CALL).decode()}).encode()
    assert payload(event, STRUCTURED) == CALL


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"data_base64": "*"}', b"\xff", b"\x00", b"[" * 100_000, b"{}"])
def test_what_is_no_envelope_is_left_to_be_refused_as_a_record(value: bytes) -> None:
    assert payload(value, STRUCTURED) == value


def test_a_key_is_text_whatever_its_bytes() -> None:
    assert key_text(None) is None
    assert key_text(b"c-1") == "c-1"
    assert key_text(b"\xff") == "�"


@pytest.mark.parametrize(
    ("headers", "event_id"),
    [
        (None, None),
        ([("other", b"0" * 32)], None),
        ([("aftercall-redrive", b"0123456789abcdef" * 2)], "0123456789abcdef" * 2),
        ([("aftercall-redrive", b"0" * 32), ("aftercall-redrive", b"1" * 32)], "1" * 32),
        *[
            ([("aftercall-redrive", wrong)], None)
            for wrong in (b"", None, b"0" * 31, b"0" * 33, b"G" * 32, b"\xff" * 32)
        ],
    ],
)
def test_only_the_id_of_a_dead_letter_makes_a_record_redriven(headers: Any, event_id: str | None) -> None:
    assert redriven_of(headers) == event_id
