"""What lint says about rules that can never do anything."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.contracts.lint import lint
from harness.contracts import contract

FAST: dict[str, Any] = {"type": "latency", "max": 1}
IDLE = [
    ({**FAST, "when": {"task_type": "triage"}}, "when: no task_type of tasks is 'triage'"),
    ({**FAST, "when": {"task_type": ["triage", "x"]}}, "when: no task_type of tasks is 'triage' or 'x'"),
    ({**FAST, "when": {"tokens_in": "> 10, < 5"}}, "when: no number is > 10, < 5"),
    ({**FAST, "when": {"attrs.n": "> 5, < 5"}}, "when: no number is > 5, < 5"),
    ({**FAST, "when": {"tool": "refund", "tool_calls": 0}}, "when: a call without tool calls has called no tool"),
    ({"type": "output_length"}, "it has nothing to compare with"),
    ({"type": "safety"}, "it has nothing to look for"),
    ({"type": "prohibited_topics", "topics": {"a": []}}, "it has nothing to look for"),
    ({"type": "required_topics"}, "it has nothing to look for"),
    ({"type": "restricted_data", "detect": []}, "it has nothing to look for"),
]


@pytest.mark.parametrize(("rule", "words"), IDLE)
def test_a_rule_that_can_never_apply_or_only_err_is_named(rule: dict[str, Any], words: str) -> None:
    (remark,) = lint(contract(rule, FAST, tasks=["refund", "refund_*"]))
    assert remark.idle
    assert remark.sentence.startswith(f"c.toml, rule 'r1': {words}")
    assert remark.sentence.endswith(")")


@pytest.mark.parametrize(
    "rule",
    [
        FAST,
        {**FAST, "when": {"task_type": "refund_all", "model": "m"}},
        {**FAST, "when": {"task_type": ["triage", "refund"]}},
        {**FAST, "when": {"tokens_in": ">= 5, <= 5", "tool": "x", "tool_calls": "> 2"}},
        {"type": "output_length", "min": 0},
        {"type": "safety", "patterns": ["x"]},
        {"type": "restricted_data"},
        {"type": "format"},
        {"type": "allowed_tools", "tools": ["a*"]},
    ],
)
def test_a_rule_that_may_apply_has_no_remark(rule: dict[str, Any]) -> None:
    assert lint(contract(rule, tasks=["refund", "refund_*"])) == []


def test_what_is_odd_and_still_applies_is_a_remark_alone() -> None:
    remarks = lint(
        contract(
            {"type": "allowed_tools", "tools": ["*"]},
            {"type": "required_tools", "tools": ["rm", "rm_*"]},
            {"type": "denied_tools", "tools": ["r?"]},
        )
    )
    assert [(remark.rule, remark.idle) for remark in remarks] == [("r1", False), ("r2", False)]
    assert "it requires 'rm', which rule 'r3' denies" in remarks[1].text
