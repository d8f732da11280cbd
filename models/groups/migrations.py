"""Makes states of earlier versions ones of the present."""

from __future__ import annotations

from typing import Any, Final

from aftercall.times import HOUR_US, MINUTES_PER_QUARTER
from aftercall.vocabulary import OTHER
from models.groups.heavy_hitters import HeavyHitters
from models.groups.members import EVER, TASKS, Members, task_of
from models.groups.usual_lateness import UsualLateness
from models.messages import TrialDeltas
from models.side_messages import DatedTrials

AHEAD_H: Final = 3
"""The newest call of a state is taken to be so far ahead of the clocks, as it was not kept."""


def as_of_their_minutes(trials: list[TrialDeltas]) -> list[DatedTrials]:
    """Before trials were dated by their calls: those of open minutes are taken to be of calls of these minutes."""
    return [DatedTrials(part.code, part.minute, part.minute // MINUTES_PER_QUARTER, *part[4:]) for part in trials]


def with_naming(state: dict[str, Any]) -> dict[str, Any]:
    """Version 4 has one cap, and who folded stayed folded."""
    kept = {key: value for key, value in state.items() if key not in ("admitted", "tasks", "folding")}
    clock = max(state["clocks"].values(), default=None)
    naming = {
        "names": [name for name in state["codes"] if name[1:] != (OTHER, OTHER)],
        "turns": {},
        "tasks": dict.fromkeys(state["tasks"], EVER),
        "folded": {OTHER: HeavyHitters().state()} if state["folding"] else {},
        "calls": {},
        "newest": EVER if clock is None else clock // HOUR_US + AHEAD_H,
        "ended": EVER,
    }
    return kept | {"naming": naming}


def with_task_types(state: dict[str, Any]) -> dict[str, Any]:
    """Version 5 has no cap on task types: they are no members, and those that are not named fold group by group."""
    naming = dict(state["naming"])
    members, groups, tasks = Members(naming), len(naming["names"]), naming.pop("tasks")
    number = {task: members.enter((task, OTHER, OTHER), hour) for task, hour in tasks.items()}
    for hour in list(naming["calls"]):
        for name, calls in zip(members.names[:groups], members.calls(hour, hour + 1).tolist(), strict=False):
            members.add(number[name[0]], {hour: calls})
    folded = {pool: HeavyHitters(kept) for pool, kept in naming["folded"].items()}
    whole = HeavyHitters()
    for hitters in folded.values():
        for name, hour, calls in list(hitters.rows()):
            if name[0] in number:
                members.add(number[name[0]], {hour: calls})
            else:
                whole.add(task_of(name), hour, calls)
    if OTHER in folded:
        for name, _, _ in list(whole.rows()):
            folded[OTHER].split(name[0])
        folded[TASKS] = whole
    naming |= members.state() | {
        "reached": [pool for pool in folded if pool != TASKS],
        "folded": {pool: hitters.state() for pool, hitters in folded.items()},
    }
    return state | {"naming": naming}


def with_attempts(state: dict[str, Any]) -> dict[str, Any]:
    """Version 6 knew no attempts."""
    return state | {"attempts": []}


def with_units(state: dict[str, Any]) -> dict[str, Any]:
    """Version 8 knew no units of evidence: each call of its open minutes is one alone."""
    return state | {"units": []}


def with_facets(state: dict[str, Any]) -> dict[str, Any]:
    """Version 9 knew no facets of calls."""
    return state | {"facets": []}


def with_lateness(state: dict[str, Any]) -> dict[str, Any]:
    """Version 7 did not know how late calls come; what lies in its open minutes counts as having come in time."""
    groups = UsualLateness()
    groups.grow(len(state["codes"]))
    return state | {"lateness": groups.state(), "came_late": {}}
