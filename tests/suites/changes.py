"""A large state, and what changes put back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from models import plain
from models.changes import Tracker, merged


def put_back(stored: bytes, changed: Iterable[bytes]) -> Any:
    return merged(plain.unpack(stored), [plain.unpack(change) for change in changed])


def change_between(before: Any, after: Any) -> Any:
    """The change, once it is known that it puts `after` back."""
    change = Tracker(before).changes(after)
    assert plain.pack(put_back(plain.pack(before), [plain.pack(change)])) == plain.pack(after)
    return change


def large() -> dict[str, Any]:
    """Of two megabytes."""
    return {
        "rows": np.zeros((4, 20_000), np.int32),
        "groups": np.zeros((5000, 20), order="F"),
        "sums": np.arange(100_000),
        "foreign": np.arange(50, dtype=">i8"),
        "names": [(f"task-{number}", "model", number) for number in range(5000)],
        "codes": {f"task-{number}": number for number in range(5000)},
        "hours": [(number, np.full(50, number)) for number in range(100)],
        "tasks": {f"task-{number}": {"counts": np.zeros(50), "seen": number} for number in range(50)},
    }
