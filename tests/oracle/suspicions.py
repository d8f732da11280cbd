"""What is suspected at the end of an hour, from the watches and alarms of the slow reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from oracle.drift import Found, Group, ReferenceDrift, Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oracle.known import KnownFound


class Suspected(NamedTuple):
    """A group and a side: mean R of at least a tenth of the threshold, and no alarm on it or on what is nested."""

    mean_r: float
    group: Group
    worse: bool
    changed: int
    since: tuple[float, float]


def suspected(
    slow: ReferenceDrift, found: Iterable[Found], now: int, threshold: float, free_after: int
) -> list[Suspected]:
    """All of them after the last minute before `now`, strongest first; an alarm is open for `free_after` minutes."""
    known = set(_open(found, now, free_after).items()) | set(_open(slow.known.found, now, free_after).items())
    rising = [
        (mean, watch, worse)
        for watch in slow.watches.values()
        for mean, worse in zip(watch.means(), (True, False), strict=True)
        if mean >= threshold / 10
    ]
    rising.sort(key=lambda one: (-one[0], one[1].group.count(None), [part or "" for part in one[1].group]))
    listed = []
    for mean, watch, worse in rising:
        if not any(_nested(watch.group, group) and worse == other for group, other in known):
            listed.append(_suspected(mean, watch, now, worse=worse))
            known.add((watch.group, worse))
    return listed


def _suspected(mean: float, watch: Watch, now: int, *, worse: bool) -> Suspected:
    changed, failures, trials = ReferenceDrift.changed(watch, now - 1, worse=worse)
    return Suspected(mean, watch.group, worse, changed, (failures, trials))


def _open(found: Iterable[Found | KnownFound], now: int, free_after: int) -> dict[Group, bool]:
    opened: dict[Group, tuple[int, bool]] = {}
    for alarm in sorted(found, key=lambda alarm: alarm.minute):
        held = opened.get(alarm.group)
        if held is not None and held[0] + free_after <= alarm.minute + 1:
            held = None
        if held is None:
            opened[alarm.group] = alarm.minute + 1, alarm.worse
        elif held[1] != alarm.worse:
            del opened[alarm.group]
    return {group: worse for group, (at, worse) in opened.items() if at + free_after > now}


def _nested(one: Group, other: Group) -> bool:
    return all(a == b or a is None or b is None for a, b in zip(one, other, strict=True))
