"""A step, a source or a sink that fails by a defect ends a replay at once: traceback, exit code, no lock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.faults.defect import with_defect
from harness.waiting import assert_prompt
from system.commands import aftercall
from system.defects import FILES, STEPS, each_with_an_error
from system.runs import History, history

ENDS_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> History:
    return history(tmp_path_factory.mktemp("history"), calls=300)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "error"), each_with_an_error(*STEPS, *FILES))
def test_a_replay_with_a_defect_ends_with_its_traceback(made: History, tmp_path: Path, place: str, error: str) -> None:
    arguments = ("replay", "--calls", made.calls, "--outcomes", made.outcomes, "--out", tmp_path / "out")
    workers = "2" if place in STEPS[::2] else "1"
    began = time.monotonic()
    broken = aftercall(tmp_path, *arguments, "--workers", workers, **with_defect(place, error))
    assert_prompt(began, ENDS_WITHIN_S, lambda: broken.stderr)
    assert broken.returncode == 1, broken.stderr
    assert "Traceback" in broken.stderr
    assert f"{error}: " in broken.stderr
    assert "a defect of ours" in broken.stderr
    mended = aftercall(tmp_path, *arguments, "--workers", workers)
    assert mended.returncode == 0, mended.stderr
