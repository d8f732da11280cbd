"""Tests that send SIGINT see it arrive wherever pytest was started."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.waiting import HANG_S
from system.runs import environment

PROGRAM = """
import signal, subprocess, sys

def test_it():
    sleep = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", sleep], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait() == -signal.SIGINT
"""


@pytest.mark.slow
def test_children_of_a_run_in_the_background_can_be_interrupted(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "harness.interrupts", "-p", "no:cacheprovider", "test_inner.py"],
        env=environment(PYTHONPATH=str(Path(__file__).parents[1])),
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a shell does before `&`
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
