"""To which calls a rule applies."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.contracts.conditions import When
from aftercall.contracts.facts import Facts
from aftercall.contracts.globs import intersect
from harness.contracts import judged, tool, tools

HOLDS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({}, {}, None),
    ({"model": "m"}, {"model": "m"}, None),
    ({"model": "m"}, {"model": "M"}, "when: model is not 'm'"),
    ({"model": ["m", "n"]}, {"model": "n"}, None),
    ({"model": ["m", "n"]}, {"model": "o"}, "when: model is not 'm' or 'n'"),
    ({"segment": "long"}, {}, "when: the call has no segment"),
    ({"attrs.tier": "gold"}, {"attrs": {"tier": "gold"}}, None),
    ({"attrs.tier": "gold"}, {"attrs": {"tier": "Gold"}}, "when: attrs.tier is not 'gold'"),
    ({"attrs.tier": "gold"}, {"attrs": {}}, "when: the call has no attrs.tier"),
    ({"attrs.tier": "gold"}, {"attrs": "gold"}, "when: the call has no attrs.tier"),
    ({"attrs.a.b": 1}, {"attrs": {"a.b": 1}}, None),  # a label may have a dot in its name
    ({"attrs.n": 1}, {"attrs": {"n": 1.0}}, None),
    ({"attrs.n": 1}, {"attrs": {"n": True}}, "when: attrs.n is not 1"),
    ({"attrs.ok": True}, {"attrs": {"ok": True}}, None),
    ({"attrs.ok": True}, {"attrs": {"ok": 1}}, "when: attrs.ok is not true"),
    ({"attrs.n": "> 3"}, {"attrs": {"n": 4}}, None),
    ({"attrs.n": "> 3"}, {"attrs": {"n": "4"}}, "when: attrs.n is not > 3"),
    ({"tokens_in": "> 4000"}, {"tokens_in": 4001}, None),
    ({"tokens_in": "> 4000"}, {"tokens_in": 4000}, "when: tokens_in is not > 4000"),
    ({"tokens_in": ">= 10, < 20"}, {"tokens_in": 10}, None),
    ({"tokens_in": ">= 10, < 20"}, {"tokens_in": 20}, "when: tokens_in is not >= 10, < 20"),
    ({"tokens_in": 12}, {"tokens_in": 12.0}, None),
    ({"cost_usd": "<1e-3"}, {"cost_usd": 0.0005}, None),
    ({"tokens": ">5"}, {"tokens_in": 3, "tokens_out": 3}, None),
    ({"tokens": ">5"}, {"tokens_in": 3}, "when: tokens is not >5"),
    ({"tokens": ">5"}, {}, "when: the call has no tokens"),
    ({"tool_calls": "> 1"}, tools(tool("a"), tool("b")), None),
    ({"tool_calls": "> 1"}, {"tool_calls": 2}, None),
    ({"tool_calls": "> 1"}, {}, "when: the call has no tool_calls"),
    ({"error": True}, {"error": "boom"}, None),
    ({"error": True}, {}, "when: error is not true"),
    ({"error": False}, {"error": ""}, None),  # empty is absent
    ({"tool": "refund*"}, tools(tool("search"), tool("refund_all")), None),
    ({"tool": "refund*"}, tools(tool("search")), "when: no tool called is 'refund*'"),
    ({"tool": ["a", "b"]}, tools(tool("b")), None),
    ({"tool": "refund"}, {"tool_calls": 2}, "when: tool_calls was not sent as a list"),
    ({"model": "m", "tokens_in": "> 5"}, {"model": "m", "tokens_in": 3}, "when: tokens_in is not > 5"),
]


@pytest.mark.parametrize(("when", "call", "reason"), HOLDS)
def test_all_conditions_must_hold(when: dict[str, Any], call: dict[str, Any], reason: str | None) -> None:
    assert When(when).unmet(Facts(call)) == reason


@pytest.mark.parametrize(
    "when",
    [
        {"foo": 1},
        {"attrs.": 1},
        {"attrs": "gold"},
        {"tokens_in": "big"},
        {"tokens_in": "> big"},
        {"tokens_in": "> 1 and < 5"},
        {"tokens_in": True},
        {"error": "boom"},
        {"model": 5},
        {"model": []},
        {"tool": "[a"},
        {f"attrs.{at}": 1 for at in range(17)},
    ],
)
def test_what_no_call_can_be_is_refused(when: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no field|can never be|no range|an empty list|glob|at most 16"):
        When(when)


def test_a_rule_says_why_it_does_not_apply() -> None:
    found = judged(
        "latency", {"max": 1, "when": {"attrs.tier": "gold"}}, {"latency_ms": 5, "attrs": {"tier": "secret"}}
    )
    assert (found.result, found.details) == ("not_applicable", "when: attrs.tier is not 'gold'")
    assert found.passed is None


def test_the_fields_that_a_rule_needs_are_those_of_its_conditions_too() -> None:
    when = When({"attrs.tier": "gold", "tool": "x", "error": False, "tokens": "> 1", "model": "m"})
    assert when.needs == {"attrs", "tool_calls", "model"}
    assert when.reads == when.needs | {"error", "tokens", "tokens_in", "tokens_out"}


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a*", "*b", True),
        ("a*", "b*", False),
        ("*", "", True),
        ("a?c", "ab*", True),
        ("a?c", "ab", False),
        ("[ab]x", "cx", True),  # said too often, never too rarely
        ("*a*", "*b*", True),
        ("a*c", "abd", False),
    ],
)
def test_globs_that_one_name_may_match_both(left: str, right: str, meet: bool) -> None:  # noqa: FBT001
    assert intersect(left, right) is intersect(right, left) is meet
