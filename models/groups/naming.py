"""Decides which groups are counted by name, and which together: as `__other__` of their task type, or of all.

Three caps hold, each on the members of a *pool*: task types, groups of a task type, groups of all. Who comes is named
while there is room in its pools. Once a cap is reached those that come fold: groups into `__other__` of their task
type, task types as a whole into that of all. At the end of each hour of event time, in each pool, those that folded
there and have more calls in the last 24 hours than the least member take its place, if that is worth it. What changes
then holds for calls of hours that have not begun, so that a call is counted with one group for good, whenever its
verdict comes: the place of a call follows from its group and its hour.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.vocabulary import OTHER
from models.arrays import I32
from models.groups.heavy_hitters import HeavyHitters
from models.groups.members import EVER, TASKS, Members, Route, pools, task_of
from models.messages import Group

DAY_H: Final = 24
WORTH: Final = 10
"""Who takes a place has at least this part of the calls that a member has on average: 1 / `WORTH`."""
LEAST_CALLS: Final = 10
"""And so many calls in a day: ids of a few calls each never take the places of others that are gone. All that were
ever named cost memory, and nothing is found in fewer calls."""


class Caps(NamedTuple):
    """How many groups are named, over all and of a task type, and how many task types; each at least 1."""

    groups: int
    per_task: int
    tasks: int


class Folding(NamedTuple):
    """A cap was reached: that of a task type, of all (`OTHER`), or on task types (`TASKS`).

    `example`: the first group beyond it.
    """

    pool: str
    example: Group


class Naming:
    """Who is named. One for the whole dataflow.

    Memory: that of `Members`, and the `HeavyHitters` of each pool in which some fold.
    """

    def __init__(self, caps: Caps, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance; the caps hold from here on."""
        kept: dict[str, Any] = state or fresh()
        self._caps = caps
        self._members = Members(kept)
        self._reached: list[str] = list(kept["reached"])
        """Pools whose cap has held some back. Who has folded is not remembered, so that from then on a place in them is
        taken at the end of an hour alone."""
        self._folded = {pool: HeavyHitters(counts) for pool, counts in kept["folded"].items()}
        """Who folds in a pool."""
        self._newest: int = kept["newest"]
        """The newest hour with a call."""
        self._ended: int = kept["ended"]
        """Hours before this one have ended."""
        self._began: list[Folding] = []

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            **self._members.state(),
            "reached": self._reached,
            "folded": {pool: hitters.state() for pool, hitters in self._folded.items()},
            "newest": self._newest,
            "ended": self._ended,
        }

    def began(self) -> list[Folding]:
        """The caps that were reached since this was last asked."""
        began, self._began = self._began, []
        return began

    def route(self, name: Group) -> Route:
        """With which groups the calls of this one count. It is named if there is room."""
        if known := self._members.steady.get(name):
            return known.route
        if self._members.number(name) < 0:
            full = self._full_pool(name)
            if full is None:
                self._admit(name)
            elif full not in self._reached:
                self._reach(full, name)
        return self._members.route(name)

    @property
    def newest_hour(self) -> int:
        """The newest hour with a call."""
        return self._newest

    def count(self, names: list[Group], code: I32, hour: I32, calls: I32) -> None:
        """Calls that were accepted; `code` indexes `names`. Rows may repeat."""
        if not len(code):
            return
        self._newest = max(self._newest, int(hour.max()))
        numbers, of_tasks = self._members.numbers(names)
        number, of_task = numbers[code], of_tasks[code]
        for one in (number, of_task):
            named = one >= 0
            self._members.count(one[named], hour[named], calls[named])
        for at in np.flatnonzero(number < 0).tolist():
            name = names[code[at]]
            pool = self._pool(name)
            self._hitters(pool).add(task_of(name) if pool == TASKS else name, int(hour[at]), int(calls[at]))

    def end_hours(self, through: int) -> None:
        """Let those that folded take places of others at the ends of hours up to `through`, in turn."""
        if through <= self._ended:
            return
        before, self._ended = self._ended, through
        counted = {hour for hitters in self._folded.values() for hour in hitters.hours()}
        ends = {hour + later for hour in counted for later in range(1, DAY_H + 1)}
        for end in sorted(end for end in ends if before < end <= through):
            for pool in sorted(self._folded):
                self._take_places(pool, end)
        for hitters in self._folded.values():
            hitters.forget(through - DAY_H)
        self._members.forget(through - DAY_H)

    # Who comes

    def _cap(self, pool: str) -> int:
        return {TASKS: self._caps.tasks, OTHER: self._caps.groups}.get(pool, self._caps.per_task)

    def _has_task(self, name: Group) -> bool:
        return self._members.number(task_of(name)) >= 0

    def _full_pool(self, name: Group) -> str | None:
        """The first that has no room for one that comes; a new task type needs room for its group too."""
        for pool in pools(name) if self._has_task(name) else (TASKS, OTHER):
            if pool in self._reached or self._members.size(pool) >= self._cap(pool):
                return pool
        return None

    def _pool(self, name: Group) -> str:
        """Where it folds: as a part of its task type while this is not named, else where there is no room for it."""
        return (self._full_pool(name) or OTHER) if self._has_task(name) else TASKS

    def _admit(self, name: Group) -> None:
        """Of a task type that came later, groups are named from the same hour on: no call of theirs is as new."""
        if not self._has_task(name):
            self._members.enter(task_of(name), EVER)
        self._members.enter(name, self._members.since(self._members.number(task_of(name))))

    def _reach(self, pool: str, example: Group) -> None:
        self._reached.append(pool)
        self._began.append(Folding(pool, example))
        if OTHER in self._folded and pool not in self._folded:
            # The cap on all may have held back some groups of this task type before.
            self._folded[pool] = self._folded[OTHER].split(pool)

    def _hitters(self, pool: str) -> HeavyHitters:
        return self._folded.setdefault(pool, HeavyHitters())

    # Who takes whose place

    def _take_places(self, pool: str, end: int) -> None:
        """At the end of an hour; ties by name, as if all were ranked by calls."""
        for name in sorted(self._hitters(pool).calls(end - DAY_H, end)[0]):
            # The cap on all had held it back, and since then its task type has become full.
            full = self._pool(name)
            if full != pool and full not in self._reached:
                self._reach(full, name)
        folded, of_folded = self._hitters(pool).calls(end - DAY_H, end)
        if not folded:
            return
        members, names = self._members.of(pool), self._members.names
        calls = self._members.calls(end - DAY_H, end)
        rank = sorted(members, key=names.__getitem__, reverse=True)
        leaving = iter(sorted(rank, key=calls.__getitem__))
        worth = max(LEAST_CALLS, (int(calls[members].sum()) + of_folded) / (WORTH * max(len(members), 1)))
        hour = max(self._newest + 1, end)
        for name, count in sorted(folded.items(), key=lambda item: (-item[1], item[0])):
            if self._pool(name) != pool:
                continue
            if count < worth:
                return
            if not self._has_place(name):
                least = next(leaving, None)
                if least is None or calls[least] >= count:
                    return
                self._leave(least, hour)
            counts = self._hitters(pool).take(name)
            self._members.add(self._members.enter(name, hour), counts)

    def _has_place(self, name: Group) -> bool:
        """Where a cap was raised, or another one held it back."""
        return all(self._members.size(pool) < self._cap(pool) for pool in pools(name))

    def _leave(self, number: int, hour: int) -> None:
        """A task type takes its groups with it: from then on it is counted as a whole."""
        name = self._members.names[number]
        if name == task_of(name):
            for group in self._members.of(name[0]):
                self._members.leave(group, hour)
            self._folded.pop(name[0], None)
            if OTHER in self._folded:
                self._folded[OTHER].split(name[0])
        counts = self._members.leave(number, hour)
        hitters = self._hitters(self._pool(name))
        for one, calls in counts.items():
            hitters.add(name, one, calls)


def fresh() -> dict[str, Any]:
    """The state of one that has seen nothing."""
    return {"names": [], "turns": {}, "calls": {}, "reached": [], "folded": {}, "newest": EVER, "ended": EVER}
