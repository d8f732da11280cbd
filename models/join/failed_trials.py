"""Counts the trials of one batch that are failures of calls with an error, by the error."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import I32
from models.messages import ErrorTrials

ERROR_LENGTH: Final = 80
"""Errors that agree in this many characters count as one."""


class FailedTrials:
    """Gained or withdrawn, per (code of the group, effective minute, hour of the call, error)."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int, int, str], int] = {}

    def add(self, code: int, minute: int, hour: int, error: str, count: int) -> None:
        """So many trials, negative where they are withdrawn."""
        key = (code, minute, hour, error_text(error))
        self._counts[key] = self._counts.get(key, 0) + count

    def table(self) -> tuple[tuple[str, ...], I32, ErrorTrials]:
        """The errors, the calls' hours, and the rows."""
        counts = sorted((key, count) for key, count in self._counts.items() if count)
        place: dict[str, int] = {}
        rows = [(code, minute, hour, place.setdefault(text, len(place)), n) for (code, minute, hour, text), n in counts]
        code, minute, hour, error, count = np.array(rows, np.int32).reshape(-1, 5).T
        return tuple(place), hour, ErrorTrials(code, minute, error, count)


def error_text(error: str) -> str:
    """The part of an error that counts: the beginning of its first line that is not empty."""
    return error.strip().partition("\n")[0].rstrip()[:ERROR_LENGTH]
