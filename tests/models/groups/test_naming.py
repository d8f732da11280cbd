"""Which groups are counted by name: against a slow reference that keeps every call, and with many groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.vocabulary import OTHER
from models import plain
from models.groups.naming import DAY_H, EVER, WORTH, Caps, Folding, Naming, Route
from models.messages import Group

ALL = (OTHER, OTHER, OTHER)
GROUPS: list[Group] = [(task, "m", str(config)) for task in "ab" for config in range(5)]


@dataclass
class Reference:
    """Keeps every call, and a list of who is named from which hour on."""

    caps: Caps
    calls: list[tuple[Group, int]] = field(default_factory=list)
    named: dict[Group, list[int]] = field(default_factory=dict)
    tasks: dict[str, int] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    ended: int = EVER

    def sizes(self) -> Counter[str]:
        return Counter(name[0] for name in self.now())

    def now(self) -> list[Group]:
        return [name for name, turns in self.named.items() if len(turns) % 2]

    def pool(self, task: str) -> str:
        return task if task in self.full or self.sizes()[task] >= self.caps.per_task else OTHER

    def meet(self, name: Group) -> None:
        if name in self.named:
            return
        room = len(self.now()) < self.caps.groups and self.sizes()[name[0]] < self.caps.per_task
        if room and not {name[0], OTHER} & self.full:
            self.named[name] = [EVER]
            self.tasks.setdefault(name[0], EVER)
        else:
            self.full.add(self.pool(name[0]))

    def group_of(self, name: Group, hour: int) -> Group:
        """What the last turn at or before the hour says."""
        turns = [turn for turn in self.named.get(name, []) if turn <= hour]
        if len(turns) % 2:
            return name
        return (name[0], OTHER, OTHER) if self.tasks.get(name[0], hour + 1) <= hour else ALL

    def end_hours(self, through: int) -> None:
        if through <= self.ended:
            return
        before, self.ended = self.ended, through
        for end in range(max(before + 1, 0), through + 1):
            for pool in sorted(self.full):
                self.take_places(pool, end)

    def take_places(self, pool: str, end: int) -> None:
        count = Counter(name for name, hour in self.calls if end - DAY_H <= hour < end)
        members = [name for name in self.now() if pool in (OTHER, name[0])]
        folded = [name for name in count if name not in self.now() and self.pool(name[0]) == pool]
        worth = sum(count[name] for name in members + folded) / (WORTH * max(len(members), 1))
        hour = max(end, max(hour for _, hour in self.calls) + 1)
        members.sort(key=lambda name: (-count[name], name))
        for name in sorted(folded, key=lambda name: (-count[name], name)):
            if self.pool(name[0]) != pool:
                continue
            if count[name] < worth:
                return
            if not (len(self.now()) < self.caps.groups and (pool == OTHER or self.sizes()[pool] < self.caps.per_task)):
                if not members or count[members[-1]] >= count[name]:
                    return
                self.named[members.pop()].append(hour)
            self.named.setdefault(name, []).append(hour)
            self.tasks.setdefault(name[0], hour)


def at(route: Route, hour: int) -> Group:
    return [group for start, group in zip(route.hours, route.groups, strict=True) if start <= hour][-1]


BATCH = st.lists(st.tuples(st.sampled_from(GROUPS), st.integers(0, 3)), max_size=12)


@settings(max_examples=300)
@given(st.lists(st.tuples(BATCH, st.integers(0, 5)), max_size=12), st.integers(1, 6), st.integers(1, 4))
def test_groups_are_named_as_by_the_reference(
    batches: list[tuple[list[tuple[Group, int]], int]], most: int, per_task: int
) -> None:
    """Restarted at each batch; each call is asked for again at the end, where it counts as when it came."""
    caps, clock = Caps(most, per_task), 0
    naming, reference, counted = Naming(caps), Reference(caps), dict[tuple[Group, int], Group]()
    for batch, passed in batches:
        naming = Naming(caps, plain.unpack(plain.pack(naming.state())))
        calls = [(name, clock + ahead) for name, ahead in batch]
        for name, hour in calls:
            reference.meet(name)
            assert at(naming.route(name), hour) == reference.group_of(name, hour)
            counted.setdefault((name, hour), reference.group_of(name, hour))
        reference.calls += calls
        hours = np.array([hour for _, hour in calls], np.int32)
        code, one = np.arange(len(calls), dtype=np.int32), np.ones(len(calls), np.int32)
        naming.count([name for name, _ in calls], code, hours, one)
        clock += passed
        naming.end_hours(clock)
        reference.end_hours(clock)
        assert len(reference.now()) <= most
        assert max(reference.sizes().values(), default=0) <= per_task
    assert {key: at(naming.route(key[0]), key[1]) for key in counted} == counted


def test_the_busiest_of_very_many_are_named_within_a_day_and_nothing_grows() -> None:
    """100,000 configs of a call each, then three that carry 90 % of the traffic."""
    caps, per_hour, naming = Caps(100_000, 2_000), 5_000, Naming(Caps(100_000, 2_000))
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
    assert len(set(naming.state()["names"])) <= caps.per_task + 3
    assert largest < 1_500_000
