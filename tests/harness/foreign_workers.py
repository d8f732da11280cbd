"""Servers and queues of work that fork: gunicorn, Celery, RQ, in an environment of their own beside the SDK.

Not in the group `foreign`, whose versions are settled together with the pipeline's: Celery and RQ need an older
python-dateutil.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from harness.waiting import HANG_S

PACKAGES: Final = ("celery==5.7.0", "fakeredis==2.41.0", "gunicorn==27.0.1", "pydantic>=2.12,<3", "rq==3.0.0")


def workers_python(folder: Path) -> Path:
    """The interpreter of this environment, kept for other tests of the run.

    The test is skipped where there is no package index, but not in CI.
    """
    place = folder / "workers"
    python = place / "bin" / "python"
    with (folder / "workers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            uv = Path(sys.executable).with_name("uv")
            try:
                for command in (
                    [str(uv), "venv", "-q", "--clear", "-p", sys.executable, str(place)],
                    [str(uv), "pip", "install", "-q", "-p", str(python), *PACKAGES],
                ):
                    subprocess.run(command, check=True, capture_output=True, timeout=4 * HANG_S)
            except (OSError, subprocess.SubprocessError) as error:
                if "CI" in os.environ:
                    raise
                pytest.skip(f"gunicorn, Celery and RQ cannot be installed with uv here: {error}")
            (place / "complete").touch()
    return python
