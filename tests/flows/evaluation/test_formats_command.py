"""`aftercall eval import`, `export` and `import-results` as a user types them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli.main import main

Run = Callable[..., tuple[int, str, str]]
TESTS = {"tests": [{"vars": {"q": "How long?"}, "assert": [{"type": "equals", "value": "30 days"}]}]}
RUBRIC = {"tests": [{"vars": {"q": "a"}, "assert": [{"type": "json"}, {"type": "llm-rubric"}, {"type": "is-json"}]}]}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def of(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aftercall", "eval", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return of


def write(name: str, content: object) -> str:
    Path(name).write_text(json.dumps(content))
    return name


def test_tests_of_promptfoo_become_a_suite_that_runs_and_come_back_equal(run: Run) -> None:
    code, cases, _ = run("import", write("p.json", TESTS), "--format", "promptfoo")
    Path("cases.jsonl").write_text(cases)
    assert code == 0
    assert "1 of 1 case passed" in run("run", "cases.jsonl", "--agent", "echo 30 days")[1]
    code, document, _ = run("export", "cases.jsonl", "--format", "promptfoo")
    assert (code, json.loads(document)["tests"]) == (0, TESTS["tests"])


def test_what_could_not_be_carried_over_ends_with_3_and_the_others_are_printed(run: Run) -> None:
    code, cases, errors = run("import", write("p.json", RUBRIC), "--format", "promptfoo")
    assert (code, json.loads(cases)["checks"]) == (3, [{"type": "json"}])
    assert errors.splitlines() == [
        "aftercall: p.json, test 1: the assertion 'json' has no counterpart: left out",
        "aftercall: p.json, test 1: the assertion 'llm-rubric' has no counterpart: left out",
    ]


def test_results_of_promptfoo_become_a_run_of_the_file_of_runs(run: Run) -> None:
    rows = [{"testCase": TESTS["tests"][0], "success": True, "score": 1, "provider": {"id": "x"}}]
    results = {"results": {"version": 3, "timestamp": "2026-11-30T08:00:00Z", "results": rows}}
    code, printed, _ = run("import-results", write("r.json", results), "--format", "promptfoo", "--json", "--record")
    found = json.loads(printed)
    assert (code, found["pass_rate"], found["agent"], found["recorded"]) == (0, 1.0, "x", True)
    code, printed, _ = run("import-results", "r.json", "--format", "promptfoo")
    assert "1 of 1 case passed: 100.0 % (20.7-100.0)" in printed


def test_a_log_in_which_most_samples_ended_with_an_error_ends_with_4(run: Run) -> None:
    about = {"model": "m", "created": "2026-11-30T08:00:00Z"}
    samples = [{"id": at, "input": "a", "error": {"message": "x"}} for at in range(3)]
    log = {"version": 2, "eval": about, "samples": samples}
    assert run("import-results", write("l.json", log), "--format", "inspect")[0] == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("import", "x.json", "--format", "other"), "--format: must be one of inspect, promptfoo, openai-evals; got"),
        (("export", "x.jsonl", "--format", "other"), "--format: must be one of inspect, inspect-task, promptfoo; got"),
        (("export", "x.jsonl", "--format", "inspect-task"), "--agent: must be given with --format inspect-task"),
        (("import-results", "x.json", "--format", "openai-evals"), "--format: must be one of inspect, promptfoo; got"),
        (("import", "", "--format", "inspect"), "SOURCE: must be a path; got an empty one"),
    ],
)
def test_wrong_usage_is_one_sentence(run: Run, arguments: tuple[str, ...], words: str) -> None:
    code, out, errors = run(*arguments)
    assert (code, out) == (2, "")
    assert errors.startswith(f"aftercall: {words}")
    assert errors.count("\n") == 1
