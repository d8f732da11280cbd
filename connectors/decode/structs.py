"""Defines the records of the wire as msgspec structs, for the decoder's fast tier.

The structs accept a subset of what `aftercall.events` accepts, with equal values: a record with an unknown field, or
with empty text, is rejected. Times are text here, and are checked when they become columns, where a `null` for a field
that has a default becomes that.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from aftercall.events import (
    MAX_CALL_ID,
    MAX_COST_USD,
    MAX_COUNT,
    MAX_DOCUMENTS,
    MAX_LATENCY_MS,
    AgentCall,
    Outcome,
    Scope,
    ToolCall,
)
from aftercall.vocabulary import MAX_ATTEMPTS, MAX_CHECKS
from aftercall.wire_parts import MAX_LONG_TEXT, MAX_TEXT

_Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
_LongText = Annotated[str, Meta(min_length=1, max_length=MAX_LONG_TEXT)]
_FreeText = Annotated[str, Meta(min_length=1)]
_CallId = Annotated[str, Meta(min_length=1, max_length=MAX_CALL_ID)]
_Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
_LatencyMs = Annotated[float, Meta(ge=0, le=MAX_LATENCY_MS)]
_CostUsd = Annotated[float, Meta(ge=0, le=MAX_COST_USD)]
_Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Parsers differ on longer integers: records with one go to pydantic."""
_Label = Annotated[str, Meta(max_length=MAX_TEXT)]
DEFAULT_CONFIG: Final = AgentCall.model_fields["config"].default
DEFAULT_ACTION: Final = Outcome.model_fields["action"].default
_Attrs = dict[_Label, _Label | bool | _Int64 | _Finite | None]


class DocumentRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`aftercall.events.Document`."""

    id: _Text
    version: _Text | None = None
    data_at: _FreeText | None = None


class ToolCallRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`aftercall.events.ToolCall`."""

    name: _Text | None = None
    ok: bool | None = None
    attempts: _Count | None = None
    latency_ms: _LatencyMs | None = None
    error: _LongText | None = None
    stale: bool | None = None
    input: _FreeText | None = None
    output: _FreeText | None = None
    partial: bool | None = None
    empty: bool | None = None
    items: _Count | None = None
    data_at: _FreeText | None = None
    documents: Annotated[list[DocumentRecord], Meta(max_length=MAX_DOCUMENTS)] | None = None


class AttemptRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`aftercall.events.Attempt`, but that its names may have to become plain ones: see `decode.attempts`."""

    model: _Text
    config: _Text | None = None
    error: _LongText | None = None
    latency_ms: _LatencyMs | None = None
    cost_usd: _CostUsd | None = None


class RolloutRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`aftercall.events.Rollout`."""

    id: _Text
    arm: Literal["baseline", "canary"]
    step: _Count | None = None


class CheckRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`aftercall.events.Check`."""

    contract: _Text
    version: _Text
    hash: _Text
    rule: _Text
    result: Literal["pass", "fail", "not_applicable", "error"]
    actual: _Finite | _Text | None = None
    threshold: _Finite | _Text | None = None
    details: _LongText | None = None


class CallRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`aftercall.events.AgentCall`."""

    call_id: _CallId
    occurred_at: _FreeText
    task_type: _Text
    model: _Text
    type: Literal["call"] | None = None
    config: _Text | None = DEFAULT_CONFIG
    segment: _Text | None = None
    session_id: _Text | None = None
    parent_call_id: _Text | None = None
    latency_ms: _LatencyMs | None = None
    cost_usd: _CostUsd | None = None
    tokens_in: _Count | None = None
    tokens_out: _Count | None = None
    tokens: _Count | None = None
    error: _LongText | None = None
    tool_calls: _Count | list[ToolCallRecord] | None = None
    policy_version: _Text | None = None
    input: _FreeText | None = None
    output: _FreeText | None = None
    recommendation_id: _Text | None = None
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None
    rollout: RolloutRecord | None = None
    attrs: _Attrs | None = None
    attempts: Annotated[list[AttemptRecord], Meta(max_length=MAX_ATTEMPTS)] | None = None
    checks: Annotated[list[CheckRecord], Meta(max_length=MAX_CHECKS)] | None = None


class OutcomeRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`aftercall.events.Outcome`; which fields it needs is checked in its columns."""

    outcome_id: _Text
    occurred_at: _FreeText
    call_id: _CallId | None = None
    session_id: _Text | None = None
    scope: Scope | None = None
    type: Literal["outcome"] | None = None
    call_occurred_at: _FreeText | None = None
    source: _Text | None = None
    author: _Text | None = None
    success: bool | None = None
    score: _Finite | None = None
    action: Literal["assert", "retract"] | None = DEFAULT_ACTION
    retracts: _Text | None = None
    reason: _LongText | None = None
    scorer: _Text | None = None
    error: _LongText | None = None
    attrs: _Attrs | None = None

    @property
    def retract(self) -> bool:
        """Whether it takes back what was said."""
        return self.action == "retract"


def call_record(call: AgentCall) -> CallRecord:
    """The struct of a call that pydantic accepted."""
    fields = {name: getattr(call, name) for name in CallRecord.__struct_fields__}
    if isinstance(call.tool_calls, list):
        fields["tool_calls"] = list(map(_tool_record, call.tool_calls))
    if call.attempts is not None:
        fields["attempts"] = [AttemptRecord(**attempt.model_dump()) for attempt in call.attempts]
    if call.checks is not None:
        fields["checks"] = [CheckRecord(**check.model_dump()) for check in call.checks]
    if call.rollout is not None:
        fields["rollout"] = RolloutRecord(**call.rollout.model_dump())
    return CallRecord(**fields)


def _tool_record(tool: ToolCall) -> ToolCallRecord:
    fields = tool.model_dump()
    if tool.documents is not None:
        fields["documents"] = [DocumentRecord(**document) for document in fields["documents"]]
    return ToolCallRecord(**fields)


def outcome_record(outcome: Outcome) -> OutcomeRecord:
    """The struct of an outcome that pydantic accepted."""
    return OutcomeRecord(**{name: getattr(outcome, name) for name in OutcomeRecord.__struct_fields__})
