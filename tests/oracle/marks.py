"""What becomes of marks, and which one an alert names: reference sections 1 and 3, one mark at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from oracle.records import MINUTE_US, micros

if TYPE_CHECKING:
    from collections.abc import Iterable

HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
OF_SOURCE = ("score", "score:p50", "score:p10", "responses")
"""Metrics of a source."""


class Mark(NamedTuple):
    """A mark as it was sent; `minute`: the one that it takes effect in."""

    mark_id: str
    at: int
    task_type: str
    text: str | None
    minute: int
    source: str | None = None


class Became(NamedTuple):
    """What became of marks: those that count, in the order of reading; repeats; those refused as `conflict`."""

    accepted: list[Mark]
    duplicates: int
    conflicts: list[Mark]


def read(marks: Iterable[Mark]) -> Became:
    """The first record of an id owns it; an equal one is a duplicate, and another one a conflict."""
    accepted: list[Mark] = []
    conflicts: list[Mark] = []
    duplicates = 0
    for mark in marks:
        owner = next((one for one in accepted if one.mark_id == mark.mark_id), None)
        if owner is None:
            accepted.append(mark)
        elif owner[1:4] == mark[1:4]:
            duplicates += 1
        else:
            conflicts.append(mark)
    return Became(accepted, duplicates, conflicts)


def sent(line: bytes, wm: int) -> Mark:
    """A mark with an id, as it is read where the watermark is `wm`, in microseconds."""
    fields: dict[str, Any] = json.loads(line)
    at = micros(fields["occurred_at"])
    minute = max(at, wm) // MINUTE_US
    return Mark(fields["mark_id"], at, fields["task_type"], fields.get("text"), minute)


def of_scorers(outcomes: Iterable[tuple[str, str | None, int, int]]) -> list[Mark]:
    """A mark for each scorer that is new for its source, but the first; of (source, scorer, time, minute) as read."""
    known: dict[str, list[str]] = {}
    marks = []
    for source, scorer, at, minute in outcomes:
        if scorer is None or scorer in known.setdefault(source, []):
            continue
        if known[source]:
            marks.append(Mark(f"{source}: {scorer}", at, "*", f"scorer {scorer}", minute, source))
        known[source].append(scorer)
    return marks


def nearest(
    accepted: Iterable[Mark], task_type: str, changed_at: int, updated_at: int, metric: str = "success_rate"
) -> Mark | None:
    """The mark that an alert names which is issued at `updated_at`; times in microseconds.

    Known are those whose minute has closed by then. The last of the day up to the change; where there is none, and the
    change is dated at a full hour, the first within that hour.
    """
    known = [
        mark
        for mark in accepted
        if mark.minute < updated_at // MINUTE_US
        and (mark.task_type in {task_type, "*"} or task_type == "*")
        and (mark.source is None or metric in {f"{of}:{mark.source}" for of in OF_SOURCE})
    ]
    ordered = sorted(known, key=lambda mark: (mark.at, mark.mark_id))
    before = [mark for mark in ordered if changed_at - DAY_US <= mark.at <= changed_at]
    if before:
        return before[-1]
    if changed_at % HOUR_US == 0:
        within = [mark for mark in ordered if changed_at < mark.at < changed_at + HOUR_US]
        return within[0] if within else None
    return None
