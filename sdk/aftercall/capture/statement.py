"""Collects what becomes the event of an outcome."""

from __future__ import annotations

from itertools import count
from time import time_ns
from typing import Any, Final

from aftercall.capture.ids import id_text, new_id
from aftercall.capture.quiet import place_of_caller, refuse
from aftercall.capture.sampling import is_kept
from aftercall.capture.settings import UNKNOWN, Capturing

_BYTES: Final = 500
_OFF: Final = count(1)
"""Numbers of outcomes that a client which is off was given: an id that is random takes longer than a microsecond."""


class Statement:
    """An outcome or a retraction in the making.

    Attributes:
        outcome_id: the caller's, else made here.
        fields: as `Outcome` has them; None means absent.
        at_ns: when it was made, since 1970.
    """

    __slots__ = ("at_ns", "fields", "outcome_id")

    def __init__(self, fields: dict[str, Any], outcome_id: object) -> None:
        self.outcome_id = id_text(outcome_id) or new_id()
        self.fields = fields
        if outcome_id is not None and id_text(outcome_id) is None:
            fields[UNKNOWN] = ("outcome_id",)
        self.at_ns = time_ns()

    def event(self) -> dict[str, Any]:
        """Make the event; on the sender thread."""
        from aftercall.capture.event import outcome_event

        return outcome_event(self)


def state(capturing: Capturing, fields: dict[str, Any], outcome_id: object) -> str:
    """Hand a statement to the emitter; never raises.

    Returns:
        Its `outcome_id`, also where it was not kept or not valid.
    """
    if capturing.sink is None:
        return id_text(outcome_id) or f"off-{next(_OFF)}"
    statement = Statement(fields, outcome_id)
    try:
        call_id, session_id = id_text(fields["call_id"]), id_text(fields["session_id"])
        # A statement on a session may be about calls that are kept and others that are not.
        if session_id is not None or is_kept(call_id or "", capturing.sample):
            key = session_id or call_id or ""
            capturing.sink.emit("outcomes", key, statement.event, _BYTES, place=place_of_caller())
    except Exception as error:  # noqa: BLE001  # nothing of ours may reach the agent
        refuse(capturing, error)
    return statement.outcome_id
