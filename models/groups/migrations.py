"""Makes states of earlier versions ones of the present."""

from __future__ import annotations

from typing import Any, Final

from aftercall.times import HOUR_US
from aftercall.vocabulary import OTHER
from models.groups.heavy_hitters import HeavyHitters
from models.groups.naming import EVER, fresh

AHEAD_H: Final = 3
"""The newest call of a state is taken to be so far ahead of the clocks, as it was not kept."""


def with_naming(state: dict[str, Any]) -> dict[str, Any]:
    """Version 4 has one cap, and who folded stayed folded."""
    kept = {key: value for key, value in state.items() if key not in ("admitted", "tasks", "folding")}
    clock = max(state["clocks"].values(), default=None)
    naming = fresh() | {
        "names": [name for name in state["codes"] if name[1:] != (OTHER, OTHER)],
        "tasks": dict.fromkeys(state["tasks"], EVER),
        "folded": {OTHER: HeavyHitters().state()} if state["folding"] else {},
    }
    if clock is not None:
        naming["newest"] = clock // HOUR_US + AHEAD_H
    return kept | {"naming": naming}
