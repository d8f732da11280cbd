"""Reads records of common exporters that the structs reject: some 8 us each, where pydantic takes 40.

They say what `aftercall.events` accepts in another way than most: empty text for absent, 812.0 for a count, 17 for an
id, labels that are too long, the items of a tool in place of their number, fields that we do not know. Once that is put
right, the structs check the record as they check any other.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import msgspec

from aftercall.events import AgentCall, Outcome, is_label
from connectors.decode.labels import Lost
from connectors.decode.structs import CallRecord, OutcomeRecord

_FIELDS: Final = (frozenset(CallRecord.__struct_fields__), frozenset(OutcomeRecord.__struct_fields__))
_TEXTS: Final = (AgentCall.TEXT_FIELDS, Outcome.TEXT_FIELDS)
_IDS: Final = (
    frozenset({"call_id", "session_id", "parent_call_id", "recommendation_id"}),
    frozenset({"outcome_id", "call_id", "session_id", "retracts", "author"}),
)
_COUNTS: Final = frozenset({"tokens_in", "tokens_out", "tokens", "tool_calls"})
_DEEP: Final = 100
"""Brackets of a record that may be nested too deep, also in a member that comes again: pydantic's parser decides."""
_LONG: Final = b"0" * 18
"""Parsers differ on numbers with more digits in a row."""
_DIGITS_AS_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_structs: Final[tuple[type[CallRecord], type[OutcomeRecord]]] = (CallRecord, OutcomeRecord)
_members = msgspec.json.Decoder(dict[str, Any]).decode


def repaired(raw: bytes, kind: int, left_out: list[Lost]) -> CallRecord | OutcomeRecord | None:
    """The record, or None where pydantic must decide.

    Args:
        raw: the record as it was read.
        kind: `CALL` or `OUTCOME`.
        left_out: receives the names of labels that the record has lost.
    """
    if _is_doubtful(raw):
        return None
    try:
        members = _members(raw)
        sent = {name: value for name, value in members.items() if name in _FIELDS[kind]}
        if len(sent) < len(members) and (record := _converted(sent, kind)) is not None:
            return record
        fields = {name: right for name, value in sent.items() if (right := _put_right(name, value, kind)) is not None}
        attrs = fields.get("attrs")
        kept = None
        if isinstance(attrs, dict):
            kept = fields["attrs"] = {name: value for name, value in attrs.items() if is_label(name, value)}
        record = msgspec.convert(fields, _structs[kind])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if kept is not None and isinstance(attrs, dict) and len(kept) < len(attrs):
        if any(isinstance(attrs[name], dict | list) for name in attrs.keys() - kept.keys()):
            return None  # how deep it is nested, and which numbers are in it, is for pydantic to check
        left_out += [name for name in attrs if name not in kept]
    return record


def _is_doubtful(raw: bytes) -> bool:
    """Whether a number may be too long, or something nested too deep; texts do not count, unless a part is escaped."""
    outside = raw if b"\\" in raw else b'"'.join(raw.split(b'"')[::2])
    return outside.count(b"[") + outside.count(b"{") > _DEEP or _LONG in outside.translate(_DIGITS_AS_ZEROS)


def _converted(fields: dict[str, Any], kind: int) -> CallRecord | OutcomeRecord | None:
    """The record with these fields, where nothing else is wrong with it than others."""
    with suppress(msgspec.ValidationError):
        return msgspec.convert(fields, _structs[kind])
    return None


def _put_right(name: str, value: Any, kind: int) -> Any:
    """The value as most producers write it; None for an absent one."""
    if value == "" and name in _TEXTS[kind]:
        return None
    if name in _COUNTS and type(value) is float and value.is_integer():
        return int(value)
    if name in _IDS[kind] and type(value) is int:
        return str(value)
    if name == "tool_calls" and isinstance(value, list):
        return list(map(_with_number_of_items, value))
    return value


def _with_number_of_items(tool: Any) -> Any:
    items = tool.get("items") if isinstance(tool, dict) else None
    # How deep other ones are nested, and which numbers are in them, is for pydantic to check.
    known = isinstance(items, list) and all(type(item) is str for item in items)
    return {**tool, "items": len(items)} if known and items is not None else tool
