"""From fifty rows in a sheet to a gate in CI, with the four commands that the README shows."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from harness.suite_commands import SuiteCommands
from system.documents import document

AGENT = """
import pathlib
def answer(question):
    wrong = pathlib.Path("wrong.txt").read_text().split()
    return "no idea" if question in wrong else question.upper()
"""


def commands(page: str, title: str) -> list[list[str]]:
    """The commands of the first block below the title."""
    block = document(page).partition(f"## {title}\n")[2].partition("```sh\n")[2].partition("```")[0]
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines()]


def test_a_sheet_becomes_a_gate_with_four_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    look, measure, record, gate = commands("README.md", "Suites")
    suite = SuiteCommands(tmp_path, monkeypatch, capfd)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    (tmp_path / "shop.py").write_text(AGENT)
    (tmp_path / "wrong.txt").write_text("")
    (tmp_path / "cases.csv").write_text("id,input,expected\n" + "".join(f"r{at},q{at},Q{at}\n" for at in range(50)))
    assert "50 of 50 cases passed" in suite.run(*look).out
    assert "the rule of rows blocks 0.0 %" in suite.run(*measure).out
    assert [suite.run(*record).code for _ in range(5)] == [4, 0, 0, 0, 0]
    assert suite.run(*gate).code == 0
    (tmp_path / "wrong.txt").write_text("q3 q4")
    assert suite.run(*gate).code == 0
    (tmp_path / "wrong.txt").write_text("q3 q4 q5")
    blocked = suite.run(*gate)
    assert blocked.code == 3
    assert [line.split()[0] for line in blocked.out.split("Regressed:\n")[1].splitlines()[:3]] == ["r3", "r4", "r5"]


def test_the_page_on_suites_shows_the_same_commands() -> None:
    assert commands("docs/evals.md", "The gate") == commands("README.md", "Suites")
