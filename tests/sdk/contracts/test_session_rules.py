"""Rules over the calls of one session, call by call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aftercall.contracts.sessions import MAX_REQUESTS, SessionJudge
from harness.contracts import contract, tool, tools


def run(kind: str, params: dict[str, Any], calls: list[dict[str, Any]]) -> str:
    """The first letters of the results of a session's calls, a minute apart, with the state stored in between."""
    judge = SessionJudge(contract({"type": kind, **params}))
    state: dict[str, Any] = {}
    letters = ""
    for minute, call in enumerate(calls):
        record = {"session_id": "s", "occurred_at": f"2026-03-01T12:{minute:02d}:00Z", **call}
        (found,) = judge.judge(state, record)
        letters += found.result[0]
        state = json.loads(json.dumps(state))
    return letters


BUDGET: list[tuple[dict[str, Any], list[dict[str, Any]], str]] = [
    ({"usd": 1}, [{"cost_usd": 0.5}, {"cost_usd": 0.5}], "pp"),
    ({"usd": 1}, [{"cost_usd": 0.5}, {"cost_usd": 0.6}], "pf"),
    ({"usd": 1}, [{"cost_usd": 1.5}, {"cost_usd": 0}], "ff"),  # it stays over
    ({"usd": 1}, [{"cost_usd": 0.5}, {}], "pn"),
    ({"usd": 1}, [{"cost_usd": 2}, {}], "ff"),  # over, whatever this call cost
    ({"calls": 2}, [{}, {}, {}], "ppf"),
    ({"calls": 0}, [{}], "f"),
    ({"tokens": 10}, [{"tokens": 5}, {"tokens_in": 3, "tokens_out": 3}], "pf"),
    ({"tokens": 10}, [{"tokens_out": 10}], "p"),
    ({"tokens": 10}, [{"tokens": "11"}], "n"),
    ({"usd": 1, "calls": 1}, [{}, {"cost_usd": 0.1}], "nf"),
    ({"calls": 1}, [{"session_id": None}], "n"),
    ({"calls": 1, "when": {"model": "m"}}, [{"model": "x"}, {"model": "m"}], "nf"),  # a budget is of all calls
]


@pytest.mark.parametrize(("params", "calls", "results"), BUDGET)
def test_a_session_keeps_its_budget(params: dict[str, Any], calls: list[dict[str, Any]], results: str) -> None:
    assert run("session_budget", params, calls) == results


def asks(*requests: Any) -> list[dict[str, Any]]:
    return [{"attrs": {"input_hash": request}} for request in requests]


REPEATED: list[tuple[dict[str, Any], list[dict[str, Any]], str]] = [
    ({}, asks("a"), "p"),
    ({}, asks("a", "b", "c"), "ppp"),
    ({}, asks("a", "a"), "pf"),
    ({}, asks("a", "b", "a"), "ppf"),
    ({}, asks("a", "A"), "pp"),
    ({"within": "1m"}, asks("a", "a"), "pf"),  # exactly as long ago
    ({"within": "59s"}, asks("a", "a"), "pp"),
    ({"within": "1m"}, asks("a", "b", "a"), "ppp"),
    ({"within": "1m"}, asks("a", "a", "a"), "pff"),  # each repeats the one before
    ({}, asks(None, None), "nn"),
    ({}, asks(7, 7), "nn"),
    ({}, asks("", ""), "nn"),
    ({}, [{}, *asks("a"), {"attrs": {"input_hash": "a"}, "occurred_at": "?"}], "npn"),
    ({}, [*asks("a"), {"attrs": {"input_hash": "a"}, "session_id": None}], "pn"),
]


@pytest.mark.parametrize(("params", "calls", "results"), REPEATED)
def test_a_request_is_not_repeated(params: dict[str, Any], calls: list[dict[str, Any]], results: str) -> None:
    assert run("repeated_request", params, calls) == results


BAD: dict[str, Any] = {"error": "boom"}
FELL = tools(tool("search", ok=False))
FINE = tools(tool("search", ok=True))
HANDOFF = tools(tool("search", ok=False), tool("handoff"))
ESCALATE: list[tuple[list[dict[str, Any]], str]] = [
    ([FINE, FINE], "pp"),
    ([BAD], "p"),
    ([BAD, BAD], "pf"),
    ([BAD, FELL], "pf"),
    ([FELL, FINE, FELL], "ppf"),
    ([BAD, BAD, FINE], "pff"),  # it still has not escalated
    ([BAD, HANDOFF], "pp"),  # with the second failure it has
    ([BAD, HANDOFF, BAD], "ppp"),  # it counts from then on
    ([BAD, BAD, HANDOFF, BAD], "pfpp"),
    ([BAD, {"error": "boom", "attrs": {"escalated": True}}], "pp"),
    ([BAD, {"error": "boom", "attrs": {"escalated": "true"}}], "pf"),
    ([BAD, tools(tool("search", ok=False), tool("handoff", ok=False))], "pf"),
    ([BAD, {"error": "boom", "session_id": None}], "pn"),
    ([tools(tool("search", ok=False), tool("search", ok=False))], "p"),  # one call, however many tools
]


@pytest.mark.parametrize(("calls", "results"), ESCALATE)
def test_a_session_that_fails_escalates(calls: list[dict[str, Any]], results: str) -> None:
    assert run("escalate_after", {"failures": 2, "tools": ["handoff"]}, calls) == results


def test_the_state_of_a_session_is_bounded() -> None:
    judge = SessionJudge(contract({"type": "repeated_request", "within": "365d"}))
    state: dict[str, Any] = {}
    for at in range(2 * MAX_REQUESTS):
        call = {"session_id": "s", "occurred_at": "2026-03-01T12:00:00Z", "attrs": {"input_hash": f"{at:064d}"}}
        assert judge.judge(state, call)[0].result == "pass"
    assert len(state["r1"]["seen"]) == MAX_REQUESTS
    assert len(json.dumps(state)) < 30_000


def test_only_rules_over_sessions_are_judged() -> None:
    judge = SessionJudge(contract({"type": "latency", "max": 1}, {"type": "session_budget", "calls": 1}))
    assert [found.rule for found in judge.judge({}, {"session_id": "s"})] == ["r2"]
