"""Decides which groups are counted by name, and which together as `__other__` of their task type.

Groups are named as they come, until a cap is reached: that of their task type, or the one on all groups. From then on
those that come fold. At the end of each hour of event time folded groups with more calls in the last 24 hours than the
least named one take its place. What changes then holds for calls of hours that have not begun, so that a call is
counted with one group for good, whenever its verdict comes: the place of a call follows from its group and its hour.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.vocabulary import OTHER
from models.arrays import I32, I64, Bools
from models.groups.heavy_hitters import HeavyHitters
from models.messages import Group

DAY_H: Final = 24
EVER: Final = -(2**31)
"""The hour from which on those are named that came first."""
WORTH: Final = 10
"""A group that takes a place has at least this part of the calls that a named one has on average: 1 / `WORTH`."""
_ALL: Final = (OTHER, OTHER, OTHER)


class Caps(NamedTuple):
    """How many groups are named, over all and of a task type; both at least 1."""

    groups: int
    per_task: int


class Folding(NamedTuple):
    """A cap was reached: that of a task type, or of all (`OTHER`). `example`: the first group beyond it."""

    task: str
    example: Group


class Route(NamedTuple):
    """With which group calls of some group count: those of hours from `hours[i]` on with `groups[i]`, ascending."""

    hours: list[int]
    groups: list[Group]


class Naming:
    """Who is named. One for the whole dataflow.

    Memory: about 400 bytes per named group, also one that has left, and the `HeavyHitters` of each cap that is reached.
    """

    def __init__(self, caps: Caps, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance; the caps hold from here on."""
        kept: dict[str, Any] = state or fresh()
        self._caps = caps
        self._names: list[Group] = list(kept["names"])
        """All that were ever named; their place here is their number."""
        self._turns = {number: list(hours) for number, hours in kept["turns"].items()}
        """Of those that came later or left: the hours from which on they were named, and were not, in turn."""
        self._tasks: dict[str, int] = kept["tasks"]
        """Task types of named groups, and the first hour whose folded calls are counted with them."""
        self._folded = {pool: HeavyHitters(counts) for pool, counts in kept["folded"].items()}
        """By task type, and `OTHER` for all, where the cap was reached: who has folded there."""
        self._calls: dict[int, I32] = kept["calls"]
        """By hour: calls of named groups, by number."""
        self._newest: int = kept["newest"]
        """The newest hour with a call."""
        self._ended: int = kept["ended"]
        """Hours before this one have ended."""
        self._number = {name: number for number, name in enumerate(self._names)}
        self._named = [len(self._turns.get(number, (EVER,))) % 2 == 1 for number in range(len(self._names))]
        self._size: dict[str, int] = {}
        for name, named in zip(self._names, self._named, strict=True):
            self._size[name[0]] = self._size.get(name[0], 0) + named
        self._sum = sum(self._size.values())
        self._began: list[Folding] = []

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "names": self._names,
            "turns": self._turns,
            "tasks": self._tasks,
            "folded": {pool: hitters.state() for pool, hitters in self._folded.items()},
            "calls": self._calls,
            "newest": self._newest,
            "ended": self._ended,
        }

    def began(self) -> list[Folding]:
        """The caps that were reached since this was last asked."""
        began, self._began = self._began, []
        return began

    def route(self, name: Group) -> Route:
        """With which groups the calls of this one count. One that is new is named if there is room."""
        number = self._number.get(name)
        if number is None and self._has_room(name[0]):
            number = self._enter(name, EVER)
        if number is None:
            self._hitters(name)
            return self._of_folded(name[0])
        if number not in self._turns:
            return Route([EVER], [name])
        turns, folded = self._turns[number], self._of_folded(name[0])
        hours = sorted({*turns, *folded.hours})
        return Route(hours, [name if _odd(turns, hour) else _at(folded, hour) for hour in hours])

    @property
    def newest_hour(self) -> int:
        """The newest hour with a call."""
        return self._newest

    def count(self, names: list[Group], code: I32, hour: I32, calls: I32) -> None:
        """Calls that were accepted; `code` indexes `names`. Rows may repeat."""
        if not len(code):
            return
        self._newest = max(self._newest, int(hour.max()))
        number = np.fromiter((self._place(name) for name in names), np.int64, len(names))
        named = number[code] >= 0
        for one in np.unique(hour[named]).tolist():
            of_hour = named & (hour == one)
            np.add.at(self._calls_of(one), number[code[of_hour]], calls[of_hour])
        for at in np.flatnonzero(~named).tolist():
            name = names[code[at]]
            self._hitters(name).add(name, int(hour[at]), int(calls[at]))

    def end_hours(self, through: int) -> None:
        """Let groups take places of others at the ends of hours up to `through`, in turn."""
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
        self._calls = {hour: calls for hour, calls in self._calls.items() if hour >= through - DAY_H}

    # Who is in

    def _has_room(self, task: str) -> bool:
        """Who has folded is not remembered, so after that a place is taken only by who is worth it."""
        full = self._sum >= self._caps.groups or self._size.get(task, 0) >= self._caps.per_task
        return not full and task not in self._folded and OTHER not in self._folded

    def _pool(self, task: str) -> str:
        """Whose cap holds back a group of this task type."""
        return task if task in self._folded or self._size.get(task, 0) >= self._caps.per_task else OTHER

    def _hitters(self, name: Group) -> HeavyHitters:
        """Those with which it folds."""
        pool = self._pool(name[0])
        if pool not in self._folded:
            # The cap on all may have held some of them back before.
            self._folded[pool] = self._folded[OTHER].split(pool) if OTHER in self._folded else HeavyHitters()
            self._began.append(Folding(pool, name))
        return self._folded[pool]

    def _place(self, name: Group) -> int:
        """Its number if it is named now, else -1."""
        number = self._number.get(name, -1)
        return number if number >= 0 and self._named[number] else -1

    def _of_folded(self, task: str) -> Route:
        since = self._tasks.get(task)
        if since is None:
            return Route([EVER], [_ALL])
        of_task = (task, OTHER, OTHER)
        return Route([EVER], [of_task]) if since == EVER else Route([EVER, since], [_ALL, of_task])

    def _enter(self, name: Group, hour: int) -> int:
        number = self._number.get(name)
        if number is None:
            number = self._number[name] = len(self._names)
            self._names.append(name)
            self._named.append(True)
            if hour != EVER:
                self._turns[number] = [hour]
        else:
            self._named[number] = True
            self._turns[number].append(hour)
        self._tasks.setdefault(name[0], hour)
        self._size[name[0]] = self._size.get(name[0], 0) + 1
        self._sum += 1
        return number

    def _leave(self, number: int, hour: int) -> None:
        self._named[number] = False
        self._turns.setdefault(number, [EVER]).append(hour)
        self._size[self._names[number][0]] -= 1
        self._sum -= 1

    # Who takes whose place

    def _take_places(self, pool: str, end: int) -> None:
        """At the end of an hour; ties by name, as if all were ranked by calls."""
        folded, of_folded = self._folded[pool].calls(end - DAY_H, end)
        if not folded:
            return
        members = self._members(pool)
        calls = self._calls_between(end - DAY_H, end)[members]
        rank = sorted(range(len(members)), key=lambda at: self._names[members[at]], reverse=True)
        leaving = iter(sorted(rank, key=calls.__getitem__))
        worth = (int(calls.sum()) + of_folded) / (WORTH * max(len(members), 1))
        hour = max(self._newest + 1, end)
        for name, count in sorted(folded.items(), key=lambda item: (-item[1], item[0])):
            if pool == OTHER and self._pool(name[0]) != OTHER:
                continue
            if count < worth:
                return
            if not self._has_place(pool):
                least = next(leaving, None)
                if least is None or calls[least] >= count:
                    return
                self._leave(int(members[least]), hour)
                self._move_to_folded(int(members[least]))
            self._move_to_named(self._enter(name, hour), pool)

    def _has_place(self, pool: str) -> bool:
        """Where a cap was raised."""
        return self._sum < self._caps.groups and (pool == OTHER or self._size.get(pool, 0) < self._caps.per_task)

    def _members(self, pool: str) -> I64:
        named: Bools = np.array(self._named, np.bool_)
        if pool != OTHER:
            named &= np.fromiter((name[0] == pool for name in self._names), np.bool_, len(self._names))
        return np.flatnonzero(named)

    # Their calls

    def _calls_of(self, hour: int) -> I32:
        """Of named groups, by number; may be written to."""
        calls = self._calls.get(hour, np.zeros(0, np.int32))
        if len(calls) < len(self._names):
            calls = self._calls[hour] = np.concatenate((calls, np.zeros(len(self._names) - len(calls), np.int32)))
        return calls

    def _calls_between(self, first: int, end: int) -> I64:
        calls = np.zeros(len(self._names), np.int64)
        for hour, of_hour in self._calls.items():
            if first <= hour < end:
                calls[: len(of_hour)] += of_hour
        return calls

    def _move_to_folded(self, number: int) -> None:
        name = self._names[number]
        hitters = self._hitters(name)
        for hour, calls in self._calls.items():
            if number < len(calls) and calls[number]:
                hitters.add(name, hour, int(calls[number]))
                calls[number] = 0

    def _move_to_named(self, number: int, pool: str) -> None:
        for hour, count in self._folded[pool].take(self._names[number]).items():
            self._calls_of(hour)[number] += count


def fresh() -> dict[str, Any]:
    """The state of one that has seen nothing."""
    return {"names": [], "turns": {}, "tasks": {}, "folded": {}, "calls": {}, "newest": EVER, "ended": EVER}


def _odd(turns: list[int], hour: int) -> bool:
    return bisect_right(turns, hour) % 2 == 1


def _at(route: Route, hour: int) -> Group:
    return route.groups[bisect_right(route.hours, hour) - 1]
