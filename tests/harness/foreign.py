"""Environments with packages that agents are made with, beside the SDK and nothing of the pipeline."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from harness.waiting import HANG_S

ROOT: Final = Path(__file__).resolve().parents[2]
SDK: Final = ROOT / "sdk"
TESTS: Final = ROOT / "tests"


def foreign_python(folder: Path) -> Path:
    """The interpreter of the dependency group `foreign`; see `python_with`."""
    group = ("--group", f"{ROOT / 'pyproject.toml'}:foreign", "-c", str(ROOT / "constraints.txt"))
    return python_with(folder, "foreign", group)


def python_with(folder: Path, name: str, packages: Sequence[str]) -> Path:
    """The interpreter of an environment of its own, kept for other tests of the run.

    The test is skipped where there is no package index, but not in CI. `packages`: as `uv pip install` takes them.
    """
    place = folder / name
    python = place / "bin" / "python"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            uv = Path(sys.executable).with_name("uv")
            try:
                for command in (
                    [str(uv), "venv", "-q", "--clear", "-p", sys.executable, str(place)],
                    [str(uv), "pip", "install", "-q", "-p", str(python), *packages],
                ):
                    subprocess.run(command, check=True, capture_output=True, timeout=4 * HANG_S)
            except (OSError, subprocess.SubprocessError) as error:
                if "CI" in os.environ:
                    raise
                pytest.skip(f"the environment `{name}` cannot be installed with uv here: {error}")
            (place / "complete").touch()
    return python


def run_foreign(python: Path, script: Path, *arguments: str, path: Sequence[Path] = ()) -> str:
    """What a script prints in this environment, with the SDK, `harness` and these folders on its path."""
    ran = subprocess.run(
        [str(python), str(script), *arguments],
        env={
            "PYTHONPATH": os.pathsep.join(map(str, (SDK, TESTS, *path))),
            "PATH": os.environ["PATH"],
            "HOME": str(python.parent),
        },
        capture_output=True,
        text=True,
        timeout=4 * HANG_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout
