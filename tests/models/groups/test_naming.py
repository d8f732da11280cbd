"""Which groups are counted by name: against a slow reference that keeps every call, and with many groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.vocabulary import OTHER
from models import plain
from models.groups.members import EVER, TASKS, Route
from models.groups.naming import DAY_H, LEAST_CALLS, WORTH, Caps, Folding, Naming
from models.messages import Group

ALL = (OTHER, OTHER, OTHER)
GROUPS: list[Group] = [(task, "m", str(config)) for task in "abc" for config in range(4)]


def task_of(name: Group) -> Group:
    return (name[0], OTHER, OTHER)


@dataclass
class Reference:
    """Keeps every call, and a list of who is named from which hour on.

    A task type is a member like a group, of a pool of its own. A call is one of its task type and, while that is named,
    one of its group: where a task type loses its name, the calls of its groups are forgotten.
    """

    caps: Caps
    calls: list[tuple[Group, int, int]] = field(default_factory=list)
    named: dict[Group, list[int]] = field(default_factory=dict)
    full: list[str] = field(default_factory=list)
    newest: int = EVER
    ended: int = EVER

    def now(self) -> list[Group]:
        return [name for name, turns in self.named.items() if len(turns) % 2]

    def members(self, pool: str) -> list[Group]:
        """Of `TASKS` all task types, of `OTHER` all groups, else the groups of a task type."""
        if pool == TASKS:
            return [name for name in self.now() if name == task_of(name)]
        return [name for name in self.now() if name != task_of(name) and pool in (OTHER, name[0])]

    def has_room(self, pool: str) -> bool:
        most = {TASKS: self.caps.tasks, OTHER: self.caps.groups}.get(pool, self.caps.per_task)
        return len(self.members(pool)) < most

    def needs(self, name: Group) -> list[str]:
        """Room in these pools, to be named as it comes."""
        return [name[0], OTHER] if task_of(name) in self.now() else [TASKS, OTHER]

    def full_pools(self, name: Group) -> list[str]:
        return [pool for pool in self.needs(name) if pool in self.full or not self.has_room(pool)]

    def meet(self, name: Group) -> None:
        if name in self.now():
            return
        for pool in self.full_pools(name)[:1]:
            self.full += [pool] if pool not in self.full else []
            return
        if task_of(name) not in self.now():
            self.named[task_of(name)] = [EVER]
        self.named.setdefault(name, []).append(self.named[task_of(name)][-1])

    def count(self, name: Group, hour: int, calls: int) -> None:
        self.newest = max(self.newest, hour)
        self.calls.append((task_of(name), hour, calls))
        if task_of(name) in self.now():
            self.calls.append((name, hour, calls))

    def group_of(self, name: Group, hour: int) -> Group:
        """What the last turn at or before the hour says; a task type keeps its name."""
        turns = [turn for turn in self.named.get(name, []) if turn <= hour]
        if len(turns) % 2:
            return name
        return task_of(name) if self.named.get(task_of(name), [hour + 1])[0] <= hour else ALL

    def end_hours(self, through: int) -> None:
        if through <= self.ended:
            return
        before, self.ended = self.ended, through
        for end in range(max(before + 1, 0), through + 1):
            for pool in sorted({TASKS, *self.full}):
                self.take_places(pool, end)

    def folds_in(self, name: Group, pool: str) -> bool:
        """A task type in `TASKS`; a group where there is no room for it, first in its task type."""
        if name in self.now():
            return False
        if name == task_of(name):
            return pool == TASKS
        return task_of(name) in self.now() and [pool] == (self.full_pools(name) or [OTHER])[:1]

    def take_places(self, pool: str, end: int) -> None:
        count = Counter[Group]()
        for name, hour, calls in self.calls:
            count[name] += calls if end - DAY_H <= hour < end else 0
        if pool == OTHER:
            # Whose task type has become full since they folded here fold there from now on.
            self.full += {task for task in "abc" for name in count if count[name] and self.folds_in(name, task)} - {
                *self.full
            }
        members, folded = self.members(pool), [name for name in count if self.folds_in(name, pool)]
        worth = max(LEAST_CALLS, sum(count[name] for name in members + folded) / (WORTH * max(len(members), 1)))
        hour = max(end, self.newest + 1)
        members.sort(key=lambda name: (-count[name], name))
        for name in sorted(folded, key=lambda name: (-count[name], name)):
            if not self.folds_in(name, pool):
                continue
            if count[name] < worth:
                return
            if not all(map(self.has_room, [TASKS] if pool == TASKS else [name[0], OTHER])):
                if not members or count[members[-1]] >= count[name]:
                    return
                self.leave(members.pop(), hour)
            self.named.setdefault(name, []).append(hour)

    def leave(self, name: Group, hour: int) -> None:
        self.named[name].append(hour)
        if name == task_of(name):
            for group in self.members(name[0]):
                self.named[group].append(hour)
            self.calls = [call for call in self.calls if call[0] == name or call[0][0] != name[0]]


def at(route: Route, hour: int) -> Group:
    return [group for start, group in zip(route.hours, route.groups, strict=True) if start <= hour][-1]


CALLS = st.tuples(
    st.sampled_from(GROUPS), st.integers(0, 3), st.sampled_from([1, LEAST_CALLS, 2 * LEAST_CALLS, 30 * LEAST_CALLS])
)
BATCH = st.lists(CALLS, max_size=12)


@settings(max_examples=500)
@given(
    st.lists(st.tuples(BATCH, st.integers(0, 5)), max_size=12),
    st.builds(Caps, groups=st.integers(1, 8), per_task=st.integers(1, 4), tasks=st.integers(1, 3)),
)
def test_groups_are_named_as_by_the_reference(
    batches: list[tuple[list[tuple[Group, int, int]], int]], caps: Caps
) -> None:
    """Restarted at each batch; each call is asked for again at the end, where it counts as when it came."""
    clock, naming, reference, counted = 0, Naming(caps), Reference(caps), dict[tuple[Group, int], Group]()
    for batch, passed in batches:
        naming = Naming(caps, plain.unpack(plain.pack(naming.state())))
        calls = [(name, clock + ahead, count) for name, ahead, count in batch]
        for name, hour, _ in calls:
            reference.meet(name)
            assert at(naming.route(name), hour) == reference.group_of(name, hour)
            counted.setdefault((name, hour), reference.group_of(name, hour))
        for call in calls:
            reference.count(*call)
        hours, counts = (np.array([call[field] for call in calls], np.int32) for field in (1, 2))
        naming.count([name for name, _, _ in calls], np.arange(len(calls), dtype=np.int32), hours, counts)
        clock += passed
        naming.end_hours(clock)
        reference.end_hours(clock)
        for pool, most in ((TASKS, caps.tasks), (OTHER, caps.groups), *((task, caps.per_task) for task in "abc")):
            assert len(reference.members(pool)) <= most
    assert {key: at(naming.route(key[0]), key[1]) for key in counted} == counted


def test_the_busiest_of_very_many_are_named_within_a_day_and_nothing_grows() -> None:
    """100,000 configs of a call each, then three that carry 90 % of the traffic."""
    caps, per_hour, naming = Caps(100_000, 2_000, 1_000), 5_000, Naming(Caps(100_000, 2_000, 1_000))
    busy: list[Group] = [("t", "m", f"zz-busy-{number}") for number in range(3)]
    began: list[Folding] = []
    largest = 0
    for hour in range(20 + DAY_H):
        ids: list[Group] = [("t", "m", f"{per_hour * hour + number:06}") for number in range(per_hour)]
        names = ids if hour < 20 else [*busy, *ids[:1_666]]
        calls = np.array([1] * per_hour if hour < 20 else [5_000] * 3 + [1] * 1_666, np.int32)
        for name in names:
            naming.route(name)
        naming.count(names, np.arange(len(names), dtype=np.int32), np.full(len(names), hour, np.int32), calls)
        naming.end_hours(hour)
        began += naming.began()
        largest = max(largest, len(plain.pack(naming.state())))
        if hour == 22:
            assert [at(naming.route(name), hour) for name in busy] == busy
    assert began == [Folding("t", ("t", "m", "002000"))]
    assert [at(naming.route(name), hour) for name in busy] == busy
    assert len(set(naming.state()["names"])) <= 1 + caps.per_task + 3
    assert largest < 1_500_000


def test_the_busiest_task_type_of_very_many_is_named_within_a_day_and_nothing_grows() -> None:
    """20,000 task types of up to `LEAST_CALLS` - 1 calls, then one with a tenth of the traffic, in three configs."""
    caps, per_hour = Caps(100_000, 2, 100), 1_000
    naming, began, sizes = Naming(caps), list[Folding](), list[int]()
    busy: list[Group] = [("zz-busy", "m", config) for config in "abc"]
    for hour in range(20 + DAY_H):
        ids: list[Group] = [(f"{per_hour * hour + number:06}", "m", "c") for number in range(per_hour)]
        names = ids if hour < 20 else [*ids, *busy]
        calls = [number % LEAST_CALLS or 1 for number in range(per_hour)] + [200] * 3
        for name in names:
            naming.route(name)
        naming.count(
            names, np.arange(len(names), dtype=np.int32), np.full(len(names), hour, np.int32),
            np.array(calls[: len(names)], np.int32),
        )  # fmt: skip
        naming.end_hours(hour + 1)
        began += naming.began()
        sizes.append(len(plain.pack(naming.state())))
    assert began == [Folding(TASKS, ("000100", "m", "c")), Folding("zz-busy", busy[2])]
    assert [at(naming.route(name), hour) for name in busy] == [*busy[:2], task_of(busy[2])]
    assert at(naming.route(busy[0]), 20) == ALL, "a call stays where it was counted"
    left = ("000091", "m", "c")
    assert (at(naming.route(left), hour), at(naming.route(left), 0)) == (task_of(left), left), "it keeps its history"
    assert len(naming.state()["names"]) == 2 * caps.tasks + 1 + 2
    assert max(sizes) < 1_500_000


def test_ids_of_a_few_calls_do_not_take_the_places_of_others_that_are_gone() -> None:
    """Each would cost memory for good."""
    naming = Naming(Caps(100_000, 100, 100))
    for hour in range(4 * DAY_H):
        names: list[Group] = [(f"{hour}-{number}", "m", "c") for number in range(10)]
        for name in names:
            naming.route(name)
        calls = np.full(len(names), LEAST_CALLS - 1, np.int32)
        naming.count(names, np.arange(len(names), dtype=np.int32), np.full(len(names), hour, np.int32), calls)
        naming.end_hours(hour + 1)
    assert len(naming.state()["names"]) == 2 * 100


def test_configs_of_a_named_task_type_are_named_at_once_while_task_types_fold() -> None:
    naming = Naming(Caps(9, 3, 1))
    first, second, late = ("a", "m", "0"), ("a", "m", "1"), ("b", "m", "0")
    assert [at(naming.route(name), 0) for name in (first, late, second)] == [first, ALL, second]
    assert naming.began() == [Folding(TASKS, late)]


def test_a_task_type_that_is_back_has_its_groups_back_and_what_lies_between_stays_where_it_was() -> None:
    naming = Naming(Caps(9, 3, 1))
    a, b, more = ("a", "m", "0"), ("b", "m", "0"), ("a", "m", "1")
    for hour, calls in enumerate([{a: 10, b: 10}, {b: 20}, {a: 50, b: 10}]):
        for name in calls:
            naming.route(name)
        code, counts = np.arange(len(calls), dtype=np.int32), np.array(list(calls.values()), np.int32)
        naming.count(list(calls), code, np.full(len(calls), hour, np.int32), counts)
        naming.end_hours(hour + 1)
    assert [at(naming.route(a), hour) for hour in range(4)] == [a, a, task_of(a), a]
    assert [at(naming.route(more), hour) for hour in range(4)] == [*[task_of(a)] * 3, more]
    assert [at(naming.route(b), hour) for hour in range(4)] == [ALL, ALL, b, task_of(b)]
