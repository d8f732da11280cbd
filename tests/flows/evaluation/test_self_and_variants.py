"""`aftercall eval aa` and `aftercall eval compare` as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from aftercall.evals.case import EvalCase
from aftercall.evals.results import CaseResult
from connectors.suites.runs_tables import StoredRun
from flows.evaluation.plan import EvalPlan
from flows.evaluation.running import Evaluated
from flows.evaluation.self_compare import SelfComparison, print_self
from harness.suite_commands import SuiteCommands
from models.evaluation import FalseBlocks


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> SuiteCommands:
    return SuiteCommands(tmp_path, monkeypatch, capfd)


def test_a_flaky_suite_against_itself_blocks_by_the_plain_rule_and_hardly_by_rows(suite: SuiteCommands) -> None:
    suite.plan(wrong_at={f"c{at}": [1, 3, 5] for at in range(10)})
    found = suite.eval("aa", "--times", "6", "--json").json
    assert found["false_blocks"]["rate"] <= 0.01
    assert found["false_blocks_plain"]["rate"] > 0.2
    assert (found["rows"], found["times"], found["builds"]) == (30, 6, 1000)
    assert found["flaky"][0] == {"case_id": "c0", "failures": 3, "runs": 6}
    assert suite.eval("run", "--baseline", "last").code == 4  # none of these was recorded


def test_rates_are_printed_with_what_the_simulated_builds_leave_open(capsys: pytest.CaptureFixture[str]) -> None:
    cases = [EvalCase(id=f"c{at}", input=f"{at}", expected=f"{at}") for at in range(3)]
    results = [
        CaseResult(
            case_id=case.id, input_hash=case.input_hash, score=float(repeat != 1 or case.id != "c1"), repeat=repeat
        )
        for repeat in range(4)
        for case in cases
    ]
    plan = EvalPlan("cases.jsonl", cases, "m:f", repeats=4)
    run = StoredRun("r", plan.dataset, "", "m:f", "", 4, 3, recorded=False, started_at=0)
    blocks = FalseBlocks(builds=1000, by_rows=0, plainly=97, named=23, confirmations=2.5)
    found = SelfComparison(Evaluated(plan, run, results), 2, blocks, (("c1", 1, 4),))
    print_self(found, Console(width=200))
    assert capsys.readouterr().out == (
        "cases.jsonl: 3 rows, asked 4 times each\n"
        "Of 1,000 simulated builds that change nothing, with 2 rows allowed to regress:\n"
        "  the rule of rows blocks 0.0 % (0.0 to 0.4)\n"
        "  the plain rule (--no-confirm) blocks 9.7 % (8.0 to 11.7)\n"
        "The rule of rows names a row in 2.3 % of them, and asks for 2.5 further answers a build.\n"
        "1 row passed at one time and failed at another, the least sure first:\n"
        "  c1  failed 1 of 4\n"
    )


def test_an_agent_that_cannot_answer_says_nothing_of_its_gate(suite: SuiteCommands) -> None:
    suite.plan(raises=[f"c{at}" for at in range(30)])
    assert suite.eval("aa", "--times", "2").code == 4


def test_a_variant_is_worse_or_cannot_be_told_apart(suite: SuiteCommands) -> None:
    agents = [part for name in ("answer", "worse", "a_bit_worse") for part in ("--agent", f"planned_agent:{name}")]
    ended = suite.eval("compare", *agents, "--json", agent="")
    pairs = {(one["first"], one["second"]): one for one in ended.json["differences"]}
    assert ended.code == 0
    assert [(pair, one["state"]) for pair, one in pairs.items()] == [
        (("A", "B"), "worse"),
        (("A", "C"), "cannot_tell"),
        (("B", "C"), "better"),
    ]
    assert pairs["A", "C"]["rows_more"] > 30
    printed = suite.eval("compare", *agents, agent="").out
    assert "B beside A: -33.3 points" in printed
    assert "cannot tell apart" in printed
    assert "3 intervals that hold together with 95 %" in printed


@pytest.mark.parametrize("command", [("eval", "aa"), ("eval", "compare"), ("golden", "run")])
def test_what_compares_runs_refuses_broken_tools_before_anything_is_asked(
    suite: SuiteCommands, command: tuple[str, str]
) -> None:
    about = ("cases.jsonl", "--agent", "planned_agent:answer") if command[0] == "eval" else ()
    ended = suite.run(*command, *about, "--inject", "empty:search")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"aftercall: no such option: --inject (see aftercall {' '.join(command)} --help)\n"
    assert (suite.folder / "asked.txt").read_text() == ""


def test_one_variant_is_no_comparison(suite: SuiteCommands) -> None:
    ended = suite.eval("compare")
    assert (ended.code, ended.err) == (
        2,
        "aftercall: --agent: must be given for 2 to 20 variants; got 1 (give it once for each)\n",
    )
