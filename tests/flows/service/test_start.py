"""What the start of a run costs: each process of a pipeline pays it, and so does each test that starts one."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from system.runs import environment


@pytest.mark.slow
@pytest.mark.parametrize("module", ["flows.service.run", "flows.replay"])
def test_a_run_starts_without_what_takes_seconds_to_import(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "models.drift" in loaded
    assert not loaded & {"scipy.stats", "scipy.optimize", "river", "polars"}
