"""Defines the record of a violation that the pipeline publishes; see docs/reference.md, section 3."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from aftercall.records import Record, Time

RuleSeverityName = Literal["critical", "major", "minor", "info"]


class CheckRecord(Record):
    """A call that violates a rule of a contract; topic `agent.checks`, which is off by default."""

    key_field: ClassVar[str | None] = "call_id"

    call_id: str
    call_occurred_at: Time
    task_type: str
    model: str
    config: str
    contract: str
    contract_version: str
    rule: str
    type: str = Field(description="kind of the rule")
    severity: RuleSeverityName
    result: Literal["fail"] = Field(description="results of other kinds are not published")
    actual: float | str | None = Field(description="what the rule found")
    threshold: float | str | None = Field(description="what it asks for")
    details: str = Field(description="one sentence, without a piece of a text unless the settings ask for it")
