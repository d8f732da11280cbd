"""Lists the kinds of rules: what each takes, and the dimension of trust that it counts in."""

from __future__ import annotations

from typing import Final, NamedTuple

from aftercall.contracts.params.base import Dimension, RuleParams
from aftercall.contracts.params.code import PythonRule
from aftercall.contracts.params.columns import CostLimit, LatencyLimit, OutputLength
from aftercall.contracts.params.policy import PolicyVersion
from aftercall.contracts.params.sessions import EscalateAfter, RepeatedRequest, SessionBudget
from aftercall.contracts.params.texts import Format, ProhibitedTopics, RequiredTopics, RestrictedData, Safety
from aftercall.contracts.params.tool_path import (
    AllowedTools,
    Approval,
    DeniedTools,
    Documents,
    Escalation,
    NoAnswerOnEmpty,
    PartialData,
    RequiredTools,
    RetryLimit,
    SafeEndState,
    StaleData,
    ToolFailureHandled,
)


class Kind(NamedTuple):
    """One kind of rule."""

    params: type[RuleParams]
    dimension: Dimension
    """Where the rule does not say another."""


KINDS: Final[dict[str, Kind]] = {
    "latency": Kind(LatencyLimit, "latency"),
    "cost": Kind(CostLimit, "cost"),
    "output_length": Kind(OutputLength, "format"),
    "format": Kind(Format, "format"),
    "prohibited_topics": Kind(ProhibitedTopics, "safety"),
    "required_topics": Kind(RequiredTopics, "format"),
    "safety": Kind(Safety, "safety"),
    "restricted_data": Kind(RestrictedData, "safety"),
    "allowed_tools": Kind(AllowedTools, "tool_discipline"),
    "denied_tools": Kind(DeniedTools, "tool_discipline"),
    "required_tools": Kind(RequiredTools, "tool_discipline"),
    "retry_limit": Kind(RetryLimit, "tool_discipline"),
    "tool_failure_handled": Kind(ToolFailureHandled, "reliability"),
    "stale_data": Kind(StaleData, "tool_discipline"),
    "policy_version": Kind(PolicyVersion, "tool_discipline"),
    "approval": Kind(Approval, "tool_discipline"),
    "escalation": Kind(Escalation, "tool_discipline"),
    "safe_end_state": Kind(SafeEndState, "tool_discipline"),
    "session_budget": Kind(SessionBudget, "cost"),
    "repeated_request": Kind(RepeatedRequest, "tool_discipline"),
    "escalate_after": Kind(EscalateAfter, "tool_discipline"),
    "no_answer_on_empty": Kind(NoAnswerOnEmpty, "tool_discipline"),
    "partial_data": Kind(PartialData, "tool_discipline"),
    "documents": Kind(Documents, "tool_discipline"),
    "python": Kind(PythonRule, "tool_discipline"),
}
