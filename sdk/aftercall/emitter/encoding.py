"""Validates an event by the models of the reference, and encodes it as JSON.

pydantic and the models are imported by the first event, which the sender thread encodes (a durable one its caller).
"""

from __future__ import annotations

from typing import Any, Final, Literal

TYPES: Final = {"calls": "call", "outcomes": "outcome"}
DROPPED_BEFORE: Final = "dropped_before"


class InvalidEventError(ValueError):
    """An event that breaks a rule of the reference; `rule` says which, and quotes nothing of the event."""

    raised_at_once: Final = True
    """Capture lets it pass: it reaches the caller in tests of users alone, where transports are `at_once`."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule = rule


def load() -> None:
    """Import what the first event needs, at a moment of the caller's choice: tens of milliseconds."""
    import sqlite3  # noqa: F401

    import aftercall.events  # noqa: F401


def encode(kind: Literal["calls", "outcomes"], event: dict[str, Any], dropped_before: int = 0) -> bytes:
    """JSON of a valid event, without what is absent, in UTF-8.

    Raises:
        InvalidEventError: the pipeline would refuse the event.
    """
    import json

    validate(kind, event)
    sent = {"type": TYPES[kind], **{name: value for name, value in event.items() if value is not None}}
    if dropped_before:
        sent["attrs"] = {**sent.get("attrs", {}), DROPPED_BEFORE: dropped_before}
    try:
        return json.dumps(sent, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as wrong:  # unknown fields are not validated
        raise InvalidEventError(f"{kind}: {type(wrong).__name__}", f"cannot be JSON: {wrong}") from None


def validate(kind: Literal["calls", "outcomes"], event: dict[str, Any]) -> None:
    """Check an event against `AgentCall` or `Outcome`.

    Raises:
        InvalidEventError: with the first rule that is broken.
    """
    from pydantic import ValidationError

    from aftercall.events import AgentCall, Outcome

    model = AgentCall if kind == "calls" else Outcome
    try:
        model.model_validate(event)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if not isinstance(part, str) or part in model.model_fields)
        rule = f"{kind}: field '{where}': {first['type']}" if where else f"{kind}: {first['type']}"
        raise InvalidEventError(rule, f"{rule}: {first['msg']}") from None
