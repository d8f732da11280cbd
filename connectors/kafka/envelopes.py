"""Unwraps Kafka messages: the JSON of a record, without the envelopes of producers.

A schema-registry serializer writes a zero byte and a schema id before the JSON. CloudEvents come in two modes: in the
binary one the value is the record and the headers hold the envelope, so there is nothing to unpack; in the structured
one the value is the envelope and the record is its `data`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Final

import msgspec

REDRIVE: Final = "aftercall-redrive"
"""The header of a record that was sent again: the `event_id` of its dead letter."""
_EVENT_ID: Final = re.compile(rb"[0-9a-f]{32}")
_MAGIC: Final = 0
_PREFIX_BYTES: Final = 5
_STRUCTURED: Final = b"application/cloudevents+json"


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()  # a union with None would accept null only
    data_base64: str | None = None


_envelope: Final = msgspec.json.Decoder(_Envelope)


def payload(value: bytes, headers: list[tuple[str, Any]] | None) -> bytes:
    """The JSON of a record.

    Args:
        value: the message's value.
        headers: its headers, or None.

    Returns:
        The record within the envelopes. A malformed envelope is returned unchanged: the decoder refuses it as a record,
        with the reason.
    """
    if value and value[0] == _MAGIC and len(value) > _PREFIX_BYTES:
        value = value[_PREFIX_BYTES:]
    if headers and _is_structured(headers):
        return _data(value)
    return value


def key_text(key: bytes | str | None) -> str | None:
    """A message's key as text, undecodable bytes replaced; None where there is none."""
    return key.decode(errors="replace") if isinstance(key, bytes) else key


def redriven_of(headers: list[tuple[str, Any]] | None) -> str | None:
    """Of a record that was sent again, the `event_id` of its dead letter; None for others, and what is no such id."""
    given = [value for name, value in headers or () if name == REDRIVE and isinstance(value, bytes)]
    return given[-1].decode() if given and _EVENT_ID.fullmatch(given[-1]) else None


def _is_structured(headers: list[tuple[str, Any]]) -> bool:
    return any(
        name.lower() == "content-type" and isinstance(value, bytes) and value.lower().startswith(_STRUCTURED)
        for name, value in headers
    )


def _data(value: bytes) -> bytes:
    try:
        envelope = _envelope.decode(value)
        if bytes(envelope.data):
            return bytes(envelope.data)
        if envelope.data_base64 is not None:
            return b64decode(envelope.data_base64, validate=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        pass
    return value
