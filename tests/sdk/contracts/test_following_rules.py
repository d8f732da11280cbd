"""Rules on what follows a failed tool call, or one that gave nothing or a part, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from harness.contracts import judged, tool, tools

PASS, FAIL, NONE = "pass", "fail", "not_applicable"
RULE = {"fallbacks": ["search_old"], "escalations": ["handoff"], "accept": ["escalated", "refused"]}
BAD = tool("search", ok=False)


def ending(state: Any, *calls: dict[str, Any]) -> dict[str, Any]:
    return {**tools(*calls), "attrs": {"end_state": state}}


HANDLED = [
    (tools(tool("search", ok=True)), PASS),
    (tools(), PASS),
    (tools(BAD), FAIL),
    (tools(BAD, tool("search", ok=True)), PASS),
    (tools(tool("search", ok=True), BAD), FAIL),  # what came before does not follow
    (tools(BAD, tool("search", ok=False)), FAIL),
    (tools(BAD, tool("refund", ok=True)), FAIL),  # another tool, and no fallback
    (tools(BAD, tool("search_old", ok=True)), PASS),
    (tools(BAD, tool("search_old", ok=False)), FAIL),  # the fallback has failed too
    (tools(BAD, tool("search_old", ok=False), tool("search_old")), PASS),
    (tools(BAD, tool("handoff")), PASS),
    (tools(BAD, tool("handoff", error="queue closed")), FAIL),
    (tools(BAD, tool("refund", ok=True), tool("search", ok=True)), PASS),  # later is soon enough
    (ending("escalated", BAD), PASS),
    (ending("resolved", BAD), FAIL),
    (ending(True, BAD), FAIL),
    (tools(tool("search", error="timeout")), FAIL),  # absent beside an error: failed
    (tools(tool("search", error="timeout", ok=True)), PASS),  # the tool says that it worked
    (tools(tool("search", error="")), PASS),
    (tools(tool("search", attempts=3, ok=True)), PASS),  # three tries, the last of which worked
    (tools(tool("a", ok=False), tool("b", ok=False), tool("b", ok=True)), FAIL),  # each failure by itself
    (tools(tool(None, ok=False), tool(None, ok=True)), FAIL),  # not known to be the same tool
    ({"tool_calls": 2, "attrs": {"end_state": "escalated"}}, NONE),
    ({}, NONE),
]


@pytest.mark.parametrize(("call", "expected"), HANDLED)
def test_a_failed_tool_call_is_handled(call: dict[str, Any], expected: str) -> None:
    assert judged("tool_failure_handled", RULE, call).result == expected


def test_a_failure_of_a_tool_that_is_not_watched_needs_nothing() -> None:
    call = tools(tool("log", ok=False))
    assert judged("tool_failure_handled", {"tools": ["search*"]}, call).result == PASS
    assert judged("tool_failure_handled", {"tools": ["search*"]}, tools(tool("search_web", ok=False))).result == FAIL
    assert judged("tool_failure_handled", {}, call).result == FAIL


def test_a_failure_says_that_the_end_state_was_not_sent() -> None:
    details = judged("tool_failure_handled", RULE, tools(BAD)).details
    assert details == (
        "tool 'search' failed, and nothing followed that the rule lists, and no attrs.end_state was sent"
    )


NOTHING = tool("search", empty=True)
SOURCES = {"sources": ["web"], "escalations": ["handoff"], "accept": ["refused"]}
EMPTY = [
    (tools(tool("search", empty=False)), PASS),
    (tools(tool("search")), PASS),  # not marked
    (tools(NOTHING), FAIL),
    (tools(tool("search", items=0)), FAIL),
    (tools(tool("search", items=[])), FAIL),
    (tools(tool("search", documents=[])), FAIL),
    (tools(tool("search", items=0, empty=False)), PASS),  # the tool says that nothing was an answer
    (tools(tool("search", items=3)), PASS),
    (tools(NOTHING, tool("search", items=2)), PASS),
    (tools(NOTHING, NOTHING), FAIL),
    (tools(NOTHING, tool("web", items=1)), PASS),
    (tools(NOTHING, tool("web", empty=True)), FAIL),
    (tools(NOTHING, tool("web", ok=False)), FAIL),
    (tools(NOTHING, tool("send_mail", ok=True)), FAIL),  # it answered without a source
    (tools(tool("web", items=1), NOTHING), FAIL),
    (tools(NOTHING, tool("handoff")), PASS),
    (ending("refused", NOTHING), PASS),
    (ending("resolved", NOTHING), FAIL),
    (tools(tool("search", empty=True, ok=False)), PASS),  # a failure is the business of tool_failure_handled
    ({"tool_calls": 1}, NONE),
]


@pytest.mark.parametrize(("call", "expected"), EMPTY)
def test_no_answer_rests_on_an_empty_result(call: dict[str, Any], expected: str) -> None:
    assert judged("no_answer_on_empty", SOURCES, call).result == expected


PART = tool("search", partial=True)
PARTIAL = [
    (tools(tool("search", partial=False)), PASS),
    (tools(PART), FAIL),
    (tools(PART, tool("search")), PASS),
    (tools(PART, PART), FAIL),
    (tools(PART, tool("search", empty=True)), FAIL),
    (tools(PART, tool("search", ok=False)), FAIL),
    (tools(PART, tool("web")), PASS),
    (tools(PART, tool("web", partial=True)), FAIL),
    (tools(PART, tool("calc")), FAIL),
    (tools(PART, tool("handoff")), PASS),
    (ending("refused", PART), PASS),
    (ending("REFUSED", PART), FAIL),
    (tools(tool("search", partial="yes")), PASS),  # text is no flag
    ({"tool_calls": []}, PASS),
    ({}, NONE),
]


@pytest.mark.parametrize(("call", "expected"), PARTIAL)
def test_no_answer_rests_on_a_partial_result(call: dict[str, Any], expected: str) -> None:
    assert judged("partial_data", SOURCES, call).result == expected
