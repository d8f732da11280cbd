"""Judges whether a human was asked, and how a call ended: `approval`, `escalation`, `safe_end_state`."""

from __future__ import annotations

from aftercall.contracts.facts import NO_TOOLS, Facts
from aftercall.contracts.globs import Globs
from aftercall.contracts.params.tool_path import Approval, Escalation, SafeEndState
from aftercall.contracts.records.base import NAMELESS, Judge, any_of, kept, on_tools, shown
from aftercall.contracts.results import Finding, fails, in_error, not_applicable, passes


def approval(rule: Approval) -> Judge:
    """One of `tools` is called only with `attrs.approved = true`, or after one of `approvers` that worked."""
    guarded, approvers = Globs(rule.tools), Globs(rule.approvers)

    @on_tools
    def judge(facts: Facts) -> Finding:
        if facts.label("approved") is True:
            return passes("attrs.approved is true")
        for tool in facts.tools:
            name = tool.name
            if name is not None and guarded.match(name):
                return fails(f"called {shown(name)} without approval", kept(name))
            if name is not None and not tool.failed and approvers.match(name):
                return passes("no tool that needs approval was called before it")
        nameless = None in facts.tool_names
        return not_applicable(NAMELESS) if nameless else passes("no tool that needs approval was called")

    return judge


def escalation(rule: Escalation) -> Judge:
    """One of `tools` was called and worked, or `attrs.escalated` is true; the engine has looked at `when`."""
    tools = Globs(rule.tools)

    def judge(facts: Facts) -> Finding:
        escalated = facts.label("escalated")
        if escalated is True:
            return passes("attrs.escalated is true")
        unread = facts.tools_unread if rule.tools else NO_TOOLS
        if unread is not None and unread != NO_TOOLS:
            return in_error(unread)
        if unread is not None and escalated is None:
            return not_applicable("attrs.escalated was not sent" + (f", and {NO_TOOLS}" if rule.tools else ""))
        if any(tool.name is not None and not tool.failed and tools.match(tool.name) for tool in facts.tools):
            return passes("a tool was called that escalates")
        if None in facts.tool_names and rule.tools:
            return not_applicable(NAMELESS)
        return fails(f"did not escalate: attrs.escalated is not true{_and_tools(rule)}")

    return judge


def safe_end_state(rule: SafeEndState) -> Judge:
    """`attrs.end_state` is one of `allowed`."""
    allowed = frozenset(rule.allowed)

    def judge(facts: Facts) -> Finding:
        state = facts.label("end_state")
        if not isinstance(state, str) or not state:
            return not_applicable("the call has no attrs.end_state")
        if state in allowed:
            return passes("the end state is allowed", kept(state))
        return fails(f"end state {shown(state)} is not one of {any_of(rule.allowed)}", kept(state))

    return judge


def _and_tools(rule: Escalation) -> str:
    return f", and none of {any_of(rule.tools)} was called and worked" if rule.tools else ""
