"""`aftercall eval run` as a user types it: exit codes, what is printed, and what is not."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.ended import Ended, ended

CASES = """{"id": "days", "input": "how long, secret?", "expected": "30 days", "tags": ["returns"]}
{"id": "fee", "input": "what fee?", "expected": "none", "tags": ["returns", "money"]}
{"id": "open", "input": "open?", "checks": ["contains: 9", {"type": "required_tools", "tools": ["clock"]}]}
"""
AGENT = """
def good(question):
    print("noise\\n", end="", flush=True)  # in one piece: three threads print
    found = "30 days" if "long" in question else "none" if "fee" in question else "from 9 on"
    return {"output": found, "tool_calls": [{"name": "clock"}], "cost_usd": 0.01}
def wrong(question):
    return good(question) | {"output": "an answer, secret"}
def broken(question):
    raise ValueError(question)
def once(question):
    if "fee" in question: raise ValueError(question)
    return good(question)
def half(output, expected):
    return 0.5, "half of it"
def judge(output):
    raise ValueError(output)
"""


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    (tmp_path / "shop.py").write_text(AGENT)
    (tmp_path / "cases.jsonl").write_text(CASES)

    def of(*arguments: str) -> Ended:
        given = arguments if arguments[0].startswith("cases") else ("cases.jsonl", "--agent", *arguments)
        return ended(monkeypatch, capfd, "eval", "run", *given)

    return of


def test_a_run_prints_a_table_of_80_columns_and_ends_with_0(run: Run) -> None:
    ran = run("shop:good", "--min-pass-rate", "1")
    assert ran.code == 0
    assert "3 of 3 cases passed: 100.0 % (43.9-100.0)\n" in ran.out
    assert "The pass rate is 100.0 %, and 100.0 % are required.\n" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert ran.err == "noise\n" * 3


def test_no_text_of_a_case_or_an_answer_is_printed_or_kept(run: Run, tmp_path: Path) -> None:
    for agent in ("shop:wrong", "shop:broken"):
        ran = run(agent, "--junit", "tests.xml")
        assert "secret" not in ran.out + ran.err
    assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / ".aftercall").iterdir())
    assert "secret" not in (tmp_path / "tests.xml").read_text()


def test_with_keep_texts_wrong_answers_and_the_words_of_exceptions_are_shown(run: Run) -> None:
    assert "answered: an answer, secret" in run("shop:wrong", "--keep-texts").out
    assert "the agent raised ValueError: how long, secret?" in run("shop:broken", "--keep-texts").out


def test_a_pass_rate_below_the_least_ends_with_3(run: Run) -> None:
    ran = run("shop:wrong", "--min-pass-rate", "0.5")
    assert ran.code == 3
    assert "The pass rate is 0.0 %, and 50.0 % are required." in ran.out
    assert "  open  contains: does not contain the text\n" in ran.out


def test_whatever_the_pass_rate_a_run_without_a_least_one_ends_with_0(run: Run) -> None:
    assert run("shop:wrong").code == 0


def test_errors_in_more_than_half_of_the_answers_end_with_4(run: Run) -> None:
    ran = run("shop:broken", "--min-pass-rate", "0")
    assert ran.code == 4
    assert "Errors left 0 of 3 answers, fewer than half." in ran.out
    assert run("shop:once", "--min-pass-rate", "0.5").code == 0


def test_json_has_all_figures_and_stands_alone(run: Run) -> None:
    ran = run("shop:once", "--json", "--repeat", "2", "--record", "--min-pass-rate", "0.9")
    found = json.loads(ran.out)
    assert ran.code == found["exit_code"] == 3
    assert (found["dataset"], found["agent"], found["recorded"]) == ("cases.jsonl", "shop:once", True)
    assert (found["total_cases"], found["answers"], found["failed_cases"], found["errors"]) == (3, 6, 1, 2)
    assert found["cost"] == pytest.approx(0.04)
    assert found["checks"]["required_tools"]["passed"] == 2
    assert found["failure_details"] == [
        {"id": "fee", "input": "what fee?", "score": 0.0, "reason": "the agent raised ValueError"}
    ]


def test_junit_has_a_test_per_case(run: Run, tmp_path: Path) -> None:
    run("shop:once", "--junit", "tests.xml")
    suite = ET.parse(tmp_path / "tests.xml").getroot()  # noqa: S314 - our own
    assert suite.attrib | {"time": ""} == {
        "name": "cases.jsonl", "tests": "3", "failures": "0", "errors": "1", "time": "",
    }  # fmt: skip
    outcomes = {one.get("name"): [(child.tag, child.get("message")) for child in one] for one in suite}
    assert outcomes == {"days": [], "fee": [("error", "the agent raised ValueError")], "open": []}


def test_a_contract_and_a_function_score_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        'contract = "shop"\nversion = "1"\nrule = [{id = "cheap", type = "cost", max = 0.001}]'
    )
    ran = run("shop:good", "--contract", "c.toml")
    assert "  days  shop.cheap: 0.01 USD, more than 0.001\n" in ran.out
    assert "  days  half: half of it\n" in run("shop:good", "--score", "shop:half").out


def test_a_judge_that_always_fails_ends_with_4_and_without_a_rate(run: Run) -> None:
    (Path.cwd() / "plain.jsonl").write_text('{"input": "a"}')
    ran = run("cases.jsonl", "--agent", "shop:good", "--score", "shop:judge")
    assert ran.code == 4
    assert "0 of 0 cases passed\n" in ran.out
    assert "judge judged no answer: the function raised ValueError\n" in ran.out


def test_an_agent_of_the_settings_is_asked_by_its_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[eval.agent.shop]\nfunction = "shop:good"\n')
    assert run("shop", "--config", "a.toml", "--min-pass-rate", "1").code == 0


def test_a_command_is_an_agent(run: Run) -> None:
    assert "1 of 3 cases passed" in run("echo 30 days").out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("cases.txt", "--agent", "shop:good"), 1, "cases.txt: a data set must end in .jsonl"),
        (("cases.csv", "--agent", "shop:good"), 1, "cases.csv: the data set cannot be read: No such file"),
        (("nowhere:good",), 2, "--agent: must be a function that can be imported; nowhere:good raises ModuleNotF"),
        (("shop:good", "--score", "shop:x"), 2, "--score: must be a function that can be imported"),
        (("shop:good", "--score", "builtins:print"), 2, "--score: builtins:print takes "),
        (("shop:good", "--contract", "c.toml"), 2, "c.toml: cannot be read: No such file"),
        (("shop:good", "--timeout", "0s"), 2, "--timeout: must be longer than 0s"),
        (("shop:good", "--timeout", "soon"), 2, "--timeout: "),
        (("shop:good", "--rate", "0"), 2, "--rate: must be a number above 0"),
        (("shop:good", "--min-pass-rate", "90"), 2, "--min-pass-rate: must be "),
        (("shop:good", "--runs", "cases.jsonl"), 1, "cases.jsonl: the file of runs must be readable and writable"),
        (("shop:good", "--junit", "no/tests.xml"), 1, "no/tests.xml: --junit must name a file that can be written"),
        (("http://",), 2, "--agent: must be a URL with a host"),
        (("",), 2, "--agent: must be a URL, module:function or a command; got an empty one"),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    ran = run(*arguments)
    sentence = ran.err.removeprefix("noise\n" * 3)
    assert (ran.code, ran.out) == (code, "")
    assert sentence.startswith(f"aftercall: {words}")
    assert sentence.count("\n") == 1


def test_a_header_of_the_settings_that_names_a_missing_variable_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        '[eval.agent.shop]\nurl = "http://127.0.0.1:1/"\nheaders = {Authorization = "Bearer $NOT_SET_AT_ALL"}\n'
    )
    ran = run("shop", "--config", "a.toml")
    assert ran.err.startswith("aftercall: [eval.agent.shop], headers: names the variable NOT_SET_AT_ALL, which is not")


def test_a_run_that_was_killed_is_resumed_by_the_same_command(run: Run, tmp_path: Path) -> None:
    run("shop:good")
    with sqlite3.connect(tmp_path / ".aftercall/runs.sqlite") as file:  # as a kill after its second row leaves it
        file.execute("UPDATE runs SET ended_at = NULL")
        file.execute("DELETE FROM rows WHERE case_id = 'open'")
    file.close()
    ran = run("shop:good")
    assert ran.err.count("noise") == 1
    assert "2 answers were there (--new asks all)" in ran.err
    assert "3 of 3 cases passed" in ran.out
