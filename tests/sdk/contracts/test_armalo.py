"""Pacts of Armalo become contracts, and what is lost on the way is said."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.contracts.armalo import import_pact
from aftercall.contracts.syntax import contract_of
from aftercall.contracts.toml_text import contract_toml
from aftercall.errors import UserError


def condition(kind: Any, operator: Any, value: Any, **more: Any) -> dict[str, Any]:
    base = {"severity": "major", "verificationMethod": "deterministic"}
    return {"type": kind, "operator": operator, "value": value, **base, **more}


CARRIED = [
    (condition("latency", "lte", 2000, unit="ms"), {"type": "latency", "max": 2000}),
    (condition("latency", "lte", 2.5, unit="s"), {"type": "latency", "max": 2500}),
    (condition("latency", "lt", 2000), {"type": "latency", "max": 2000}),
    (condition("cost", "lte", 0.05), {"type": "cost", "max": 0.05}),
    (condition("output_length", "lte", 500), {"type": "output_length", "max": 500, "unit": "tokens"}),
    (condition("length", "gte", 20, unit="words"), {"type": "output_length", "min": 20, "unit": "words"}),
    (condition("format", "eq", "json"), {"type": "format", "as": "json"}),
    (condition("format", "eq", True), {"type": "format"}),
    (condition("prohibited_topics", "excludes", ["a b"]), {"type": "prohibited_topics", "topics": {"a b": ["a b"]}}),
    (condition("required_topics", "includes", "fees"), {"type": "required_topics", "topics": {"fees": ["fees"]}}),
    (condition("denied_tools", "excludes", ["rm*"]), {"type": "denied_tools", "tools": ["rm[*]"]}),
    (condition("safety", "eq", True), {"type": "safety"}),
]


@pytest.mark.parametrize(("pact", "rule"), CARRIED)
def test_a_condition_becomes_a_rule(pact: dict[str, Any], rule: dict[str, Any]) -> None:
    imported = import_pact([pact], "pact.json")
    assert imported.lost == []
    assert imported.content["rule"] == [{"id": pact["type"], "severity": "major", **rule}]
    contract_of(tomllib.loads(contract_toml(imported.content)), "c.toml")


LOST = [
    (condition("accuracy", "gte", 0.95), "it is a rate over calls"),
    (condition("accuracy", "gte", 0.95, verificationMethod="jury"), "a jury judges it"),
    (condition("safety", "eq", True, verificationMethod="jury"), "a jury judges it"),
    (condition("param_binding", "eq", None), "no rule reads that"),
    (condition("latency", "gte", 2000), "only `lte` a number is a bound of it; it has gte 2000"),
    (condition("latency", "lte", "fast"), "only `lte` a number is a bound of it"),
    (condition("latency", "lte", -5), "must be greater than or equal to 0"),
    (condition("latency", "lte", 5, unit="minutes"), "its unit is 'minutes', none of ms"),
    (condition("cost", "lte", 5, unit="EUR"), "its unit is 'EUR', none of USD"),
    (condition("format", "eq", "pdf"), "only `eq` json, markdown, non_empty or true is one"),
    (condition("safety", "eq", False), "only `eq` true is one"),
    (condition("prohibited_topics", "excludes", []), "only `excludes` a list of texts is one"),
    (condition("prohibited_topics", "includes", ["x"]), "only `excludes` a list of texts is one"),
    (condition(None, None, None), "no rule reads that"),
    ("latency", "no rule reads that"),
]


@pytest.mark.parametrize(("pact", "words"), LOST)
def test_what_cannot_be_carried_over_is_said(pact: Any, words: str) -> None:
    imported = import_pact({"name": "p", "conditions": [pact]}, "pact.json")
    assert imported.content["rule"] == []
    assert len(imported.lost) == 1
    assert imported.lost[0].startswith("condition 1 (")
    assert words in imported.lost[0]


def test_a_pact_becomes_a_file_with_its_descriptions() -> None:
    pact = {
        "pact": {
            "name": "Production SLA v1!",
            "conditions": [
                condition("latency", "lte", 2000, description="Under 2 s\n[[rule]]"),
                condition("latency", "lte", 9000, severity="critical"),
                condition("safety", "eq", True, severity="worst"),
            ],
        }
    }
    imported = import_pact(pact, "pact.json")
    text = contract_toml(imported.content, imported.comments)
    assert "# Under 2 s [[rule]]\n[[rule]]\n" in text  # a comment stays in its line
    contract = contract_of(tomllib.loads(text), "c.toml")
    assert contract.label == "production-sla-v1@1"
    assert [(rule.id, rule.severity) for rule in contract.rules] == [
        ("latency", "major"),
        ("latency-2", "critical"),
        ("safety", "major"),
    ]
    assert imported.lost == ["condition 3 (safety): severity 'worst' is none of ours: major"]
    assert imported.to_do == [
        "condition 3 (safety): rule 'safety' has nothing to look for, and is in error: add topics"
    ]


@pytest.mark.parametrize("pact", [{}, [], {"conditions": {}}, 5, {"pact": 5}])
def test_a_file_without_conditions_is_no_pact(pact: Any) -> None:
    with pytest.raises(UserError, match=r"pact\.json: must be a pact with a list of conditions"):
        import_pact(pact, "pact.json")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS = st.sampled_from(["latency", "cost", "length", "format", "prohibited_topics", "denied_tools", "safety"])
OPERATORS = st.sampled_from(["lte", "gte", "eq", "excludes"])


CONDITIONS = st.builds(condition, KINDS | ANYTHING, OPERATORS | ANYTHING, ANYTHING, unit=ANYTHING, severity=ANYTHING)


@given(st.lists(CONDITIONS, min_size=1))
def test_whatever_a_condition_holds_the_contract_is_valid(conditions: list[dict[str, Any]]) -> None:
    imported = import_pact(conditions, "pact.json")
    not_carried = [one for one in imported.lost if "not carried over" in one]
    assert len(imported.content["rule"]) + len(not_carried) == len(conditions)
    if imported.content["rule"]:
        text = contract_toml(imported.content, imported.comments)
        assert len(contract_of(tomllib.loads(text), "c.toml").rules) == len(imported.content["rule"])
