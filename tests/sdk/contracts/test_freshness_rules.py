"""Rules on how old the data is that a call acted on, case by case; calls are made at noon of 2026-03-01."""

from __future__ import annotations

from typing import Any

import pytest

from harness.contracts import judged, tool, tools

PASS, FAIL, NONE = "pass", "fail", "not_applicable"


def dated(time: str, **fields: Any) -> dict[str, Any]:
    return tool("price", data_at=f"2026-03-01T{time}Z", **fields)


STALE = [
    ({}, tools(tool("price", stale=False)), PASS),
    ({}, tools(tool("price")), PASS),  # not marked
    ({}, tools(tool("price", stale=True)), FAIL),
    ({}, tools(tool("price", stale="true")), PASS),  # text is no flag
    ({}, tools(), PASS),
    ({"allow": 1}, tools(tool("price", stale=True), tool("price")), PASS),
    ({"allow": 1}, tools(tool("price", stale=True), tool("stock", stale=True)), FAIL),
    ({"tools": ["price*"]}, tools(tool("stock", stale=True)), PASS),
    ({"tools": ["price*"]}, tools(tool("stock"), tool("price_eu", stale=True)), FAIL),
    ({"tools": ["price*"]}, tools(tool(None, stale=True)), PASS),  # not known to be one of them
    ({"max_age": "1h"}, tools(dated("11:00:00")), PASS),  # exactly so old as it may be
    ({"max_age": "1h"}, tools(dated("10:59:59.999999")), FAIL),
    ({"max_age": "1h"}, tools(dated("12:30:00")), PASS),  # a clock that is ahead
    ({"max_age": "1h"}, tools(dated("11:30:00"), dated("09:00:00")), FAIL),
    ({"max_age": "1h"}, tools(dated("11:30:00", stale=True)), FAIL),  # young, and marked stale
    ({"max_age": "1h"}, tools(tool("price")), NONE),  # how old it is was not sent
    ({"max_age": "1h"}, tools(tool("price", data_at="yesterday")), NONE),
    ({"max_age": "1h"}, tools(tool("price"), dated("11:30:00")), PASS),
    ({"max_age": "1h"}, {**tools(dated("11:30:00")), "occurred_at": "noon"}, NONE),
    ({}, {"tool_calls": 4}, NONE),
    ({}, {}, NONE),
]


@pytest.mark.parametrize(("params", "call", "expected"), STALE)
def test_tool_results_are_fresh(params: dict[str, Any], call: dict[str, Any], expected: str) -> None:
    assert judged("stale_data", params, call).result == expected


def read(*documents: Any, **fields: Any) -> dict[str, Any]:
    return tools(tool("search", documents=list(documents), **fields))


def doc(name: Any, version: Any = None, time: str | None = None) -> dict[str, Any]:
    return {"id": name, "version": version, "data_at": time}


LATEST: dict[str, Any] = {"latest": {"handbook": "7", "price-*": "2026-03"}}
DOCUMENTS = [
    (LATEST, read(doc("handbook", "7")), PASS),
    (LATEST, read(doc("handbook", 7)), PASS),  # an integer is as good as its digits
    (LATEST, read(doc("handbook", "6")), FAIL),
    (LATEST, read(doc("handbook", "7"), doc("price-eu", "2026-02")), FAIL),
    (LATEST, read(doc("handbook", "7"), doc("faq", "1")), PASS),  # of the others the rule says nothing
    (LATEST, read(doc("faq", "1")), NONE),
    (LATEST, read(doc("handbook")), NONE),  # which version it was is not known
    (LATEST, read(doc("Handbook", "6")), NONE),
    ({"max_age": "30d"}, read(doc("a", None, "2026-01-30T12:00:00Z")), PASS),
    ({"max_age": "30d"}, read(doc("a", None, "2026-01-30T11:59:59Z")), FAIL),
    ({"max_age": "30d"}, read(doc("a"), data_at="2026-01-01T00:00:00Z"), FAIL),  # as of when the tool answered
    ({"max_age": "30d"}, read(doc("a", None, "2026-02-28T00:00:00Z"), data_at="2026-01-01T00:00:00Z"), PASS),
    ({"max_age": "30d"}, read(doc("a")), NONE),
    ({"denied": ["draft-*"]}, read(doc("draft-7")), FAIL),
    ({"denied": ["draft-*"]}, read(doc("redraft-7")), PASS),
    ({"denied": ["draft-*"]}, read(5, "draft-1", None, {"version": "1"}), NONE),  # nothing of it has an id
    ({"denied": ["draft-*"]}, tools(tool("search")), NONE),
    ({"denied": ["x"]}, read(*[doc(f"d{at}") for at in range(32)], doc("x")), PASS),  # beyond those that are kept
    ({"denied": ["x"]}, {"tool_calls": 3}, NONE),
]


@pytest.mark.parametrize(("params", "call", "expected"), DOCUMENTS)
def test_documents_are_those_that_may_be_used(params: dict[str, Any], call: dict[str, Any], expected: str) -> None:
    assert judged("documents", params, call).result == expected


POLICY: dict[str, Any] = {
    "latest": {"8": "2026-03-01T11:30:00Z", "7": "2026-02-01T00:00:00Z", "9": "2026-04-01T00:00:00Z"},
    "grace": "1h",
}
"""At noon version 8 is in effect, for 30 minutes."""
VERSIONS = [
    ({}, {"policy_version": "8"}, PASS),
    ({}, {"policy_version": "7"}, PASS),  # replaced 30 minutes ago, with an hour's grace
    ({"grace": "30m"}, {"policy_version": "7"}, PASS),
    ({"grace": "29m"}, {"policy_version": "7"}, FAIL),
    ({"grace": "0s"}, {"policy_version": "7"}, FAIL),
    ({}, {"policy_version": "9"}, FAIL),  # not in effect before April
    ({}, {"policy_version": "8.0"}, FAIL),  # unknown
    ({}, {"policy_version": " 8"}, FAIL),
    ({}, {"policy_version": "8", "occurred_at": "2026-03-01T11:29:59Z"}, FAIL),  # a second too early
    ({}, {"policy_version": "7", "occurred_at": "2026-03-01T12:30:00.000001Z"}, FAIL),
    ({}, {"policy_version": "7", "occurred_at": "2026-01-01T00:00:00Z"}, NONE),  # the table begins later
    ({}, {}, NONE),
    ({}, {"policy_version": 8}, NONE),
    ({}, {"policy_version": "8", "occurred_at": None}, NONE),
]


@pytest.mark.parametrize(("params", "call", "expected"), VERSIONS)
def test_a_call_acts_on_the_policy_in_effect(params: dict[str, Any], call: dict[str, Any], expected: str) -> None:
    assert judged("policy_version", {**POLICY, **params}, call).result == expected


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("9", "version '9' is not in effect, '8' is"),
        ("6", "version '6' is unknown to the rule, '8' is"),
    ],
)
def test_a_failure_says_which_version_is_in_effect(version: str, words: str) -> None:
    found = judged("policy_version", POLICY, {"policy_version": version})
    assert (found.details, found.actual, found.threshold) == (words, version, "8")
