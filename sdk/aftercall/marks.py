"""Defines the mark: something that was changed on purpose at a known moment, such as a deployment or a new prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from aftercall.events import Event, RequiredId, Time, agrees
from aftercall.names import plain_name
from aftercall.records import content_hash
from aftercall.times import parse_time
from aftercall.vocabulary import OTHER
from aftercall.wire_parts import Required, Text


def _no_remainder(name: str) -> str:
    if name == OTHER:
        raise PydanticCustomError("reserved_name", "has a meaning of its own here; got '{s}'", {"s": name})
    return name


class Mark(Event):
    """A change that was made on purpose, such as a deployment. Topic `agent.marks`, record key `mark_id`.

    `task_type` is the one that it concerns, or `*` for all of them. Alerts name the nearest mark before their change.
    It has the rules of `AgentCall`. Without a `mark_id` its id is a hash of its content, see `mark_id_of`.

    >>> mark = Mark(occurred_at="2026-03-01T12:00:00Z", task_type="triage", text="prompt v8")
    >>> mark.mark_id == mark_id_of(mark.occurred_at, "triage", "prompt v8")
    True
    """

    type: Annotated[Literal["mark"], agrees("mark")] | None = None
    mark_id: RequiredId | None = None
    occurred_at: Time
    task_type: Annotated[Required, AfterValidator(_no_remainder)]
    text: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, given: Any) -> Any:
        """Free the task type of what cannot be seen, as that of a call."""
        if not isinstance(given, Mapping) or not isinstance(given.get("task_type"), str):
            return given
        return {**given, "task_type": plain_name(given["task_type"])}

    @model_validator(mode="after")
    def _has_an_id(self) -> Mark:
        if self.mark_id is None:
            # The model is frozen for its readers; here it is still being built.
            object.__setattr__(self, "mark_id", mark_id_of(self.occurred_at, self.task_type, self.text))
        return self


def mark_id_of(occurred_at: str, task_type: str, text: str | None) -> str:
    """The id of a mark that has none: 128 bits in hex, the same for the same instant, task type and text.

    >>> mark_id_of("2026-03-01T12:00:00Z", "*", "v8") == mark_id_of("2026-03-01T13:00:00+01:00", "*", "v8")
    True

    Raises:
        ValueError: the time is none.
    """
    return content_hash("mark", parse_time(occurred_at), task_type, text)
