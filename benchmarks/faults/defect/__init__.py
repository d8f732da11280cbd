"""Processes in which one function of ours fails by a defect, or stands still."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.kill_process import ROOT


def with_defect(place: str, error: str) -> dict[str, str]:
    """The variables of a process in which the function at `place` fails.

    Args:
        place: `MODULE:FUNCTION@CALL`; it fails at this call, and at all later ones.
        error: name of a builtin exception, or `SIGSTOP`: the process stops when this call has ended.
    """
    function, _, call = place.partition("@")
    path = os.pathsep.join(map(str, (Path(__file__).parent, ROOT, ROOT / "sdk")))
    return {"DEFECT": f"{function}={error}@{call}", "PYTHONPATH": path}
