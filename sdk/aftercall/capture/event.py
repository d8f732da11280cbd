"""Makes the event of a call or an outcome, as the wire has it, out of what was captured; on the sender thread."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aftercall.capture.failures import MOST_ERROR
from aftercall.capture.input_hash import input_hash, input_text
from aftercall.capture.inputs import MOST_TEXT
from aftercall.capture.redaction import redacted
from aftercall.capture.replies import reply_text
from aftercall.capture.settings import UNKNOWN
from aftercall.capture.usage import used
from aftercall.emitter.log import warn_once
from aftercall.times import format_time

if TYPE_CHECKING:
    from aftercall.capture.draft import Draft
    from aftercall.capture.statement import Statement

_NS_PER_MS: Final = 1e6
_NS_PER_US: Final = 1000
MOST_ATTEMPTS: Final = 32
MOST_TOOLS: Final = 1000
"""More tool calls than this are only counted: the record would be too large."""
_TEXTS: Final = ("input", "output")
_OF_ARM: Final = ("model", "config", "recommendation_id", "propensity", "task_type", "segment")


def call_event(draft: Draft) -> dict[str, Any]:
    """Make the event of a call: what was set for it, else what was read, else what its place in code declares."""
    declared, own = draft.declared, draft.fields or {}
    refuse_unknown(declared)
    refuse_unknown(own)
    event: dict[str, Any] = {
        "call_id": draft.call_id,
        "occurred_at": format_time(draft.at_ns // _NS_PER_US),
        "parent_call_id": draft.parent_id,
        "latency_ms": max(draft.latency_ns, 0) / _NS_PER_MS,
    }
    event |= _of_arm(declared.get("arm"))
    event |= {name: value for name, value in declared.items() if value is not None and name not in {"arm", "attrs"}}
    event |= _answered(draft, event)
    event["session_id"] = draft.session_id
    read = used(draft.responses or ())
    labels = {name: read.pop(name) for name in ("response_model", "cache_hit") if name in read}
    event |= read
    event |= {name: value for name, value in own.items() if value is not None and name != "attrs"}
    event |= _texts(draft, event)
    if draft.error is not None or event.get("error") is not None:
        given = draft.input()
        private = () if given is None else given.texts()
        event["error"] = _error_text(event.get("error") or draft.error, private)
    event |= _parts(draft)
    event["attrs"] = _measured(draft) | labels | dict(declared.get("attrs") or {}) | dict(own.get("attrs") or {})
    event = {name: plain(value) for name, value in event.items() if value is not None and value != {}}
    _add_cost(draft, event)
    return event


def _of_arm(arm: object) -> dict[str, Any]:
    """What a `Route`, or an arm without a recommendation, says about the call."""
    if arm is None:
        return {}
    return {name: value for name in _OF_ARM if (value := getattr(arm, name, None)) is not None}


def _answered(draft: Draft, event: Mapping[str, Any]) -> dict[str, Any]:
    """Model and config of the attempt that answered; the draw was not for another model than the one drawn."""
    worked = next((attempt for attempt in reversed(draft.attempts or ()) if "error" not in attempt), None)
    if worked is None or worked.get("cancelled"):
        return {}
    found = {name: worked[name] for name in ("model", "config") if name in worked}
    if any(event.get(name) != value for name, value in found.items()):
        found["propensity"] = None
    return found


def texts_of(draft: Draft, own: Mapping[str, Any]) -> dict[str, Any]:
    """Input and output of a call, as far as they are held: what was set for it, else what was read."""
    given = draft.input()
    read = None if given is None else input_text(given)
    found = {"input": own.get("input") or read, "output": own.get("output") or reply_text(draft.output)}
    return {name: _sendable(text) if isinstance(text, str) else text for name, text in found.items()}


def _sendable(text: str) -> str:
    """A text as JSON can have it: models answer with half a character at times."""
    return text.encode("utf-8", "replace").decode()


def _texts(draft: Draft, event: Mapping[str, Any]) -> dict[str, Any]:
    """Input and output, where they are sent; else both are taken out."""
    if not draft.capturing.text:
        return dict.fromkeys(_TEXTS)
    found = texts_of(draft, event)
    return {name: text[:MOST_TEXT] if isinstance(text, str) else text for name, text in found.items()}


def _parts(draft: Draft) -> dict[str, Any]:
    """Attempts and tool calls, those that are still open left out."""
    found: dict[str, Any] = {}
    if draft.attempts:
        kept = [{name: value for name, value in one.items() if name != "cancelled"} for one in draft.attempts]
        found["attempts"] = [_without_secrets(draft, one) for one in kept[:MOST_ATTEMPTS]]
    if draft.tools:
        many = len(draft.tools) > MOST_TOOLS
        found["tool_calls"] = len(draft.tools) if many else [_without_secrets(draft, one) for one in draft.tools]
    return found


def _without_secrets(draft: Draft, part: Mapping[str, Any]) -> dict[str, Any]:
    clean = {name: plain(value) for name, value in part.items() if draft.capturing.text or name not in _TEXTS}
    if clean.get("error") is not None:
        clean["error"] = _error_text(clean["error"], ())
    return clean


def _error_text(error: object, private: Iterable[str]) -> str:
    """The text of an error without secrets, and as JSON can have it: names of files may hold half a character."""
    return _sendable(redacted(str(error), private))[:MOST_ERROR]


def _measured(draft: Draft) -> dict[str, Any]:
    """Labels of the SDK itself."""
    capturing, found = draft.capturing, dict[str, Any]()
    if draft.cancelled and draft.error is None:
        found["cancelled"] = True
    if draft.first_ns is not None:
        found["ttft_ms"] = max(draft.first_ns - draft.started_ns, 0) / _NS_PER_MS
    if capturing.release is not None:
        found["release"] = capturing.release
    if capturing.sample < 1.0:
        found["sample"] = capturing.sample
    given = draft.input()
    hashed = input_hash(given) if capturing.input_hash and given is not None else None
    return found if hashed is None else found | {"input_hash": hashed}


def _add_cost(draft: Draft, event: dict[str, Any]) -> None:
    """Ask the user's price list, where nothing else says what the call cost."""
    price_of = draft.capturing.cost
    if price_of is None or "cost_usd" in event:
        return
    try:
        cost = price_of(event)
        if cost is not None and math.isfinite(cost) and cost >= 0:
            event["cost_usd"] = float(cost)
    except Exception as error:  # noqa: BLE001  # the user's; a call is worth more than its cost
        warn_once("price list", "aftercall: the price list raised %s", type(error).__name__)


def refuse_unknown(fields: Mapping[str, Any]) -> None:
    """Refuse an event for which arguments were given that do not exist, or cannot be used.

    Raises:
        TypeError: with their names.
    """
    if UNKNOWN in fields:
        raise TypeError(f"wrong arguments: {', '.join(fields[UNKNOWN])}")


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers of numpy, ids, times; what else there is, the model of the event refuses."""
    if value is None or type(value) in {str, int, float, bool}:
        return value
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime):
        return time_text(value)
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value


def time_text(value: object) -> Any:
    """A `datetime` with an offset as the wire has it; text and everything else as it is."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        return value
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def outcome_event(statement: Statement) -> dict[str, Any]:
    """Make the event of an outcome; its ids and its time are those of the moment at which it was stated."""
    refuse_unknown(statement.fields)
    fields = {name: plain(value) for name, value in statement.fields.items() if value is not None}
    made = {"outcome_id": statement.outcome_id, "occurred_at": format_time(statement.at_ns // _NS_PER_US)}
    for name in ("reason", "error"):
        if isinstance(fields.get(name), str):
            fields[name] = fields[name][:MOST_ERROR]
    if fields.get("action") != "retract" and not {"success", "score"} & fields.keys():
        raise ValueError("an outcome needs 'success' or 'score'")
    return made | fields
