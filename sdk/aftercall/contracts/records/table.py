"""Lists the functions of the kinds that read columns and records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aftercall.contracts.params.base import RuleParams
from aftercall.contracts.params.code import AT_THE_PRODUCER
from aftercall.contracts.records import columns, consent, following, freshness, tools
from aftercall.contracts.records.base import Judge
from aftercall.contracts.results import in_error, not_applicable

JUDGES: Final[dict[str, Callable[[Any], Judge]]] = {
    "latency": columns.latency,
    "cost": columns.cost,
    "output_length": columns.output_tokens,
    "allowed_tools": tools.allowed_tools,
    "denied_tools": tools.denied_tools,
    "required_tools": tools.required_tools,
    "retry_limit": tools.retry_limit,
    "tool_failure_handled": following.tool_failure_handled,
    "no_answer_on_empty": following.no_answer_on_empty,
    "partial_data": following.partial_data,
    "stale_data": freshness.stale_data,
    "documents": freshness.documents,
    "policy_version": freshness.policy_version,
    "approval": consent.approval,
    "escalation": consent.escalation,
    "safe_end_state": consent.safe_end_state,
    "python": lambda _: lambda _: not_applicable(AT_THE_PRODUCER),
}
"""Of each kind, what makes the function that judges the calls of one rule."""


def judge_of(params: RuleParams) -> Judge:
    """The function that judges by one rule; of a rule on texts or sessions, which is judged elsewhere, an error."""
    make = JUDGES.get(params.type)
    if make is None or params.room in {"text", "session"}:
        return lambda _: in_error(f"rules on {params.room}s are not judged here")
    return make(params)
