"""Alerts on rules of which each violation counts, minute by minute: all that was checked is gone through again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from models.messages import Group

HOUR, DAY = 60, 1440


class Check(NamedTuple):
    """What one rule found about a call, in the minute in which that takes effect."""

    minute: int
    group: Group
    metric: str
    failed: bool


class Said(NamedTuple):
    """A record: minute at whose beginning it is made, rule, number of its alert, what it reports."""

    minute: int
    metric: str
    alert: int
    state: str
    scope: tuple[str | None, ...]
    failed: int
    checked: int


def common(groups: Sequence[Group]) -> tuple[str | None, ...]:
    """What they have in common."""
    parts = [values[0] if len(set(values)) == 1 else None for values in zip(*groups, strict=True)]
    parts = [None if part == "__other__" else part for part in parts]
    several = len(set(groups)) > 1
    return parts[0] or "*", parts[1], None if several and parts[2] == "default" else parts[2]


def covered(scope: tuple[str | None, ...], group: Group) -> bool:
    """Whether a group lies within a scope."""
    return all(part in {None, "*", name} for part, name in zip(scope, group, strict=True))


def records(checks: Sequence[Check], through: int) -> list[Said]:
    """All records of alerts by minutes before `through`."""
    found: list[Said] = []
    for metric in sorted({check.metric for check in checks}):
        mine = [check for check in checks if check.metric == metric]
        alert, first, stated, last = 0, -1, 0, -1
        for now in range(min(check.minute for check in mine) + 1, through + 1):
            fresh = any(check.failed and check.minute == now - 1 for check in mine)
            if first < 0 and not fresh:
                continue
            state = ""
            if first < 0:
                alert, first, stated, state = alert + 1, now - 1, 0, "opened"
            last = now if fresh else last
            seen = [check for check in mine if first <= check.minute < now]
            failed = [check for check in seen if check.failed]
            if not state and now % HOUR == 0 and len(failed) > stated:
                state = "updated"
            if now - last == DAY:
                state = "closed"
            if state:
                scope, stated = common([check.group for check in failed]), len(failed)
                checked = sum(covered(scope, check.group) for check in seen)
                found.append(Said(now, metric, alert, state, scope, stated, checked))
            first = -1 if state == "closed" else first
    return sorted(found, key=lambda one: (one.minute, one.metric))
