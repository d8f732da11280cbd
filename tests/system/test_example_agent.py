"""The agent in `examples/agent` fails exactly the cases that it is built to fail; put right, it passes all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall
from system.documents import ROOT, document, missing, run, shells

BUILT_TO_FAIL = {
    "open-sunday": {"icontains"},
    "unknown-topic": {"not_contains", "required_tools", "support.no-guess"},
    "status": {"exact"},
    "status-schema": {"json_schema"},
    "refund-large": {"required_tools"},
    "refund-unknown": {"support.few-tries"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples" / "agent", tmp_path, dirs_exist_ok=True)
    return tmp_path


def evaluated(folder: Path, agent: str, *more: str) -> tuple[int, dict[str, Any]]:
    arguments = ("cases.jsonl", "--agent", agent, "--contract", "support.toml", "--json", *more)
    done = aftercall(folder, "eval", "run", *arguments)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_it_fails_exactly_the_cases_and_checks_that_it_is_built_to_fail(folder: Path) -> None:
    code, found = evaluated(folder, "support:answer", "--min-pass-rate", "1")
    assert (code, found["total_cases"], found["errors"]) == (3, 11, 0)
    failed = {
        one["id"]: {part.partition(": ")[0] for part in one["reason"].split("; ")} for one in found["failure_details"]
    }
    assert failed == BUILT_TO_FAIL


def test_put_right_it_passes_all_and_every_check_has_judged(folder: Path) -> None:
    code, found = evaluated(folder, "support:mended", "--min-pass-rate", "1", "--repeat", "2")
    assert (code, found["pass_rate"], found["flaky_cases"]) == (0, 1.0, 0)
    assert {name: one["passed"] for name, one in found["checks"].items() if not one["passed"]} == {}


@pytest.mark.parametrize(
    ("agent", "reactions", "state"),
    [
        (
            "support:answer",
            {"empty": "guessed", "timeout": "retried for ever", "error": "retried for ever"},
            "not survived",
        ),
        ("support:mended", {"empty": "escalated", "timeout": "escalated", "error": "escalated"}, "survived"),
    ],
)
def test_it_fails_exactly_the_faults_that_it_is_built_to_fail(
    folder: Path, agent: str, reactions: dict[str, str], state: str
) -> None:
    inject = ("--inject", "empty:search,timeout:order=0.5,error:order")
    _, found = evaluated(folder, agent, *inject)
    faults = {
        one["fault"]: {name for name, count in one["outcomes"].items() if count} for one in found["faults"]["faults"]
    }
    assert faults == {fault: {reaction} for fault, reaction in reactions.items()}
    listed = aftercall(folder, "eval", "faults", "support.toml", "--json")
    assert listed.returncode == (0 if state == "survived" else 3)
    states = {one["failure"]: one["state"] for one in json.loads(listed.stdout)["agents"][0]["failures"]}
    assert {name for name, found in states.items() if found == state} == {"empty", "timeout", "retry limit"}


def test_its_page_shows_what_the_commands_print(folder: Path) -> None:
    for shell in shells(document("examples/agent/README.md")):
        assert not missing(shell.shown, run(shell.commands, folder))
