"""Runs suites of other programs with those programs as published: `make check-formats`.

    python -m benchmarks.formats

Installs inspect-ai in an environment of its own, reads the sample sets that lie inside that package, asks the example
agent their questions and writes them back; then exports the example suite as a task, has Inspect run it, and compares
its log with our own run. It ends with 1 where anything differs. No model is asked, and nothing is fetched but packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from aftercall.evals.reading import read_cases
from connectors.agents.naming import agent_named
from connectors.suites import inspect_ai

ROOT: Final = Path(__file__).resolve().parents[1]
INSPECT: Final = "inspect-ai==0.3.285"
SETS: Final = ("bias_detection", "biology_qa", "popularity", "security_guide", "theory_of_mind")


def main() -> None:
    """Check all, and print what was compared."""
    sys.path.insert(0, str(ROOT / "examples" / "agent"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = environment(folder)
        package = Path(printed(python, "-c", "import inspect_ai; print(inspect_ai.__path__[0])").strip())
        total = sum(read_and_written_back(package / "dataset" / "_examples" / f"{one}.jsonl", folder) for one in SETS)
        print(f"{len(SETS)} sets of {INSPECT}: {total} samples read, asked, and written back equal")
        print(f"{task_run_by_inspect(python, folder)} cases of the example have the same result under Inspect and here")


def environment(folder: Path) -> str:
    """The interpreter of a new environment with Inspect."""
    uv, python = str(Path(sys.executable).with_name("uv")), str(folder / "venv" / "bin" / "python")
    for command in (
        ["venv", "-q", "-p", sys.executable, str(folder / "venv")],
        ["pip", "install", "-q", "-p", python, INSPECT],
    ):
        subprocess.run([uv, *command], check=True)
    return python


def printed(*command: str, cwd: Path | None = None) -> str:
    """What a command prints, with this checkout on its path."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "sdk", cwd or ROOT)))
    env = os.environ | {"PYTHONPATH": path}
    return subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


def read_and_written_back(path: Path, folder: Path) -> int:
    """How many samples a set has; each is asked of the example agent, which mostly does not know."""
    cases = inspect_ai.samples_in(path).cases
    agent = agent_named("support:answer")
    assert all(agent.ask(case, 60.0).text for case in cases)
    copy = folder / path.name
    copy.write_text("".join(f"{json.dumps(one)}\n" for one in inspect_ai.samples_out(cases)))
    assert list(inspect_ai.samples_in(copy).cases) == list(cases), path.name
    return len(cases)


def task_run_by_inspect(python: str, folder: Path) -> int:
    """How many cases of the example that need no other package Inspect scores as we do; all must be."""
    place = folder / "agent"
    shutil.copytree(ROOT / "examples" / "agent", place)
    plain = [
        line
        for line in (place / "cases.jsonl").read_text().splitlines()
        if "regex" not in line and "schema" not in line
    ]
    (place / "cases.jsonl").write_text("\n".join(plain))
    ours = (sys.executable, "-m", "aftercall", "eval")
    for form, name in (("inspect", "samples.jsonl"), ("inspect-task", "suite.py")):
        (place / name).write_text(
            printed(*ours, "export", "cases.jsonl", "--format", form, "--agent", "support:answer", cwd=place)
        )
    script = str(ROOT / "tests" / "harness" / "foreign_inspect.py")
    found: dict[str, Any] = json.loads(printed(python, script, "samples.jsonl", "suite.py", "logs", cwd=place))
    assert found["status"] == "success", found
    assert [one["id"] for one in found["samples"]] == [case.id for case in read_cases(place / "cases.jsonl")]
    theirs = inspect_ai.log_in(place / found["log"])
    scored = json.loads(printed(*ours, "run", "cases.jsonl", "--agent", "support:answer", "--json", cwd=place))
    failed = {one["id"] for one in scored["failure_details"]}
    assert {one.case_id for one in theirs.results if not one.passed} == failed
    assert failed
    return len(theirs.results)


if __name__ == "__main__":
    main()
