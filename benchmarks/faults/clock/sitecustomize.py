"""Sets the wall clock of every process whose PYTHONPATH has this folder first: a host whose clock is wrong.

The variable WRONG_CLOCK names a file with the seconds by which `time.time` and `time.time_ns` are ahead; it may change.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.05


class Shift:
    """The seconds in a file, looked up again when they are older than `_LOOK_S`."""

    def __init__(self, file: Path) -> None:
        self._file, self._at, self._shift_s = file, float("-inf"), 0.0

    def __call__(self) -> float:
        """The seconds, at most `_LOOK_S` old."""
        if time.monotonic() - self._at >= _LOOK_S:
            self._shift_s = float(self._file.read_text())
            self._at = time.monotonic()
        return self._shift_s


if WRONG_CLOCK := os.environ.get("WRONG_CLOCK"):
    _shift, _time, _time_ns = Shift(Path(WRONG_CLOCK)), time.time, time.time_ns
    time.time = lambda: _time() + _shift()
    time.time_ns = lambda: _time_ns() + int(_shift() * 1e9)
