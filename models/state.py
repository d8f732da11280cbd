"""State that outlives a process: a pickled dict of plain values and arrays, with a version."""

from __future__ import annotations

import pickle
from typing import Any


class StateError(ValueError):
    """Stored state cannot be read by this program; its text is one sentence for the user."""


def unpack(state: bytes, step: str, version: int) -> dict[str, Any]:
    """Read the stored state of a step.

    Raises:
        StateError: another version wrote it.
    """
    kept: dict[str, Any] = pickle.loads(state)
    if kept.get("version") != version:
        msg = (
            f"step {step!r}: stored state must have version {version}; got {kept.get('version')!r} "
            "(start afresh with an empty --out, or run the release that wrote it)"
        )
        raise StateError(msg)
    return kept
