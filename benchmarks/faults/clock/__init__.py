"""Processes whose wall clock is wrong, by as much as a file has; the clock of the machine stays as it is."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.kill_process import ROOT


class WrongClock:
    """A clock that may be set while processes run."""

    def __init__(self, file: Path) -> None:
        """`file`: where the processes look."""
        self._file = file
        self.set(0)

    def set(self, ahead_s: float) -> None:
        """From now on, within a tenth of a second, it is ahead by so much; behind, if that is negative."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(str(ahead_s))
        draft.replace(self._file)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process with this clock."""
        path = os.pathsep.join(map(str, (Path(__file__).parent, ROOT, ROOT / "sdk")))
        return {"WRONG_CLOCK": str(self._file), "PYTHONPATH": path}
