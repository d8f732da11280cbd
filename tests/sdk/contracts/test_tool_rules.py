"""Rules on which tools were called and how often, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from harness.contracts import judged, tool, tools

PASS, FAIL, NONE, ERROR = "pass", "fail", "not_applicable", "error"
UNREAD = [({}, NONE), ({"tool_calls": 3}, NONE), ({"tool_calls": None}, NONE), ({"tool_calls": "search"}, NONE)]
"""Calls of which no rule on tools can say anything."""

ALLOWED = [
    (["search"], tools(tool("search")), PASS),
    (["search"], tools(), PASS),
    (["search"], tools(tool("search"), tool("refund")), FAIL),
    (["search"], tools(tool("Search")), FAIL),  # case matters
    (["search"], tools(tool("search_all")), FAIL),  # a glob matches the whole name
    (["search*"], tools(tool("search_all")), PASS),
    (["*_read"], tools(tool("db_read"), tool("db_read2")), FAIL),
    (["db_?"], tools(tool("db_1")), PASS),
    (["db_[!1]"], tools(tool("db_1")), FAIL),
    (["a", "b"], tools(tool("b"), tool("a"), tool("b")), PASS),
    (["search"], tools(tool("search"), tool(None)), NONE),  # which tool that was is not known
    (["search"], tools(tool(None), tool("refund")), FAIL),  # this one was called for certain
    (["search"], tools(tool("refund", ok=False)), FAIL),  # a call that failed was made
    *[(["search"], call, expected) for call, expected in UNREAD],
]


@pytest.mark.parametrize(("globs", "call", "expected"), ALLOWED)
def test_only_tools_that_are_allowed_are_called(globs: list[str], call: dict[str, Any], expected: str) -> None:
    assert judged("allowed_tools", {"tools": globs}, call).result == expected


DENIED = [
    (["delete_*"], tools(tool("search")), PASS),
    (["delete_*"], tools(), PASS),
    (["delete_*"], tools(tool("delete_user")), FAIL),
    (["delete_*"], tools(tool("undelete_user")), PASS),
    (["delete_*"], tools(tool("DELETE_user")), PASS),
    (["delete_*"], tools(tool("delete_")), FAIL),
    (["rm", "drop"], tools(tool("ls"), tool("drop")), FAIL),
    (["rm"], tools(tool("rm ")), PASS),  # a name is compared as it was sent
    (["*"], tools(tool("ls")), FAIL),
    (["rm"], tools(tool(None)), NONE),
    (["rm"], tools(tool(None), tool("rm")), FAIL),
    *[(["rm"], call, expected) for call, expected in UNREAD],
]


@pytest.mark.parametrize(("globs", "call", "expected"), DENIED)
def test_no_tool_that_is_denied_is_called(globs: list[str], call: dict[str, Any], expected: str) -> None:
    assert judged("denied_tools", {"tools": globs}, call).result == expected


REQUIRED = [
    (["lookup"], tools(tool("lookup")), PASS),
    (["lookup"], tools(), FAIL),
    (["lookup"], tools(tool("look")), FAIL),
    (["lookup", "log"], tools(tool("lookup")), FAIL),
    (["lookup", "log"], tools(tool("log"), tool("x"), tool("lookup")), PASS),
    (["lookup_*"], tools(tool("lookup_order")), PASS),
    (["lookup_*", "*_order"], tools(tool("lookup_order")), PASS),  # one tool call may serve two globs
    (["lookup"], tools(tool("lookup", ok=False, error="timeout")), PASS),  # called, though it failed
    (["lookup"], tools(tool(None)), NONE),
    (["lookup"], tools(tool(None), tool("lookup")), PASS),
    *[(["lookup"], call, expected) for call, expected in UNREAD],
]


@pytest.mark.parametrize(("globs", "call", "expected"), REQUIRED)
def test_each_tool_that_is_required_is_called(globs: list[str], call: dict[str, Any], expected: str) -> None:
    assert judged("required_tools", {"tools": globs}, call).result == expected


RETRY = [
    ({"attempts": 3}, tools(tool("a", attempts=3)), PASS),
    ({"attempts": 3}, tools(tool("a", attempts=4)), FAIL),
    ({"attempts": 3}, tools(tool("a", attempts=2), tool("a", attempts=2)), PASS),  # of each tool call by itself
    ({"attempts": 3}, tools(tool("a")), NONE),  # it may have been tried a hundred times
    ({"attempts": 3}, tools(tool("a"), tool("b", attempts=1)), PASS),
    ({"attempts": 3}, tools(tool("a", attempts="9")), NONE),
    ({"attempts": 3}, tools(tool("a", attempts=3, ok=True)), PASS),  # tried three times, then successful
    ({"attempts": 3}, tools(), PASS),
    ({"calls": 2}, tools(tool("a"), tool("b"), tool("a")), PASS),
    ({"calls": 2}, tools(tool("a"), tool("a"), tool("b"), tool("a")), FAIL),
    ({"calls": 2}, tools(tool("a"), tool("a"), tool("A")), PASS),
    ({"calls": 2}, tools(tool("a"), tool("a"), tool(None)), NONE),
    ({"calls": 2, "tools": ["refund*"]}, tools(*[tool("search")] * 9), PASS),
    ({"calls": 2, "tools": ["refund*"]}, tools(*[tool("refund_x")] * 3), FAIL),
    ({"calls": 0, "tools": ["refund"]}, tools(tool("refund")), FAIL),
    ({"calls": 5, "attempts": 2}, tools(tool("a", attempts=3)), FAIL),
    ({"calls": 1, "attempts": 2}, tools(tool("a", attempts=1), tool("a", attempts=1)), FAIL),
    *[({"calls": 2}, call, expected) for call, expected in UNREAD],
]


@pytest.mark.parametrize(("params", "call", "expected"), RETRY)
def test_a_tool_is_not_tried_too_often(params: dict[str, Any], call: dict[str, Any], expected: str) -> None:
    assert judged("retry_limit", params, call).result == expected


def test_a_failure_names_the_tool_without_what_a_terminal_would_execute() -> None:
    found = judged("denied_tools", {"tools": ["rm*"]}, tools(tool("rm\x1b[31m" + "x" * 500)))
    assert found.details.startswith("called 'rm\\x1b[31mxxx")
    assert len(found.details) < 120
    assert len(str(found.actual)) <= 256


def test_how_often_a_tool_was_called_is_the_actual_value() -> None:
    found = judged("retry_limit", {"calls": 2}, tools(*[tool("a")] * 7))
    assert (found.actual, found.threshold) == (7, 2)
