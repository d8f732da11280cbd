"""Builds the fields of dead letters: origin, size, hash, and a payload without private text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
from pydantic_core import from_json

from aftercall.events import MAX_CALL_ID, MAX_RECORD_BYTES
from aftercall.wire_parts import MAX_TEXT
from connectors.batch import Whole
from connectors.tool_errors import error_kind

MAX_PAYLOAD_BYTES: Final = 64 * 1024
MAX_UNPARSED_BYTES: Final = 4 * 1024
MOST_PARSED: Final = 16 * 1024 * 1024
"""A longer original is not parsed, as its parts would take many times its size."""
CUT_MARK: Final = " ...[cut]"
REDACTED: Final = "[redacted]"
_PRIVATE: Final = ("input", "output")
_TOOLS: Final = "tool_calls"
"""Of whose members the `error` is private but for its kind."""


def _spelled(name: str) -> str:
    """A pattern for a name as JSON may spell it, including JSON within a JSON text."""
    return "".join(rf"(?:{letter}|\\{{1,8}}u00{ord(letter):02x})" for letter in name)


_private_member: Final = re.compile(
    rf"(?:{'|'.join(map(_spelled, (*_PRIVATE, _TOOLS)))})\\{{0,8}}[\"']?\s*[:=]", re.IGNORECASE
)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def file_origin(file: str, line: int) -> dict[str, Any]:
    """Origin of a record in a file; lines count from 1."""
    return {"file": file, "line": line}


def topic_origin(topic: str, partition: int, offset: int) -> dict[str, Any]:
    """Origin of a record on Kafka."""
    return {"topic": topic, "partition": partition, "offset": offset}


def place_origin(place: str, offset: int) -> dict[str, Any]:
    """Origin of a record on Kafka, from a place as lanes name it: `agent.calls/3`."""
    topic, _, partition = place.rpartition("/")
    return topic_origin(topic, int(partition), offset)


def dead_letter(
    reason: str,
    detail: str,
    origin: dict[str, Any],
    raw: bytes,
    key: str | None = None,
    *,
    keep_payloads: bool = False,
    redact: Sequence[re.Pattern[str]] = (),
    whole: Whole | None = None,
) -> tuple[str, dict[str, Any]]:
    """The key and the fields of a dead letter, as `aftercall.records.DeadLetter.sealed` takes them.

    Args:
        reason: the slug.
        detail: one sentence.
        origin: from `file_origin` or `topic_origin`.
        raw: the original's bytes.
        key: the original's key; None: the `call_id` of the original is used, else its `session_id`, or `""`.
        keep_payloads: keep `input`, `output` and the errors of tools in the payload.
        redact: matches of these patterns are replaced by `REDACTED` in the payload and the detail.
        whole: of an original of which `raw` is only the beginning.

    Returns:
        The key, and `reason, detail, origin, size, sha256, payload`. The payload is the original text, cut at 64 KiB;
        of a record that is not a JSON object, it is cut at 4 KiB, or where an `input`, `output` or `tool_calls` begins
        before that.
        A payload that was cut ends in `CUT_MARK`.
    """
    if key is None:
        key = letter_key(raw)
    for pattern in redact:
        detail = pattern.sub(REDACTED, detail)
    fields = {
        "reason": reason,
        "detail": detail,
        "origin": origin,
        "size": len(raw) if whole is None else whole.size,
        "sha256": sha256(raw).hexdigest() if whole is None else whole.sha256,
        "payload": payload_text(raw, keep_payloads=keep_payloads, redact=redact),
    }
    return key, fields


def whole_payload(payload: str | None, sha256_hex: str) -> bytes | None:
    """The record that a payload is, or None where it is not all of it.

    It is all of it where its hash agrees, and all but `input`, `output` and the texts of errors of tools where it is a
    JSON object of which nothing was cut off or redacted.
    """
    if payload is None:
        return None
    data = payload.encode(errors="surrogatepass")
    if sha256(data).hexdigest() == sha256_hex:
        return data
    if REDACTED in payload:
        return None
    try:
        return data if isinstance(from_json(data), dict) else None
    except ValueError:
        return None


def letter_key(raw: bytes) -> str:
    """The `call_id` of a record, else its `session_id`, or `""` if none can be read and has a legal length."""
    if len(raw) > MOST_PARSED:
        return ""
    try:
        record = from_json(raw, allow_inf_nan=True)
    except ValueError:
        return ""
    if not isinstance(record, dict):
        return ""
    for name, longest in (("call_id", MAX_CALL_ID), ("session_id", MAX_TEXT)):
        found = record.get(name)
        found = str(found) if type(found) is int else found
        if isinstance(found, str) and found and len(found) <= longest:
            return found
    return ""


def payload_text(raw: bytes, *, keep_payloads: bool = False, redact: Sequence[re.Pattern[str]] = ()) -> str:
    """The text of a record as a dead letter may show it: no `input` or `output` at any depth, at most 64 KiB.

    Of errors of tools it has the kind.
    """
    text, limit = None, MAX_PAYLOAD_BYTES
    if len(raw) <= MOST_PARSED:
        text = _object_text(raw, keep_payloads=keep_payloads)
    if text is None:
        text, limit = raw[:MAX_RECORD_BYTES].decode(errors="replace"), MAX_UNPARSED_BYTES
        # In text that cannot be parsed, a member has no known end: all that follows the name may be private.
        if not keep_payloads and (private := _private_member.search(text)):
            text = text[: private.start()] + CUT_MARK
    for pattern in redact:  # before the cut, which might leave half of a match
        text = pattern.sub(REDACTED, text)
    return _cut(text, limit)


def _object_text(raw: bytes, *, keep_payloads: bool) -> str | None:
    """The JSON of an object, or None where it is not one."""
    try:
        record = from_json(raw, allow_inf_nan=True)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    if keep_payloads or not _holds_private(record):
        return raw.decode()
    if any(_is_private_in(name, value) for name, value in record.items() if name not in _PRIVATE):
        return json.dumps(_public(record), ensure_ascii=False)
    try:
        members = _members.decode(raw)  # keeps every number as it was written
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return json.dumps(_public(record), ensure_ascii=False)
    kept = (f"{json.dumps(name, ensure_ascii=False)}: {bytes(value).decode()}" for name, value in members.items()
            if name not in _PRIVATE)  # fmt: skip
    return "{" + ", ".join(kept) + "}"


def _holds_private(value: Any) -> bool:
    """Whether a value has a private member at any depth: in a tool call, or in an envelope that no header announced."""
    if isinstance(value, dict):
        return any(name in _PRIVATE or _is_private_in(name, inner) for name, inner in value.items())
    return isinstance(value, list) and any(map(_holds_private, value))


def _is_private_in(name: str, value: Any) -> bool:
    return _holds_private(value) or (name == _TOOLS and value != _of_tools(value))


def _of_tools(tools: Any) -> Any:
    """Tool calls with the kinds of their errors."""
    if not isinstance(tools, list):
        return tools
    return [
        {**tool, "error": error_kind(tool["error"])}
        if isinstance(tool, dict) and isinstance(tool.get("error"), str)
        else tool
        for tool in tools
    ]


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _public(_of_tools(inner) if name == _TOOLS else inner)
            for name, inner in value.items()
            if name not in _PRIVATE
        }
    return [_public(inner) for inner in value] if isinstance(value, list) else value


def _cut(text: str, limit: int) -> str:
    data = text.encode()
    if len(data) <= limit:
        return text
    return data[: limit - len(CUT_MARK)].decode(errors="ignore") + CUT_MARK
