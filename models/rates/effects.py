"""Design effects of rates: how far outcomes that share conversations tell less than as many independent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from models.arrays import F64, I64
from models.messages import AnyGroup

Effects = Mapping[AnyGroup, float]
"""Of groups and roll-ups, >= 1; 1 of those that have none."""
NO_EFFECTS: Final[Effects] = MappingProxyType({})


def of_groups(effects: Effects, names: Sequence[tuple[str, ...]]) -> F64:
    """Of the group (task_type, model, config) that each name begins with; shape (names,)."""
    return np.array([effects.get((name[0], name[1], name[2]), 1.0) for name in names], np.float64)


def of_tasks(effects: Effects, names: Sequence[tuple[str, ...]]) -> F64:
    """Of the task type of each name, over all its models; shape (names,)."""
    return np.array([effects.get((name[0], None, None), 1.0) for name in names], np.float64)


def of_windows(effect: F64, resolved: I64) -> F64:
    """Of windows, from those of their groups: whatever outcomes share, they are one at least. Shape (n,)."""
    return np.minimum(effect, np.maximum(resolved, 1))
