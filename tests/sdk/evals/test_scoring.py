"""What checks find in answers, and what becomes of what they find."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aftercall.contracts.kinds import KINDS
from aftercall.contracts.syntax import contract_of
from aftercall.errors import UsageError
from aftercall.evals import Answer, CaseResult, DatasetError, EvalCase, Scorer
from aftercall.evals.functions import FunctionScore
from aftercall.evals.text_checks import TEXT_CHECKS


def scored(case: EvalCase, output: Any, scorer: Scorer | None = None, **more: Any) -> CaseResult:
    scorer = scorer or Scorer()
    scorer.prepare([case])
    return scorer.score(case, Answer(output, **more))


def score(check: Mapping[str, Any] | None, output: Any, expected: Any = None) -> float | None:
    return scored(EvalCase(input="q", expected=expected, checks=(check,) if check else ()), output).score


@pytest.mark.parametrize(
    ("expected", "output", "passes"),
    [
        ("30 days", " 30 Days\n", True),
        ("30 days", "30 days.", False),
        ("30", 30, True),
        (30, "30", True),
        (30, "30.0", True),
        (True, 1, False),
        (1, True, False),
        ({"a": [1, {"b": None}]}, '{"a": [1.0, {"b": null}]}', True),
        ({"a": 1}, '{"a": 1, "b": 2}', False),
        ([1, 2], "[2, 1]", False),
        ({"a": 1}, "a is 1", False),
        ({"a": float("inf")}, '{"a": Infinity}', False),
        (False, "false", True),
        ("", "", True),
    ],
)
def test_expected_is_compared_stripped_in_lower_case_or_as_json(expected: Any, output: Any, *, passes: bool) -> None:
    assert score(None, output, expected) == float(passes)


@pytest.mark.parametrize(
    ("check", "output", "passes"),
    [
        ({"type": "equals", "value": "30 days"}, "30 days", True),
        ({"type": "equals", "value": "30 days"}, "30 Days", False),
        ({"type": "equals", "value": [1]}, "[1.0]", True),
        ({"type": "one_of", "value": ["yes", 30, "30 days"]}, " 30 Days", True),
        ({"type": "one_of", "value": ["yes", 30]}, "30 days", False),
        ({"type": "contains", "value": "30 days"}, "It is 30 days.", True),
        ({"type": "contains", "value": "30 days"}, "It is 30 Days.", False),
        ({"type": "contains", "value": ["30", "days"]}, "days: 30", True),
        ({"type": "contains", "value": ["30", "weeks"]}, "days: 30", False),
        ({"type": "icontains", "value": "30 DAYS"}, "It is 30 Days.", True),
        ({"type": "not_contains", "value": ["sorry", "cannot"]}, "Sure.", True),
        ({"type": "not_contains", "value": ["sorry", "cannot"]}, "I CANNOT do that.", False),
        ({"type": "regex", "value": r"\b[0-9]{2} days\b"}, "It is 30 days.", True),
        ({"type": "regex", "value": "^[0-9]+$"}, "It is 30 days.", False),
        ({"type": "json"}, "[1, 2]", True),
        ({"type": "json"}, "[1, 2", False),
        ({"type": "json"}, {"a": 1}, True),
        ({"type": "json_schema", "value": {"required": ["days"]}}, '{"days": 30}', True),
        ({"type": "json_schema", "value": {"required": ["days"]}}, {"weeks": 4}, False),
        ({"type": "json_schema", "value": {"required": ["days"]}}, "30 days", False),
        ({"type": "required_topics", "topics": {"span": ["30 days"]}}, "It is 30 days.", True),
        ({"type": "output_length", "max": 3, "unit": "words"}, "It is 30 days.", False),
    ],
)
def test_a_check_finds_what_it_says(check: Mapping[str, Any], output: Any, *, passes: bool) -> None:
    assert score(check, output) == float(passes)


def test_a_check_without_a_value_looks_for_what_is_expected() -> None:
    assert score({"type": "contains"}, "It is 30 days.", "30 days") == 1.0
    assert score({"type": "regex"}, "It is 30 days.", "^30") == 0.0


def test_checks_decide_in_place_of_what_is_expected() -> None:
    assert score({"type": "json"}, "[]", "something else") == 1.0


def test_a_pattern_that_takes_exponential_time_elsewhere_takes_none_here() -> None:
    assert score({"type": "regex", "value": "(a+)+$"}, "a" * 50_000 + "b") == 0.0


def test_the_lowest_score_counts_and_its_reason_holds_no_text() -> None:
    checks = ({"type": "contains", "value": "secret"}, {"type": "json"}, {"type": "contains", "value": "answer"})
    result = scored(EvalCase(input="q", checks=checks), "an answer")
    assert (result.score, result.passed) == (0.0, False)
    assert result.reason == "contains: does not contain the text; json: is no JSON"


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ({"type": "regx"}, "check 1: type must be a kind of check; got 'regx' (did you mean 'regex'?)"),
        ({"type": "zzz"}, "check 1: type must be a kind of check; got 'zzz' (docs/evals.md"),
        ({}, "check 1: type must be a kind of check; got 'None'"),
        ({"type": "contains"}, "check 1: a check 'contains' needs a text, or a list of texts (give its value"),
        ({"type": "contains", "value": ["a", ""]}, "check 1: the value of a check 'contains' must be a text"),
        ({"type": "contains", "values": ["a"]}, "check 1: 'values' is no key of a check 'contains'"),
        ({"type": "regex", "value": "(?=a)"}, "check 1: the value of a check 'regex' '(?=a)' has a look-around"),
        ({"type": "one_of", "value": "yes"}, "check 1: the value of a check 'one_of' must be a list of answers"),
        ({"type": "json_schema", "value": [1]}, "check 1: the value of a check 'json_schema' must be a JSON Schema"),
        ({"type": "json_schema", "value": {"type": 7}}, "check 1: the value of a check 'json_schema' /type"),
        ({"type": "json_schema", "value": {"$ref": "http://x/y"}}, "check 1: the value of a check 'json_schema' $ref"),
        ({"type": "required_tools"}, "check 1, rule 'check', tools: is required by `required_tools`; got none"),
        (None, "a case must have `expected` or `checks`; it has neither"),
    ],
)
def test_a_wrong_check_is_refused_before_the_agent_is_asked(checks: Mapping[str, Any] | None, words: str) -> None:
    case = EvalCase(input="q", checks=() if checks is None else (checks,), place="x.jsonl, line 4")
    with pytest.raises(DatasetError) as refused:
        Scorer().prepare([case])
    assert str(refused.value).removeprefix("x.jsonl, line 4").lstrip(",: ").startswith(words)


# --- contracts ---

TOOLS = ({"name": "search", "ok": True, "items": 0}, {"name": "search", "ok": False, "attempts": 4})


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        ({"type": "latency", "max": 100}, True),
        ({"type": "cost", "max": 0.001}, False),
        ({"type": "allowed_tools", "tools": ["search"]}, True),
        ({"type": "required_tools", "tools": ["refund"]}, False),
        ({"type": "retry_limit", "attempts": 2}, False),
        ({"type": "tool_failure_handled"}, False),
        ({"type": "no_answer_on_empty"}, False),
        ({"type": "session_budget", "usd": 0.001}, False),
        ({"type": "session_budget", "calls": 1}, True),
        ({"type": "safe_end_state", "allowed": ["done"]}, True),
        ({"type": "python", "function": "builtins:bool"}, True),
        ({"type": "latency", "max": 100, "when": {"task_type": "refund"}}, True),
    ],
)
def test_rules_of_contracts_judge_answers_on_texts_tools_sessions_and_by_code(
    rule: Mapping[str, Any], *, passes: bool
) -> None:
    case = EvalCase(input="q", checks=(rule,), metadata={"task_type": "refund"})
    found = scored(case, "x", tool_calls=TOOLS, cost=0.01, latency_ms=12.0, attrs={"end_state": "done"})
    assert found.score == float(passes), found


def test_no_kind_of_rule_shares_its_name_with_a_check_of_texts() -> None:
    assert not TEXT_CHECKS.keys() & KINDS.keys()


def contract(*rules: Mapping[str, Any], **head: Any) -> Any:
    given = {"contract": "c", "version": "1", "rule": [{"id": f"r{at}", **rule} for at, rule in enumerate(rules)]}
    return contract_of(given | head, "c.toml")


def test_a_contract_judges_whatever_its_globs_and_names_its_rules() -> None:
    scorer = Scorer([contract({"type": "required_tools", "tools": ["refund"]}, tasks=["another"])])
    result = scored(EvalCase(input="q", expected="x"), "x", scorer, tool_calls=())
    assert [one.check for one in result.checks] == ["exact", "c.r0"]
    assert (result.score, result.reason) == (0.0, "c.r0: did not call refund")


def test_violations_that_are_minor_are_listed_and_do_not_count() -> None:
    scorer = Scorer([contract({"type": "required_tools", "tools": ["refund"], "severity": "minor"})])
    result = scored(EvalCase(input="q", expected="x"), "x", scorer, tool_calls=())
    assert (result.score, [one.check for one in result.violations]) == (1.0, ["c.r0"])


def test_what_does_not_apply_is_no_pass() -> None:
    rule = {"type": "required_tools", "tools": ["refund"]}
    result = scored(EvalCase(input="q", checks=(rule,)), "x")
    assert (result.score, result.passed) == (None, False)
    assert result.error == "no check could judge the answer: tool_calls was not sent as a list"


def test_a_rule_whose_function_raises_leaves_the_case_without_a_score() -> None:
    result = scored(EvalCase(input="q", checks=({"type": "python", "function": "operator:neg"},)), "x")
    assert (result.score, result.error) == (None, "python: the function raised TypeError")


# --- functions ---


def by(function: Callable[..., Any]) -> CaseResult:
    case = EvalCase(input="q", expected="e", metadata={"m": 1})
    return scored(case, "o", Scorer(function=FunctionScore(function, "judge")))


async def later(output: str) -> float:
    return 0.5


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda output: output == "o", 1.0),
        (lambda x: x == "o", 1.0),
        (lambda x, y: (x, y) == ("o", "e"), 1.0),
        (lambda x, y, z: (x, y, z) == ("q", "o", "e"), 1.0),
        (lambda expected, output: (expected, output) == ("e", "o"), 1.0),
        (lambda case, answer: (case.metadata["m"], answer.output) == (1, "o"), 1.0),
        (lambda output, strict=True: output == "o" and strict, 1.0),
        (lambda reference, prediction, **more: (reference, prediction, more) == ("e", "o", {}), 1.0),
        (lambda x: (0.75, "nearly"), 0.75),
        (lambda x: {"score": 0.25, "reason": "far"}, 0.25),
        (later, 0.5),
    ],
)
def test_a_function_gets_what_its_arguments_ask_for(function: Callable[..., Any], found: float) -> None:
    assert by(function).score == found


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x: 1 / 0, "judge: the function raised ZeroDivisionError"),
        (lambda x: 7, "judge: the function returned no number from 0 to 1, nor True or False"),
        (lambda x: "good", "judge: the function returned no number from 0 to 1, nor True or False"),
        (lambda x: float("nan"), "judge: the function returned no number from 0 to 1, nor True or False"),
        (lambda x: sys.exit(0), "judge: the function raised SystemExit"),
        (lambda x: None, "no check could judge the answer: the function returned None"),
    ],
)
def test_a_function_that_fails_is_an_error_and_not_a_0(function: Callable[..., Any], error: str) -> None:
    result = by(function)
    assert (result.score, result.passed, result.error) == (None, False, error)


def test_another_check_that_fails_counts_although_the_function_failed() -> None:
    case = EvalCase(input="q", checks=({"type": "json"},))
    result = scored(case, "o", Scorer(function=FunctionScore(lambda x: 1 / 0, "judge")))
    assert (result.score, result.error) == (0.0, None)


def test_a_function_with_other_arguments_is_refused() -> None:
    with pytest.raises(TypeError, match="takes 4 arguments that are not known here"):
        FunctionScore(lambda a, b, c, d: 1.0, "judge")


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "re2.py").write_text("raise ImportError")
    monkeypatch.delitem(__import__("sys").modules, "re2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"pip install 'aftercall\[contracts\]'"):
        Scorer().prepare([EvalCase(input="q", checks=({"type": "regex", "value": "a{7}b{3}never seen"},))])
