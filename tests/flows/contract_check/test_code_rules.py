"""Rules of the user's own code over past calls."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from aftercall.contracts.code import TOO_LONG
from aftercall.contracts.contract import Contract, ContractError
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.facts import Facts
from aftercall.contracts.results import RuleResult
from flows.contract_check.code_rules import MOST_TOO_LONG, CodeRules
from harness.contracts import contract

SOURCE = """
import threading
runs, never = [], threading.Event()
def quick(call): return call["latency_ms"] < 5
def raises(call): raise KeyError("a secret of the call")
def hangs(call): runs.append(call); never.wait()
"""
CALL: dict[str, Any] = {"latency_ms": 3, "model": "m"}


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules_of_mine.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "rules_of_mine", raising=False)


def of(*functions: str, **more: Any) -> Contract:
    return contract(*[{"type": "python", "function": f"rules_of_mine:{name}", **more} for name in functions])


def judged(rules: CodeRules, one: Contract, call: dict[str, Any]) -> list[RuleResult]:
    return rules.judged(one, judge(one, call), call)


def test_results_of_functions_stand_in_the_places_of_their_rules() -> None:
    one = contract(
        {"type": "latency", "max": 1},
        {"type": "python", "function": "rules_of_mine:quick"},
        {"type": "python", "function": "rules_of_mine:raises"},
        {"type": "python", "function": "rules_of_mine:quick", "when": {"model": "other"}},
    )
    found = judged(CodeRules(ContractSet([one])), one, CALL)
    assert [(result.rule, result.result) for result in found] == [
        ("r1", "fail"),
        ("r2", "pass"),
        ("r3", "error"),
        ("r4", "not_applicable"),
    ]
    assert "secret" not in found[2].details


def test_a_function_that_hangs_is_an_error_and_is_soon_not_run_again() -> None:
    one = of("hangs", "quick")
    impatient = CodeRules(ContractSet([one]), most_s=0.05)
    for _ in range(MOST_TOO_LONG + 3):
        impatient._most_s = 0.05
        hung = impatient._judge(one.rules[0], Facts(CALL), CALL)
        impatient._most_s = 30
        assert hung.result == "error"
        assert hung.details.startswith(TOO_LONG)
        assert impatient._judge(one.rules[1], Facts(CALL), CALL).result == "pass"  # on a thread of its own
    assert len(sys.modules["rules_of_mine"].runs) == MOST_TOO_LONG
    sys.modules["rules_of_mine"].never.set()


def test_a_function_that_is_not_there_ends_the_command() -> None:
    with pytest.raises(ContractError, match=r"c\.toml, rule 'r1', function: must be a function that can be imported"):
        CodeRules(ContractSet([of("missing")]))
