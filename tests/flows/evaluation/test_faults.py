"""`--inject`, `eval faults`, `eval messy` and `eval proxy` as a user types them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.ended import Ended, ended

AGENT = """
from aftercall.evals import tool

@tool
def search(question): return ["30 days"]

@tool
def handoff(question): return "taken over"

def careful(question):
    for _ in range(2):
        try: found = search(question)
        except (TimeoutError, RuntimeError): continue
        if found: return found[0]
        break
    handoff(question)
    return "A colleague will answer."

def guesses(question):
    try: return (search(question) or ["30 days"])[0]
    except (TimeoutError, RuntimeError): return "30 days"

def stubborn(question):
    while True:
        try: return search(question)[0]
        except TimeoutError: pass

def breaks(question):
    return search(question)[0]
"""
CONTRACT = """
contract = "shop"
version = "1"
[[rule]]
id = "no-guess"
type = "no_answer_on_empty"
escalations = ["handoff"]
[[rule]]
id = "handled"
type = "tool_failure_handled"
escalations = ["handoff"]
[[rule]]
id = "retries"
type = "retry_limit"
calls = 3
"""
CASES = "".join(
    json.dumps({"id": f"c{at}", "input": f"how long? {at}", "expected": "30 days"}) + "\n" for at in range(6)
)


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    for name, text in {"shop.py": AGENT, "shop.toml": CONTRACT, "cases.jsonl": CASES}.items():
        (tmp_path / name).write_text(text)

    def of(*arguments: str) -> Ended:
        return ended(monkeypatch, capfd, "eval", *arguments)

    return of


def outcomes(run: Run, agent: str, inject: str, *more: str) -> dict[str, dict[str, int]]:
    ran = run(
        "run", "cases.jsonl", "--agent", f"shop:{agent}", "--contract", "shop.toml", "--inject", inject, "--json", *more
    )
    found: list[dict[str, Any]] = json.loads(ran.out)["faults"]["faults"]
    return {one["fault"]: {name: count for name, count in one["outcomes"].items() if count} for one in found}


@pytest.mark.parametrize(
    ("agent", "inject", "found"),
    [
        ("careful", "empty:search", {"empty": {"escalated": 6}}),
        ("careful", "timeout:search", {"timeout": {"escalated": 6}}),
        ("guesses", "empty:search", {"empty": {"guessed": 6}}),
        ("guesses", "error:search", {"error": {"guessed": 6}}),
        ("breaks", "timeout:search", {"timeout": {"broke": 6}}),
        ("careful", "slow:search=1ms", {"slow": {"failed safely": 6}}),
        ("stubborn", "timeout:search", {"timeout": {"retried for ever": 6}}),
    ],
)
def test_what_each_agent_does_about_each_fault(run: Run, agent: str, inject: str, found: dict[str, Any]) -> None:
    more = ("--timeout", "1s", "--concurrency", "6") if agent == "stubborn" else ()
    assert outcomes(run, agent, inject, *more) == found


def test_a_rerun_breaks_the_same_and_another_seed_others(run: Run) -> None:
    def broken(seed: str) -> list[tuple[str, str]]:
        ran = run(
            "run",
            "cases.jsonl",
            "--agent",
            "shop:guesses",
            "--inject",
            "error:search=0.5",
            "--json",
            "--new",
            "--seed",
            seed,
        )
        assert json.loads(ran.out)["faults"]["inject"] == "error:search=0.5"
        return [(one["fault"], str(one["outcomes"])) for one in json.loads(ran.out)["faults"]["faults"]]

    assert broken("1") == broken("1")


def test_a_table_names_each_fault_and_what_was_not_tested(run: Run) -> None:
    ran = run(
        "run",
        "cases.jsonl",
        "--agent",
        "shop:guesses",
        "--contract",
        "shop.toml",
        "--inject",
        "empty:search,stale:polcy",
    )
    assert "empty:search, c0, guessed: rule no-guess" in ran.out
    assert "--inject stale:polcy: the agent never called such a tool, so nothing was tested" in ran.err


@pytest.mark.parametrize("inject", ["timeout:search=1.2", "explode:search", "timeout"])
def test_an_inject_that_is_wrong_ends_with_2_before_anything_is_asked(run: Run, tmp_path: Path, inject: str) -> None:
    ran = run("run", "cases.jsonl", "--agent", "shop:guesses", "--inject", inject)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("aftercall: --inject")
    assert not (tmp_path / ".aftercall").exists()


def test_tools_of_a_service_need_a_proxy(run: Run) -> None:
    ran = run("run", "cases.jsonl", "--agent", "http://127.0.0.1:9/ask", "--inject", "empty:search")
    assert ran.code == 2
    assert "aftercall eval proxy" in ran.err


def test_calls_of_tools_that_name_no_case_are_counted_and_count_as_called(run: Run, tmp_path: Path) -> None:
    """The agent's module stands for the tools behind a proxy: it writes to the log as that does."""
    use = "from aftercall.evals.faults.uses import SeenUse, append_use"
    logs = 'append_use("log.jsonl", SeenUse("", "crm", 1, "empty", "empty:crm", True))'
    (tmp_path / "shop.py").write_text(f"{use}\ndef answer(question):\n    {logs}\n    return '30 days'\n")
    ran = run(
        *("run", "cases.jsonl", "--agent", "shop:answer", "--inject", "empty:crm", "--json"),
        *("--fault-log", "log.jsonl"),
    )
    found = json.loads(ran.out)["faults"]
    assert (found["without_case"], found["unused"], found["idle"], found["faults"]) == (6, [], [], [])
    assert "6 calls of tools named no case" in ran.err


def test_a_run_under_faults_is_no_run_without(run: Run) -> None:
    """A gate would hold the one against the other."""
    agents = {
        json.loads(run("run", "cases.jsonl", "--agent", "shop:guesses", "--json", *more).out)["agent"]
        for more in ((), ("--inject", "empty:search"), ("--inject", "empty:search", "--seed", "2"))
    }
    assert len(agents) == 3


def test_the_nine_failures_are_listed_with_a_case(run: Run) -> None:
    outcomes(run, "careful", "empty:search=0.5,timeout:search=0.5")
    ran = run("faults", "shop.toml")
    assert ran.code == 0
    lines = {line.split("  ")[1].strip(): line for line in ran.out.splitlines()[1:]}
    assert len(lines) == 9
    assert "survived (" in lines["empty"]
    assert "not seen" in lines["approval"]


def test_what_was_not_survived_ends_with_3_until_it_is_mended(run: Run, tmp_path: Path) -> None:
    outcomes(run, "guesses", "empty:search")
    ran = run("faults", "shop.toml", "--json")
    assert ran.code == 3
    (agent,) = json.loads(ran.out)["agents"]
    assert agent["failures"][0] == {
        "failure": "empty",
        "state": "not survived",
        "answers": 6,
        "survived": 0,
        "case": "c0",
        "reason": "rule no-guess: tool 'search' gave nothing, and nothing followed that the rule lists",
    }
    (tmp_path / "shop.py").write_text(AGENT.replace("def guesses", "def old").replace("def careful", "def guesses"))
    sys.modules.pop("shop")
    outcomes(run, "guesses", "empty:search", "--new")
    assert run("faults", "shop.toml").code == 0


def test_without_a_run_there_is_nothing_to_list(run: Run) -> None:
    assert run("faults", "shop.toml").code == 2
    run("run", "cases.jsonl", "--agent", "shop:guesses")
    assert run("faults", "shop.toml").code == 4


def test_messy_variants_are_a_data_set_with_their_originals(run: Run, tmp_path: Path) -> None:
    ran = run("messy", "cases.jsonl", "--out", "messy.jsonl", "--json")
    assert ran.code == 0
    lines = [json.loads(line) for line in (tmp_path / "messy.jsonl").read_text().splitlines()]
    assert "".join(json.dumps(line) + "\n" for line in lines[:6]) == CASES
    assert json.loads(ran.out)["variants"] == len(lines) - 6
    again = run("run", "messy.jsonl", "--agent", "shop:guesses", "--contract", "shop.toml", "--json")
    assert json.loads(again.out)["tags"]["capitals"]["total_cases"] == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("messy", "cases.jsonl", "--out", "cases.jsonl"), "--out: must be a new file"),
        (("messy", "cases.jsonl", "--out", "m.jsonl", "--rules", "tpyos"), "--rules: must name rules; got 'tpyos'"),
        (("messy", "cases.jsonl", "--out", "m.jsonl", "--keep", ""), "--keep: must name rules; got ''"),
        (("proxy", "--inject", "empty:x"), "--upstream: must be given, or a command"),
        (("proxy", "--inject", "empty:x", "--upstream", "http://x", "--", "server"), "and not both"),
        (("proxy", "--inject", "empty:x", "--upstream", "nowhere"), "--upstream: must be a URL"),
        (("proxy", "--inject", "empty=x", "--upstream", "http://x"), "--inject"),
        (("proxy", "--inject", "empty:x", "--", "./no-such-server"), "COMMAND: must be a program that can be started"),
        (
            ("run", "cases.jsonl", "--agent", "shop:guesses", "--fault-log", "log"),
            "--fault-log: must stand beside --inject",
        ),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(run: Run, arguments: tuple[str, ...], words: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert words in ran.err
