"""What has changed one task type is likely to change others: an arm that alarmed is looked at more closely elsewhere.

A new version of a model changes several task types at once. Where it has alarmed in one, within the promise, a smaller
p-value alarms in the others, in the same direction and without a promise: one in 500 per look, so that of task types
that it left as they were at most 4 in 100 alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from aftercall.times import MINUTES_PER_DAY
from models.messages import AnyGroup

_DAYS: Final = 28
_Key = tuple[str | None, str | None, str]


class Following:
    """The arms that have alarmed, with task types and minutes; those of the last 28 days."""

    ALPHA: ClassVar = 0.002

    def __init__(self, state: Mapping[_Key, Mapping[str, int]] | None = None) -> None:
        """Start empty, or with the `state()` of another."""
        self._alarmed: dict[_Key, dict[str, int]] = {key: dict(tasks) for key, tasks in (state or {}).items()}

    def add(self, group: AnyGroup, direction: str, minute: int) -> None:
        """An arm has alarmed within the promise; a task type as a whole is no arm."""
        task, model, config = group
        if config is not None:
            self._alarmed.setdefault((model, config, direction), {})[task] = minute

    def others(self, group: AnyGroup, direction: str, minute: int) -> tuple[str, ...]:
        """The other task types in which an arm has alarmed within 28 days, by name."""
        task, model, config = group
        tasks = self._alarmed.get((model, config, direction), {})
        fresh = minute - _DAYS * MINUTES_PER_DAY
        return tuple(sorted(other for other, at in tasks.items() if other != task and at >= fresh))

    def state(self) -> dict[_Key, dict[str, int]]:
        """Plain values."""
        return self._alarmed
