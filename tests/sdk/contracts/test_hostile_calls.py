"""Calls that hold anything: exactly one result per rule, no exception, and little time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.contracts.engine import judge
from aftercall.contracts.kinds import KINDS
from aftercall.contracts.results import RESULTS
from aftercall.contracts.sessions import SessionJudge
from harness.contracts import contract

PARAMS: dict[str, dict[str, Any]] = {
    "latency": {"max": 1},
    "cost": {"max": 1},
    "output_length": {"max": 1},
    "allowed_tools": {"tools": ["a*", "b"]},
    "denied_tools": {"tools": ["z*"]},
    "required_tools": {"tools": ["a", "b"]},
    "retry_limit": {"attempts": 1, "calls": 2000},
    "tool_failure_handled": {"fallbacks": ["y"], "accept": ["x"]},
    "no_answer_on_empty": {"sources": ["y"]},
    "partial_data": {"sources": ["y"]},
    "stale_data": {"max_age": "1h"},
    "documents": {"denied": ["z"], "max_age": "1h", "latest": {"*": "1"}},
    "policy_version": {"latest": {"1": "2026-01-01T00:00:00Z"}},
    "approval": {"tools": ["z"], "approvers": ["y"]},
    "escalation": {"tools": ["z"], "when": {"tool": "*"}},
    "safe_end_state": {"allowed": ["x"]},
    "python": {"function": "os:abort"},
    "session_budget": {"calls": 5, "usd": 1, "tokens": 5},
    "repeated_request": {},
    "escalate_after": {"failures": 2},
}
EVERY = contract(*[{"id": kind, "type": kind, **params} for kind, params in PARAMS.items()])
"""One rule of each kind that does not look into texts."""
SESSIONS = SessionJudge(EVERY)


def test_every_kind_without_texts_is_here() -> None:
    texts = {"format", "prohibited_topics", "required_topics", "safety", "restricted_data"}
    assert set(PARAMS) == set(KINDS) - texts


def check(call: Any) -> None:
    found = judge(EVERY, call) + SESSIONS.judge({}, call)
    assert {one.rule for one in found} == set(PARAMS)
    assert len(found) == len(PARAMS)
    assert all(one.result in RESULTS and len(one.details) <= 256 for one in found)
    assert not [one for one in found if "defect" in one.details]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("2026-03-01T12:00:00Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TOOL_FIELDS = ("name", "ok", "attempts", "error", "stale", "partial", "empty", "items", "data_at", "documents")
TOOLS = st.lists(st.dictionaries(st.sampled_from(TOOL_FIELDS), ANYTHING, max_size=6) | ANYTHING, max_size=4)
ATTRS = st.dictionaries(st.sampled_from(["end_state", "approved", "escalated", "input_hash"]), ANYTHING, max_size=4)
NAMES = ("occurred_at", "session_id", "latency_ms", "cost_usd", "tokens_out", "tokens", "error", "model")
FIELDS = dict.fromkeys(NAMES, ANYTHING)
CALLS = st.fixed_dictionaries(
    {}, optional={**FIELDS, "tool_calls": TOOLS | ANYTHING, "attrs": ATTRS | ANYTHING, "policy_version": ANYTHING}
)


@given(CALLS)
def test_any_call_has_exactly_one_result_of_each_rule(call: dict[str, Any]) -> None:
    check(call)


HOSTILE: dict[str, dict[str, Any]] = {
    "a number of tools": {"tool_calls": 5},
    "100,000 tool calls": {"tool_calls": [{"name": "a", "ok": False}] * 100_000},
    "100,000 tools": {"tool_calls": [{"name": f"t{at}"} for at in range(100_000)]},
    "1,024 tools": {"tool_calls": [{"name": f"t{at}", "ok": False, "empty": True} for at in range(1024)]},
    "100,000 documents": {"tool_calls": [{"name": "a", "documents": [{"id": "d", "version": "2"}] * 100_000}]},
    "a name of a megabyte": {"tool_calls": [{"name": "a" * 1_000_000}], "policy_version": "9" * 1_000_000},
    "NUL and lone surrogates": {"tool_calls": [{"name": "\0\ud800"}], "attrs": {"end_state": "\ud800"}},
    "100,000 labels": {"attrs": {f"l{at}": at for at in range(100_000)}},
    "an integer of 5,000 digits": {"latency_ms": 10**5000, "tool_calls": [{"attempts": 10**5000, "items": 10**5000}]},
    "lists for everything": {name: [] for name in (*FIELDS, "tool_calls", "attrs", "policy_version")},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_call_has_exactly_one_result_of_each_rule(name: str) -> None:
    check(HOSTILE[name])


class Unread(list[Any]):
    """A list that may be asked for its length and its first part, and is never read whole."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("it must not be read whole")


def test_what_has_no_bound_is_never_read_whole() -> None:
    """So a call costs milliseconds at most."""
    check({"tool_calls": Unread([{"name": "a"}] * 100_000)})
    check({"tool_calls": [{"name": "a", "documents": Unread([{"id": "d"}] * 100_000), "items": Unread([1] * 1000)}]})


def test_more_tool_calls_than_are_read_are_an_error_and_never_a_pass() -> None:
    found = judge(EVERY, {"tool_calls": [{"name": "a"}] * 1025})
    reasons = {one.details.removeprefix("when: ") for one in found if one.result == "error"}
    assert reasons == {"the call has more than 1,024 tool calls, which are not judged"}
    assert {one.rule for one in found if one.result == "error"} >= {
        "allowed_tools",
        "approval",
        "escalation",
        "documents",
    }
