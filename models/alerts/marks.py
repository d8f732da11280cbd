"""Which mark an alert names: the nearest one before its change, whatever it has to do with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aftercall.records import Alert, NamedMark
from aftercall.times import DAY_US, HOUR_US, to_datetime, to_us
from aftercall.vocabulary import EVERY_TASK
from models.alerts.sentences import utc_text
from models.messages import Deployed

MOST_MARKS: Final = 10_000
"""So many marks can be named, the newest."""
REACH_US: Final = DAY_US
"""So long before a change the mark may lie."""


class Marks:
    """The marks that are known, by the closing of their effective minutes. Memory: 200 bytes each."""

    def __init__(self, state: Sequence[tuple[Any, ...]] = ()) -> None:
        """Start empty, or with the `state()` of another."""
        self._known = [Deployed(*mark) for mark in state]

    def add(self, marks: Sequence[Deployed], begin: int, end: int) -> None:
        """Know those of effective minutes from `begin` on and before `end`, of marks in their order."""
        self._known += [mark for mark in marks if begin <= mark.minute < end]
        del self._known[:-MOST_MARKS]

    def named(self, alert: Alert) -> Alert:
        """The record with the mark nearest before its change, if one is known now. O(marks)."""
        if alert.changed_at is None:
            return alert
        mark = self._nearest(alert.task_type, alert.metric, to_us(alert.changed_at))
        if mark is None:
            return alert
        name = NamedMark(
            mark_id=mark.mark_id,
            occurred_at=to_datetime(mark.at),
            task_type=mark.task_type,
            text=mark.text,
            source=mark.source,
        )
        reason = alert.reason + nearest_mark_text(mark.text or mark.mark_id, mark.at)
        fields = {field: getattr(alert, field) for field in Alert.model_fields if field != "event_id"}
        return Alert.sealed(**{**fields, "mark": name, "reason": reason})

    def state(self) -> list[tuple[Any, ...]]:
        """Plain values."""
        return [tuple(mark) for mark in self._known]

    def _nearest(self, task: str, metric: str, changed: int) -> Deployed | None:
        """The last one at or before `changed`; else the first one within the hour of which it is the beginning.

        Counts that are a day old are kept by the hour, and those of calls always: a full hour stands for all of it.
        """
        known = [mark for mark in self._known if _concerns(mark, task, metric)]
        before = [mark for mark in known if changed - REACH_US <= mark.at <= changed]
        if before:
            return max(before, key=_order)
        within = [mark for mark in known if changed < mark.at < changed + HOUR_US] if changed % HOUR_US == 0 else []
        return min(within, key=_order, default=None)


def nearest_mark_text(name: str, at: int) -> str:
    """A sentence that follows others: which mark is the nearest, at `at` (microseconds). It claims no cause.

    >>> nearest_mark_text("prompt v8", 0)
    " Nearest mark: 'prompt v8', 1970-01-01 00:00 UTC."
    """
    return f" Nearest mark: '{name}', {utc_text(at)}."


def _concerns(mark: Deployed, task: str, metric: str) -> bool:
    """Whether a mark may be named by an alert on a task type and a metric; a new scorer by those on its source."""
    if mark.source is not None:
        kind, _, of = metric.partition(":")
        return kind in {"score", "responses", "success_rate"} and mark.source in {of, of.partition(":")[2]}
    return EVERY_TASK in {task, mark.task_type} or mark.task_type == task


def _order(mark: Deployed) -> tuple[int, str]:
    return mark.at, mark.mark_id
