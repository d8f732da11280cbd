"""Keeps failures of calls with an error, by the error, of minutes that are still open."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.arrays import I32
from models.messages import NO_ERRORS, Changes, ErrorTrials

_Key = tuple[int, int, str]
"""(group, minute, error)."""


class OpenErrors:
    """An error is free text, so only those of open minutes are remembered. Groups are codes of the group step."""

    def __init__(self, failed: Mapping[_Key, int] | None = None) -> None:
        """Start empty, or from a `state()`."""
        self._failed = dict(failed or {})

    def state(self) -> dict[_Key, int]:
        """Plain values; not a copy."""
        return self._failed

    def add(self, changes: Changes, code: I32) -> None:
        """Take in the rows of a message, of groups `code`."""
        part, failed = changes.failed, self._failed
        columns = (code, part.minute, part.error, part.count)
        for group, minute, error, count in zip(*(column.tolist() for column in columns), strict=True):
            key = (group, minute, changes.errors[error])
            failed[key] = failed.get(key, 0) + count

    def pop(self, through: int) -> tuple[list[str], ErrorTrials]:
        """Texts, ascending, and rows of minutes before `through`, which are forgotten."""
        closed = [(key, count) for key, count in self._failed.items() if key[1] < through and count]
        self._failed = {key: count for key, count in self._failed.items() if key[1] >= through}
        if not closed:
            return [], NO_ERRORS
        texts = sorted({text for (_, _, text), _ in closed})
        place = {text: at for at, text in enumerate(texts)}
        rows = [(code, minute, place[text], count) for (code, minute, text), count in closed]
        return texts, ErrorTrials(*np.array(rows, np.int32).T)
