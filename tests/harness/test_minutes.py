"""The table at the end counts each test in its marks, once, and adds up its phases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.waiting import HANG_S
from system.runs import environment

PROGRAM = """
import harness.minutes
import pytest

@pytest.mark.slow
@pytest.mark.system
def test_both():
    harness.minutes.count(90.0)

@pytest.mark.parametrize("n", [1, 2])
def test_neither(n):
    pass
"""


def table(folder: Path, *options: str) -> dict[str, list[str]]:
    (folder / "test_inner.py").write_text(PROGRAM, encoding="utf-8")
    config = folder / "pytest.ini"
    config.write_text("[pytest]\nmarkers =\n    slow: it\n    system: it\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "harness.minutes", "-p", "no:cacheprovider", *options, "test_inner.py"],
        env=environment(PYTHONPATH=str(Path(__file__).parents[1])),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=True,
    )
    lines = done.stdout.split("minutes per mark")[1].splitlines()[1:]
    return {line.split()[0]: line.split()[1:] for line in lines if line and line.split()[0].isalpha()}


@pytest.mark.slow
def test_each_test_counts_in_each_of_its_marks(tmp_path: Path) -> None:
    found = table(tmp_path)
    assert found["mark"] == ["tests", "minutes", "CPU", "min"]
    assert {name: int(found[name][0]) for name in ("slow", "system", "rest", "all")} == {
        "slow": 1,
        "system": 1,
        "rest": 2,
        "all": 3,
    }
    assert [float(found[name][2]) >= 1.5 for name in ("slow", "system", "rest", "all")] == [True, True, False, True]


@pytest.mark.slow
def test_workers_report_to_the_one_that_prints(tmp_path: Path) -> None:
    assert table(tmp_path, "-n", "2")["all"][0] == "3"
