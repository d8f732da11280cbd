"""Handles outputs that the broker refuses: shortens them, or replaces them by dead letters."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import orjson

from aftercall.records import seal_json
from connectors.dead_letters import CUT_MARK

REASON: Final = "refused_output"
TOO_LARGE: Final = frozenset({"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_MSG_SIZE"})
_TEXT: Final = 200


def shortened(value: bytes) -> bytes | None:
    """The record without its long texts, with the same `event_id`; None if it has no long text to remove.

    A verdict loses its `reason`, an alert its `evidence`, a dead letter its `payload`; required texts are cut.
    """
    try:
        record: dict[str, Any] = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    shorter = dict(record)
    if "payload" in record:
        shorter |= {"payload": None, "detail": _cut(record["detail"])}
    elif "evidence" in record:
        shorter |= {"evidence": {}, "reason": _cut(record["reason"])}
    elif "verdict" in record:
        shorter |= {"reason": None}
    elif "reason" in record:
        shorter |= {"reason": _cut(record["reason"])}
    return None if shorter == record else orjson.dumps(shorter)


def refused_output(topic: str, value: bytes | None, error: str) -> bytes:
    """The dead letter of a record that the broker refused, as JSON.

    Args:
        topic: the topic that the record was for.
        value: the whole record; None for a tombstone.
        error: the broker's name for the refusal.
    """
    size = len(value or b"")
    remedy = "raise the topic's max.message.bytes" if error in TOO_LARGE else "check the topic's settings"
    letter = {
        "reason": REASON,
        "detail": f"{topic}: the broker refused this output of {size} bytes as {error} ({remedy})",
        "origin": None,  # the record is on no topic
        "size": size,
        "sha256": sha256(value or b"").hexdigest(),
        "payload": None,
    }
    return seal_json(orjson.dumps(letter))


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[:_TEXT] + CUT_MARK
