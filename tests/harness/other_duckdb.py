"""Other versions of DuckDB than the pipeline's, beside it: for readers that have their own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.waiting import HANG_S


def installed(version: str, folder: Path) -> Path:
    """A folder for the front of `PYTHONPATH` that holds this version; some 60 MB, kept for other tests of the run.

    The test is skipped where there is no package index, but not in CI.
    """
    place = folder / f"duckdb-{version}"
    with (folder / f"duckdb-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "duckdb").exists():
            uv = Path(sys.executable).with_name("uv")
            install = [str(uv), "pip", "install", "-q", "--python", sys.executable]
            command = [*install, "--no-deps", "--target", str(place), f"duckdb=={version}"]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=HANG_S)
            except (OSError, subprocess.SubprocessError) as error:
                if "CI" in os.environ:
                    raise
                pytest.skip(f"duckdb {version} cannot be installed with uv here: {error}")
    return place
