"""Judges what follows a tool call that gave nothing to rely on.

`tool_failure_handled` is about failed ones, `no_answer_on_empty` and `partial_data` about results. Each must be
followed by a better result of the same tool, by one of another source that the rule lists, or by an escalation; or the
call must end in a state that the rule accepts.
"""

from __future__ import annotations

from collections.abc import Callable

from aftercall.contracts.facts import Facts, ToolUse
from aftercall.contracts.globs import Globs
from aftercall.contracts.params.tool_path import NoAnswerOnEmpty, PartialData, ToolFailureHandled
from aftercall.contracts.records.base import Judge, kept, on_tools, shown
from aftercall.contracts.results import Finding, fails, passes

Test = Callable[[ToolUse], bool]


def tool_failure_handled(rule: ToolFailureHandled) -> Judge:
    """A failed tool call is followed by the same tool, one of `fallbacks` or of `escalations` that worked."""
    return _followed(rule, rule.fallbacks, "failed", lambda tool: tool.failed, lambda tool: not tool.failed)


def no_answer_on_empty(rule: NoAnswerOnEmpty) -> Judge:
    """An empty result is followed by a result of the same tool or of one of `sources`, or an escalation."""
    return _followed(
        rule,
        rule.sources,
        "gave nothing",
        lambda tool: tool.empty and not tool.failed,
        lambda tool: not tool.empty and not tool.failed,
    )


def partial_data(rule: PartialData) -> Judge:
    """A partial result is followed by a whole one of the same tool or of one of `sources`, or an escalation."""
    return _followed(
        rule,
        rule.sources,
        "gave a part only",
        lambda tool: tool.partial and not tool.failed,
        lambda tool: not (tool.partial or tool.empty or tool.failed),
    )


def _followed(
    rule: ToolFailureHandled | NoAnswerOnEmpty | PartialData, others: list[str], words: str, bad: Test, good: Test
) -> Judge:
    chosen, sources, escalations = Globs(rule.tools), Globs(others), Globs(rule.escalations)
    accepted = frozenset(rule.accept)

    @on_tools
    def judge(facts: Facts) -> Finding:
        left = _left_alone(facts.tools, chosen, (sources, escalations), bad, good)
        if left is None:
            return passes(f"no tool call {words} without what must follow")
        end_state = facts.label("end_state")
        if end_state in accepted:
            return passes(f"a tool call {words}, and the call ended in a state that is accepted")
        missing = ", and no attrs.end_state was sent" if accepted and end_state is None else ""
        return fails(
            f"tool {shown(left.name)} {words}, and nothing followed that the rule lists{missing}", kept(left.name)
        )

    return judge


def _left_alone(
    tools: tuple[ToolUse, ...], chosen: Globs, helpers: tuple[Globs, Globs], bad: Test, good: Test
) -> ToolUse | None:
    """The last tool call that needed something to follow it, and had nothing; None where there is none."""
    sources, escalations = helpers
    better: set[str] = set()
    helped = False
    tool: ToolUse
    for tool in reversed(tools):
        if bad(tool) and not helped and tool.name not in better and chosen.match(tool.name or ""):
            return tool
        if tool.name is not None:
            if good(tool):
                better.add(tool.name)
                helped = helped or sources.match(tool.name)
            helped = helped or (not tool.failed and escalations.match(tool.name))
    return None
