"""Runs commands over evaluation suites in this process, with an agent whose wrong answers a test decides."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.ended import Ended, ended

AGENT = """
import json, pathlib
asked = {}
def answer(case):
    text = pathlib.Path("plan.json").read_text()
    n = asked[case.id, text] = asked.get((case.id, text), 0) + 1
    plan = json.loads(text)
    with open("asked.txt", "a") as file:
        file.write(case.id + " ")
    if case.id in plan.get("raises", []):
        raise OSError("no")
    wrong = case.id in plan.get("wrong", []) or n in plan.get("wrong_at", {}).get(case.id, [])
    return "wrong" if wrong else case.expected
def worse(case):
    return "wrong" if int(case.id[1:]) % 3 == 0 else case.expected
def a_bit_worse(case):
    return "wrong" if case.id == "c7" else case.expected
"""
ROWS = 30
_KEPT: dict[str, bytes] = {}


class SuiteCommands:
    """A folder with thirty cases, an agent, and a plan of which rows it answers wrongly."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capfd = folder, monkeypatch, capfd
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.syspath_prepend(folder)
        for module in ("planned_agent", "agent"):  # another test of this process may have had one of that name
            monkeypatch.delitem(sys.modules, module, raising=False)
        (folder / "planned_agent.py").write_text(AGENT)
        self.write_cases(ROWS)
        self.plan()

    def write_cases(self, rows: int, edited: str = "") -> None:
        """Write the data set; the input of one case may have been edited."""
        cases = (
            {"id": f"c{at}", "input": f"question {at}{'!' * (f'c{at}' == edited)}", "expected": f"answer {at}"}
            for at in range(rows)
        )
        (self.folder / "cases.jsonl").write_text("\n".join(map(json.dumps, cases)))

    def plan(self, **wrong: Any) -> None:
        """`wrong`: ids that fail; `raises`: that raise; `wrong_at`: by id, which answers from now on are wrong."""
        (self.folder / "plan.json").write_text(json.dumps(wrong))
        (self.folder / "asked.txt").write_text("")

    def asked(self, case: str) -> int:
        """How often a case was asked since the last plan."""
        return (self.folder / "asked.txt").read_text().split().count(case)

    def eval(self, command: str, *arguments: str, agent: str = "planned_agent:answer") -> Ended:
        """`aftercall eval COMMAND cases.jsonl --agent ...`."""
        return self.run("eval", command, "cases.jsonl", *(("--agent", agent) if agent else ()), *arguments)

    def run(self, *arguments: str) -> Ended:
        """`aftercall ...`."""
        return ended(self._monkeypatch, self._capfd, *arguments)

    def record(self, times: int) -> None:
        """So many recorded runs, in which no row failed."""
        self.kept(f"{times} runs", lambda: [self.eval("run", "--record") for _ in range(times)])

    def kept(self, what: str, make: Callable[[], object]) -> None:
        """Have the file of runs that `make` leaves: it is made once in a process, and copied from then on."""
        path = self.folder / ".aftercall/runs.sqlite"
        if what in _KEPT:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(_KEPT[what])
        else:
            make()
            _KEPT[what] = path.read_bytes()
