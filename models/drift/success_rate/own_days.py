"""Days of evidence begin at another hour for each group, so that no hour is the best or the worst to fail in."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from models.messages import AnyGroup
from models.stats.dispersion import NO_DAY


def opens_of(group: AnyGroup) -> int:
    """Quarter of the UTC day with which a group's own days begin: by its name, so that restarts change nothing.

    >>> opens_of(("triage", "m", None)), opens_of(("triage", "m", "v1"))
    (1, 2)
    """
    return zlib.crc32("\x1f".join(part or "" for part in group).encode()) % 4


def with_own_days(state: dict[str, Any]) -> dict[str, Any]:
    """The stored state of the detector, where it is from before decision 0029: own days begin with the next trial.

    What the present day has shown against the baseline is not carried over: it was of the UTC day.
    """
    kept = state["dispersion"]
    if kept is None or "opens" in kept:
        return state
    groups = len(kept["rho_day"])
    days = {
        "opens": np.array([opens_of(group) for group in state["watches"]["groups"]], np.float64),
        "own_day": np.full(groups, NO_DAY),
        "own_trials": np.zeros(groups),
        "own_rho": kept["rho_day"].copy(),
    }
    return state | {"today": np.zeros_like(state["today"]), "dispersion": kept | days}
