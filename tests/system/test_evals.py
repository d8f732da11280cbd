"""Suites in processes of their own: kills, threads that agents leave, two runs at once, and the page on suites."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.waiting import until
from system.commands import aftercall
from system.documents import document, missing, run, shells
from system.forks import Fork
from system.runs import environment

LEAVES = """
import threading
threading.Thread(target=threading.Event().wait, daemon=False).start()
answer = str
"""
SLOW = """
import pathlib, time
def answer(question):
    pathlib.Path("asked").mkdir(exist_ok=True)
    (pathlib.Path("asked") / f"{question}-{time.monotonic_ns()}").touch()
    time.sleep(0.02)
    return question
"""
CASES = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = (json.dumps({"id": f"c{at}", "input": f"{at}", "expected": f"{at}"}) for at in range(CASES))
    (tmp_path / "cases.jsonl").write_text("\n".join(lines))
    return tmp_path


def eval_run(*arguments: str) -> tuple[str, ...]:
    return ("eval", "run", "cases.jsonl", "--agent", "shop:answer", "--json", *arguments)


def rows(folder: Path) -> list[tuple[Any, ...]]:
    path = folder / ".aftercall/runs.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as file:
        try:
            return file.execute("SELECT run_id, case_id FROM rows").fetchall()
        except sqlite3.OperationalError:  # it has no tables yet
            return []


def test_threads_that_an_agent_leaves_do_not_keep_the_command_from_ending(folder: Path) -> None:
    (folder / "shop.py").write_text(LEAVES)
    done = aftercall(folder, *eval_run("--min-pass-rate", "1"))
    assert (done.returncode, json.loads(done.stdout)["pass_rate"]) == (0, 1.0)
    assert done.stderr == "aftercall: the agent left 1 thread running, which is ended with the command\n"


def test_a_run_killed_at_any_case_is_resumed_and_no_case_has_two_rows(folder: Path) -> None:
    (folder / "shop.py").write_text(SLOW)
    for least in (5, 10):
        command = ("aftercall", *eval_run("--concurrency", "2"))
        fork = Fork(command, cwd=folder, env=environment(), out=folder / "out", err=folder / "err")
        until(lambda least=least: len(rows(folder)) >= least, (folder / "err").read_text)  # type: ignore[misc]
        fork.kill()
        fork.wait()
    done = aftercall(folder, *eval_run())
    found = json.loads(done.stdout)
    assert (done.returncode, found["total_cases"], found["pass_rate"]) == (0, CASES, 1.0)
    assert found["resumed_answers"] >= 10
    assert len(rows(folder)) == len(set(rows(folder))) == CASES
    # Asked again was only what was under way at a kill: two of a time.
    assert len(list((folder / "asked").iterdir())) <= CASES + 4


def test_two_runs_at_once_in_one_folder_are_two_runs(folder: Path) -> None:
    (folder / "shop.py").write_text(SLOW)
    forks = [
        Fork(("aftercall", *eval_run()), cwd=folder, env=environment(), out=folder / f"{at}", err=folder / "err")
        for at in range(2)
    ]
    assert [fork.wait() for fork in forks] == [0, 0]
    found = [json.loads((folder / f"{at}").read_text()) for at in range(2)]
    assert [one["total_cases"] for one in found] == [CASES, CASES]
    assert [one["resumed_answers"] for one in found] == [0, 0]
    assert len(set(rows(folder))) == 2 * CASES


def test_the_page_on_suites_shows_what_the_command_prints(tmp_path: Path) -> None:
    (first, *_) = shells(document("docs/evals.md"))
    printed = run(first.commands, tmp_path)
    assert not missing(first.shown, printed)
