"""Validates an event by the models of the reference, and encodes it as JSON.

pydantic and the models are imported by the first event, which the sender thread encodes (a durable one its caller).
"""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any, Final, Literal

from aftercall.errors import ExitCode, UserError

TYPES: Final = {"calls": "call", "outcomes": "outcome"}
DROPPED_BEFORE: Final = "dropped_before"


class InvalidEventError(UserError, ValueError):
    """An event that breaks a rule of the reference; `rule` says which, and quotes nothing of the event."""

    raised_at_once: Final = True
    """Capture lets it pass: it reaches the caller in tests of users alone, where transports are `at_once`."""

    exit_code = ExitCode.USAGE

    def __init__(self, sentence: str, rule: str | None = None) -> None:
        super().__init__(sentence)
        self.rule = sentence if rule is None else rule


@functools.cache
def load() -> None:
    """Import all that events need, at a moment of the caller's choice: a tenth of a second.

    pydantic imports some of its parts when they are first used, so that a valid event and an invalid one are tried.
    """
    import logging  # noqa: F401
    import sqlite3  # noqa: F401

    call = {"call_id": "c", "occurred_at": "2026-03-01T12:00:00Z", "task_type": "t", "model": "m", "attrs": {"a": 1}}
    encode("calls", call, 1)
    with suppress(InvalidEventError):
        encode("outcomes", call)


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
        raise InvalidEventError(f"cannot be JSON: {wrong}", f"{kind}: {type(wrong).__name__}") from None


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
        raise InvalidEventError(f"{rule}: {first['msg']}", rule) from None
