"""Judges which tools were called, and how often: `allowed_tools`, `denied_tools`, `required_tools`, `retry_limit`."""

from __future__ import annotations

from aftercall.contracts.facts import Facts, ToolUse
from aftercall.contracts.globs import Globs
from aftercall.contracts.params.tool_path import AllowedTools, DeniedTools, RequiredTools, RetryLimit
from aftercall.contracts.records.base import NAMELESS, Judge, any_of, kept, on_tools, shown
from aftercall.contracts.results import Finding, fails, not_applicable, passes


def allowed_tools(rule: AllowedTools) -> Judge:
    """Each tool called matches one of `tools`."""
    allowed = Globs(rule.tools)

    @on_tools
    def judge(facts: Facts) -> Finding:
        others = [name for name in facts.tool_names if name is not None and not allowed.match(name)]
        if others:
            return fails(f"called {shown(others[0])}, which is not allowed{_beside(others)}", kept(others[0]))
        return _of_named(facts, passes("no tool was called that is not allowed"))

    return judge


def denied_tools(rule: DeniedTools) -> Judge:
    """No tool called matches one of `tools`."""
    denied = Globs(rule.tools)

    @on_tools
    def judge(facts: Facts) -> Finding:
        called = [name for name in facts.tool_names if name is not None and denied.match(name)]
        if called:
            return fails(f"called {shown(called[0])}, which is denied{_beside(called)}", kept(called[0]))
        return _of_named(facts, passes("no tool was called that is denied"))

    return judge


def required_tools(rule: RequiredTools) -> Judge:
    """For each of `tools` there is a tool call that matches it, whether it worked or not."""
    required = [(glob, Globs([glob])) for glob in rule.tools]

    @on_tools
    def judge(facts: Facts) -> Finding:
        names = [name for name in facts.tool_names if name is not None]
        missing = [glob for glob, globs in required if not any(map(globs.match, names))]
        if not missing:
            return passes("each tool that is required was called")
        return _of_named(facts, fails(f"did not call {any_of(missing)}", None, missing[0]))

    return judge


def retry_limit(rule: RetryLimit) -> Judge:
    """A tool call made at most `attempts`, and one tool was called at most `calls` times."""
    chosen = Globs(rule.tools)

    @on_tools
    def judge(facts: Facts) -> Finding:
        tools = [tool for tool in facts.tools if chosen.match(tool.name or "")]
        return _too_often(rule, facts, chosen) or _too_many_attempts(rule, tools) or _within(rule, tools)

    return judge


def _too_often(rule: RetryLimit, facts: Facts, chosen: Globs) -> Finding | None:
    for name, count in facts.tool_names.items():
        if rule.calls is not None and name is not None and count > rule.calls and chosen.match(name):
            return fails(f"called {shown(name)} {count} times, more than {rule.calls}", count, rule.calls)
    return None


def _too_many_attempts(rule: RetryLimit, tools: list[ToolUse]) -> Finding | None:
    for tool in tools:
        if rule.attempts is not None and tool.attempts is not None and tool.attempts > rule.attempts:
            words = f"{tool.attempts} attempts of one call of {shown(tool.name)}, more than {rule.attempts}"
            return fails(words, tool.attempts, rule.attempts)
    return None


def _within(rule: RetryLimit, tools: list[ToolUse]) -> Finding:
    """What a call without too many means: of tool calls that do not say their attempts, nothing is known."""
    if rule.calls is not None and any(tool.name is None for tool in tools):
        return not_applicable(NAMELESS)
    if rule.calls is None and tools and all(tool.attempts is None for tool in tools):
        return not_applicable("no tool call says its attempts")
    counted = "as far as tool calls say their attempts" if rule.attempts is not None else "by their names"
    return passes(f"no tool was tried too often, {counted}")


def _of_named(facts: Facts, found: Finding) -> Finding:
    """What was found by names; where a tool call has none, it may have been any tool."""
    return not_applicable(NAMELESS) if None in facts.tool_names else found


def _beside(names: list[str]) -> str:
    return f", and {len(names) - 1} more such tools" if len(names) > 1 else ""
