"""Keeps who is counted by name, in which hours, and with how many calls in the last ones: groups, and task types.

A task type is a name like a group's, `(task, OTHER, OTHER)`, under which those of its groups count that are not named.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.vocabulary import EVERY_TASK, OTHER
from models.arrays import I32, I64
from models.groups.heavy_hitters import Hourly
from models.messages import Group

EVER: Final = -(2**31)
"""The hour from which on those are named that came first."""
TASKS: Final = EVERY_TASK
"""The pool of task types."""
_ALL: Final = (OTHER, OTHER, OTHER)


class Route(NamedTuple):
    """With which group calls of some group count: those of hours from `hours[i]` on with `groups[i]`, ascending."""

    hours: list[int]
    groups: list[Group]


class Steady(NamedTuple):
    """Its route, its number, and that of its task type."""

    route: Route
    number: int
    task: int


def task_of(name: Group) -> Group:
    """The name of its task type; that of a task type is its own."""
    return name[0], OTHER, OTHER


def pools(name: Group) -> tuple[str, ...]:
    """Where it takes a place: a task type in `TASKS`, a group in that of its task type and in `OTHER`, that of all."""
    return (TASKS,) if name == task_of(name) else (name[0], OTHER)


class Members:
    """All that were ever named; their place in the list is their number. About 400 bytes each."""

    def __init__(self, state: dict[str, Any]) -> None:
        """`state`: the `state()` of another instance, or of one that has seen nothing."""
        self.names: list[Group] = list(state["names"])
        self._turns: dict[int, list[int]] = {number: list(hours) for number, hours in state["turns"].items()}
        """Of those that came later or left: the hours from which on they were named, and were not, in turn."""
        self._calls: dict[int, I32] = state["calls"]
        """By hour: calls of those that are named, by number."""
        self._number = {name: number for number, name in enumerate(self.names)}
        self._named = [len(self._turns.get(number, (EVER,))) % 2 == 1 for number in range(len(self.names))]
        self.steady: dict[Group, Steady] = {}
        """Of those that were looked up and, like their task types, were always named. Messages of all shards name the
        same groups again and again."""
        self._of: dict[str, list[int]] = {}
        self._size: dict[str, int] = {}
        for number, (name, named) in enumerate(zip(self.names, self._named, strict=True)):
            for pool in pools(name):
                self._of.setdefault(pool, []).append(number)
                self._size[pool] = self._size.get(pool, 0) + named

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"names": self.names, "turns": self._turns, "calls": self._calls}

    def number(self, name: Group) -> int:
        """-1 where it is not named now."""
        number = self._number.get(name, -1)
        return number if number >= 0 and self._named[number] else -1

    def numbers(self, names: list[Group]) -> tuple[I64, I64]:
        """The numbers of groups, and of their task types; -1 where one is not named now."""
        steady = self.steady.get
        pairs = [(known.number, known.task) if (known := steady(name)) else self._pair(name) for name in names]
        number, task = np.array(pairs, np.int64).reshape(-1, 2).T
        return number, task

    def _pair(self, name: Group) -> tuple[int, int]:
        return self.number(name), self.number(task_of(name))

    def of(self, pool: str) -> list[int]:
        """Those that are named now."""
        return [number for number in self._of.get(pool, ()) if self._named[number]]

    def size(self, pool: str) -> int:
        """How many are named now."""
        return self._size.get(pool, 0)

    def since(self, number: int) -> int:
        """The hour from which on it is what it is now: named, or not."""
        return self._turns.get(number, [EVER])[-1]

    def route(self, name: Group) -> Route:
        """With which groups its calls count."""
        number = self._number.get(name)
        if number is None:
            return self._of_folded(name)
        if number not in self._turns:
            route, task = Route([EVER], [name]), self._number.get(task_of(name), -1)
            if self._named[number] and task >= 0 and task not in self._turns:
                self.steady[name] = Steady(route, number, task)
            return route
        turns, folded = self._turns[number], self._of_folded(name)
        hours = sorted({*turns, *folded.hours})
        return Route(hours, [name if _odd(turns, hour) else _at(folded, hour) for hour in hours])

    def _of_folded(self, name: Group) -> Route:
        """Its task type keeps its name also where others have taken its place."""
        task = task_of(name)
        number = self._number.get(task)
        if number is None:
            return Route([EVER], [_ALL])
        since = self._turns.get(number, [EVER])[0]
        return Route([EVER], [task]) if since == EVER else Route([EVER, since], [_ALL, task])

    def enter(self, name: Group, hour: int) -> int:
        """Name it from this hour on; its number."""
        number = self._number.get(name)
        if number is None:
            number = self._number[name] = len(self.names)
            self.names.append(name)
            self._named.append(True)
            for pool in pools(name):
                self._of.setdefault(pool, []).append(number)
        self._named[number] = True
        if hour != EVER:
            self._turns.setdefault(number, []).append(hour)
        for pool in pools(name):
            self._size[pool] = self._size.get(pool, 0) + 1
        return number

    def leave(self, number: int, hour: int) -> Hourly:
        """Name it no longer from this hour on; its calls, which are no longer kept here."""
        self._named[number] = False
        self.steady.clear()
        self._turns.setdefault(number, [EVER]).append(hour)
        for pool in pools(self.names[number]):
            self._size[pool] -= 1
        taken = {}
        for one, calls in self._calls.items():
            if number < len(calls) and calls[number]:
                taken[one], calls[number] = int(calls[number]), 0
        return taken

    def count(self, number: I64, hour: I32, calls: I32) -> None:
        """Calls of members, by number; rows may repeat."""
        for one in np.unique(hour).tolist():
            of_hour = hour == one
            np.add.at(self._calls_of(one), number[of_hour], calls[of_hour])

    def add(self, number: int, hourly: Hourly) -> None:
        """Calls of one."""
        for hour, calls in hourly.items():
            self._calls_of(hour)[number] += calls

    def calls(self, first: int, end: int) -> I64:
        """Of the hours `first` to `end` - 1, by number."""
        found = np.zeros(len(self.names), np.int64)
        for hour, calls in self._calls.items():
            if first <= hour < end:
                found[: len(calls)] += calls
        return found

    def forget(self, before: int) -> None:
        """Drop the calls of hours before this one."""
        self._calls = {hour: calls for hour, calls in self._calls.items() if hour >= before}

    def _calls_of(self, hour: int) -> I32:
        """By number; may be written to."""
        calls = self._calls.get(hour, np.zeros(0, np.int32))
        if len(calls) < len(self.names):
            calls = self._calls[hour] = np.concatenate((calls, np.zeros(len(self.names) - len(calls), np.int32)))
        return calls


def _odd(turns: list[int], hour: int) -> bool:
    return bisect_right(turns, hour) % 2 == 1


def _at(route: Route, hour: int) -> Group:
    return route.groups[bisect_right(route.hours, hour) - 1]
