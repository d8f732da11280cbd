"""Says that a cap on what is counted by name was reached: which one, an example beyond it, and what to do."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from aftercall.records import Alert, alert_id
from aftercall.vocabulary import OTHER
from flows.settings import Settings
from models.groups import TASKS, Folding

_TOGETHER = f"{OTHER} of their task type"


def sessions_alert(when: datetime, settings: Settings) -> Alert:
    """The alert, of kind `session_cap`, that more sessions came than may be known; it is never closed."""
    most = settings.join.max_sessions
    return Alert.sealed(
        seq=1,
        alert_id=alert_id("session_cap", (OTHER, None, None), "sessions", "up", 1),
        state="opened",
        kind="session_cap",
        severity="warning",
        opened_at=when,
        updated_at=when,
        closed_at=None,
        task_type=OTHER,
        model=None,
        config=None,
        metric="sessions",
        direction="up",
        baseline=None,
        current=float(most),
        effect_low=None,
        effect_high=None,
        changed_at=when,
        promise=None,
        reason=f"There are more than {most} sessions within the horizon: those that would be forgotten first are, and "
        "outcomes of them find no call (look for ids of calls in session_id, or raise join.max_sessions).",
        evidence={"max_sessions": most},
    )


class _Words(NamedTuple):
    """What is said of a cap: there is too much of `what`, which counts as `together`; ids hide in `fields`."""

    setting: str
    cap: int
    task_type: str
    what: str
    together: str
    example: str
    fields: str


def cap_alert(folding: Folding, when: datetime, settings: Settings) -> Alert:
    """The alert, of kind `group_cap`. There is one of each cap, which is never closed."""
    task, model, config = folding.example
    words = _words(folding, settings)
    return Alert.sealed(
        seq=1,
        alert_id=alert_id("group_cap", (folding.pool, None, None), "groups", "up", 1),
        state="opened",
        kind="group_cap",
        severity="warning",
        opened_at=when,
        updated_at=when,
        closed_at=None,
        task_type=words.task_type,
        model=None,
        config=None,
        metric="groups",
        direction="up",
        baseline=None,
        current=float(words.cap),
        effect_low=None,
        effect_high=None,
        changed_at=when,
        promise=None,
        reason=f"{words.what}: further ones are counted together as {words.together}, for example "
        f"{words.example} (look for ids in {words.fields}, or raise join.{words.setting}). At each full hour the "
        "busiest of them take the places of the quietest.",
        evidence={words.setting: words.cap, "example": {"task_type": task, "model": model, "config": config}},
    )


def _words(folding: Folding, settings: Settings) -> _Words:
    (task, model, config), join = folding.example, settings.join
    group = f"model {model}, config {config}"
    if folding.pool == TASKS:
        what = f"There are more than {join.max_task_types} task types"
        return _Words("max_task_types", join.max_task_types, OTHER, what, OTHER, task, "task_type")
    if folding.pool == OTHER:
        what, example = f"There are more than {join.max_groups} groups", f"task type {task}, {group}"
        return _Words("max_groups", join.max_groups, OTHER, what, _TOGETHER, example, "task_type, model or config")
    what = f"Task type {task} has more than {join.max_groups_per_task} groups"
    return _Words("max_groups_per_task", join.max_groups_per_task, task, what, _TOGETHER, group, "model or config")
