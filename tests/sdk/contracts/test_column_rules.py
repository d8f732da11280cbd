"""Rules on numbers of a call, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from harness.contracts import judged

PASS, FAIL, NONE, ERROR = "pass", "fail", "not_applicable", "error"

LATENCY = [
    (2000, {"latency_ms": 1999.9}, PASS),
    (2000, {"latency_ms": 2000}, PASS),  # the bound itself is kept
    (2000, {"latency_ms": 2000.0001}, FAIL),
    (2000, {"latency_ms": 0}, PASS),
    (0, {"latency_ms": 0}, PASS),
    (0, {"latency_ms": 1e-9}, FAIL),
    (2000, {}, NONE),
    (2000, {"latency_ms": None}, NONE),
    (2000, {"latency_ms": "2500"}, NONE),  # text is no number
    (2000, {"latency_ms": True}, NONE),  # nor is a bool
    (0, {"latency_ms": float("nan")}, NONE),
    (2000, {"latency_ms": float("inf")}, NONE),
    (2000, {"latency_ms": 10**400}, NONE),
    (2000, {"latency_ms": [2500]}, NONE),
    (2000, {"ttft_ms": 2500}, NONE),
]


@pytest.mark.parametrize(("most", "call", "expected"), LATENCY)
def test_a_latency_is_at_most_its_bound(most: float, call: dict[str, Any], expected: str) -> None:
    found = judged("latency", {"max": most}, call)
    assert found.result == expected
    assert (found.threshold == most) is (expected in {PASS, FAIL})


COST = [
    (0.05, {"cost_usd": 0.05}, PASS),
    (0.05, {"cost_usd": 0.0500001}, FAIL),
    (0.05, {"cost_usd": 0.0}, PASS),
    (0, {"cost_usd": 0}, PASS),
    (0, {"cost_usd": 1e-9}, FAIL),
    (1, {"cost_usd": 1}, PASS),
    (1, {"cost_usd": 2}, FAIL),
    (1, {}, NONE),
    (1, {"cost_usd": "2"}, NONE),
    (1, {"cost_usd": {"total": 2}}, NONE),
    (1, {"cost": 2}, NONE),  # another name is another field
]


@pytest.mark.parametrize(("most", "call", "expected"), COST)
def test_a_cost_is_at_most_its_bound(most: float, call: dict[str, Any], expected: str) -> None:
    assert judged("cost", {"max": most}, call).result == expected


LENGTH = [
    ({"max": 500}, {"tokens_out": 500}, PASS),
    ({"max": 500}, {"tokens_out": 501}, FAIL),
    ({"min": 10}, {"tokens_out": 10}, PASS),
    ({"min": 10}, {"tokens_out": 9}, FAIL),
    ({"min": 10, "max": 10}, {"tokens_out": 10}, PASS),
    ({"threshold": 500}, {"tokens_out": 501}, FAIL),
    ({"max": 500}, {"tokens": 900}, NONE),  # a sum says nothing about the output
    ({"max": 500}, {"tokens_out": -1.5}, PASS),  # the pipeline refuses such a record; a rule compares it
    ({"max": 5}, {"output": "one two three four five six"}, NONE),  # no tokenizer: only what the provider counted
    ({}, {"tokens_out": 5}, ERROR),  # a bare rule is never a silent pass
    ({}, {}, ERROR),
    ({"max": 4, "unit": "characters"}, {"output": "café"}, PASS),
    ({"max": 3, "unit": "characters"}, {"output": "café"}, FAIL),
    ({"min": 3, "unit": "words"}, {"output": "two  words"}, FAIL),
    ({"min": 2, "unit": "words"}, {"output": "two  words\n"}, PASS),
    ({"min": 2, "unit": "words"}, {"tokens_out": 900}, NONE),
    ({"min": 2, "unit": "words"}, {"output": "a", "attrs": {"cancelled": True}}, NONE),  # the rest was not heard
    ({"min": 2, "unit": "words"}, {"output": "a", "attrs": {"cancelled": "true"}}, FAIL),
    ({"min": 2, "unit": "words"}, {"output": ""}, NONE),  # empty text is absent, as everywhere on the wire
]


@pytest.mark.parametrize(("bounds", "call", "expected"), LENGTH)
def test_an_output_is_as_long_as_it_may_be(bounds: dict[str, Any], call: dict[str, Any], expected: str) -> None:
    assert judged("output_length", bounds, call).result == expected


def test_what_a_bare_rule_lacks_is_named() -> None:
    assert judged("output_length", {}, {"tokens_out": 5}).details == "there is nothing to compare with: set min or max"


def test_the_reason_names_the_field_that_is_absent() -> None:
    assert judged("cost", {"max": 1}, {}).details == "the call has no cost_usd"


def test_a_failure_has_what_was_compared() -> None:
    found = judged("latency", {"max": 2000}, {"latency_ms": 9721679})
    assert (found.actual, found.threshold, found.passed) == (9721679, 2000, False)
    assert found.details == "9721679 ms, more than 2000"
