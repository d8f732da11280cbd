"""The dataflow is a plain Bytewax dataflow: Bytewax's own command runs it to the same result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from system.runs import History, Left, assert_same, environment, history, left, replay, sums_that_fail


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> History:
    return history(tmp_path_factory.mktemp("history"), calls=1_000)


@pytest.fixture(scope="module")
def expected(made: History, tmp_path_factory: pytest.TempPathFactory) -> Left:
    out = tmp_path_factory.mktemp("command") / "out"
    replay(made, out)
    return left(out)


def bytewax(module: str, *arguments: str, folder: Path) -> None:
    """Run one of Bytewax's commands in `folder`, where it may leave what it likes."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment(AFTERCALL_JOIN__HORIZON="12h"),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def flow(made: History, out: Path) -> str:
    return f"flows.replay:flow(calls=['{made.calls}'], outcomes=['{made.outcomes}'], out='{out}')"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_bytewax_run_leaves_what_the_command_line_leaves(
    made: History, expected: Left, tmp_path: Path, workers: str
) -> None:
    bytewax("bytewax.run", flow(made, tmp_path / "out"), "-w", workers, folder=tmp_path)
    assert sums_that_fail(tmp_path / "out") == []
    assert_same(left(tmp_path / "out"), expected)


@pytest.mark.slow
def test_bytewax_run_with_a_recovery_store_leaves_the_same(made: History, expected: Left, tmp_path: Path) -> None:
    (tmp_path / "recovery").mkdir()
    bytewax("bytewax.recovery", "recovery", "2", folder=tmp_path)
    arguments = (flow(made, tmp_path / "out"), "-w", "2", "-r", "recovery", "-s", "1", "-b", "0")
    bytewax("bytewax.run", *arguments, folder=tmp_path)
    assert_same(left(tmp_path / "out"), expected)
