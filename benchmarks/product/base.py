"""Checks out and builds the commit that ratios refer to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.product.processes import BenchmarkError, Build

COMMIT: Final = "f290d4d"
ROOT: Final = Path(__file__).resolve().parents[2]


def present() -> Build:
    """This checkout, in the environment that runs the benchmark."""
    return Build("present", ROOT, Path(sys.executable))


def base(folder: Path, commit: str = COMMIT) -> Build:
    """A copy of `commit` in `folder`, with an environment from its own constraints.txt.

    Raises:
        BenchmarkError: this clone does not have the commit, or its environment cannot be built.
    """
    if not is_here(commit):
        raise BenchmarkError(
            f"ratios need commit {commit}, which this clone does not have (fetch the rest: git fetch --unshallow)"
        )
    folder.mkdir(parents=True)
    archive = folder / "archive.tar"
    _run("git", "-C", str(ROOT), "archive", "--output", str(archive), commit)
    _run("tar", "-xf", str(archive), "-C", str(folder))
    python = folder / ".venv" / "bin" / "python"
    constraints = str(folder / "constraints.txt")
    _run(sys.executable, "-m", "venv", str(folder / ".venv"))
    _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints, "uv")
    limits = ("-c", constraints, "-b", constraints)
    uv = str(python.with_name("uv"))
    install = ("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-e", ".")
    _run(uv, *install, "--group", "pipeline", *limits, at=folder)
    # The first run would compile the code, and its start would look dear.
    _run(str(python), "-m", "compileall", "-q", "flows", "connectors", "models", "sdk", at=folder)
    return Build(commit, folder, python)


def is_here(commit: str = COMMIT) -> bool:
    """Whether this clone has the commit."""
    asked = ["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _run(*command: str, at: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"`{' '.join(command[:4])} …` must succeed; it ended with:\n{done.stderr[-1500:]}")
