"""A pytest plugin: however a test run ends, SIGKILL too, the processes that its tests started end with it.

Each process of a run (the controller, and each worker of pytest-xdist) has a reaper in a session of its own, which ends
what has that process's mark in its environment as soon as the process is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

MARKS = "PYTEST_GUARDED_BY"
"""The environment variable of the marks: of this process, and before it of those above it."""
_REAPER = Path(__file__).with_name("reaper.py")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start the reaper, before anything that it must end."""
    mark = uuid.uuid4().hex
    reaper = subprocess.Popen(
        [sys.executable, "-S", str(_REAPER), mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # ctrl-C and a kill of our group are for the tests
    )
    above = os.environ.get(MARKS)
    os.environ[MARKS] = f"{above},{mark}" if above else mark
    # The first to be added is the last to be called: the reaper looks, and nothing runs once pytest has ended.
    config.add_cleanup(lambda: _let_it_look(reaper))


def _let_it_look(reaper: subprocess.Popen[bytes]) -> None:
    reaper.communicate()
