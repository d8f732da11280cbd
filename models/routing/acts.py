"""Acts on what alerts and changes of success rates say of the arms of a task type."""

from __future__ import annotations

from aftercall.records import Alert
from aftercall.times import HOUR_US, NEVER, to_datetime, to_us
from aftercall.vocabulary import EVERY_TASK
from models.messages import Restart
from models.routing.arm_counts import NEVER_CALLED
from models.routing.evidence import moved
from models.routing.silence import stops_feedback
from models.routing.task import Task

KEPT_AFTER_CHANGE_US = 2 * HOUR_US
"""Calls whose outcomes stay when an arm restarts and it is not known since when."""
RESTARTED_ONCE_IN_US = 12 * HOUR_US
"""An arm is restarted once in this time, unless an alert opens."""
SURELY_MOVED = 3.0
"""Standard errors by which an arm must have moved to restart with an alert on its whole task type."""
RECOVERED = "current_after"
"""Evidence that an alert was closed because the change is over, not because it has become normal."""
OUTCOMES = "success_rate"
"""The metric of alerts that reset arms and call them degraded; others are about latency and cost."""


def apply_alert(task: Task, alert: Alert, now: int) -> bool:
    """Take in an alert at `now` (us); returns whether it concerns the task type.

    One on all task types does only where this one has such an arm.
    """
    arms = [
        index
        for index, (model, config) in enumerate(task.counts.arms)
        # An arm that is called later in this message is not known yet.
        if task.counts.last_call[index] != NEVER_CALLED
        and alert.model in {None, model}
        and alert.config in {None, config}
    ]
    concerns = alert.task_type != EVERY_TASK or bool(arms)
    if (alert.metric, alert.model, alert.config) == (OUTCOMES, None, None) and alert.state != "closed":
        _restart_moved(task, alert, now)
    if alert.metric != OUTCOMES or (alert.model is None and alert.config is None) or not concerns:
        if concerns and alert.state != "closed" and stops_feedback(alert):
            task.open_alerts[alert.alert_id] = alert
        else:
            task.open_alerts.pop(alert.alert_id, None)
        return concerns
    if alert.state == "closed":
        task.open_alerts.pop(alert.alert_id, None)
        if RECOVERED not in alert.evidence:
            return True
        # The bad hours would hold back an arm that is well again; when it recovered is unknown, so the last ones stay.
        since = _some_hours_before(now)
    else:
        task.open_alerts[alert.alert_id] = alert
        since = _some_hours_before(now) if alert.changed_at is None else to_us(alert.changed_at)
    for index in arms:
        if alert.state != "updated" or _may_restart(task, index, now):
            task.restart(index, since, now)
    return True


def _restart_moved(task: Task, alert: Alert, now: int) -> None:
    """Restart the arms that have moved with their task type, by their own outcomes.

    Where an arm with most of the traffic changes, the alert is on the whole task type, and names no arm.
    """
    if alert.changed_at is None:
        return
    since, arms = to_us(alert.changed_at), len(task.counts.arms)
    z = moved(task.dated.bins(now), arms, since, now, task.delays.shares(now))
    for arm in (z * (-1 if alert.direction == "down" else 1) >= SURELY_MOVED).nonzero()[0].tolist():
        if alert.state == "opened" or _may_restart(task, arm, now):
            task.restart(arm, since, now)


def apply_restart(task: Task, restart: Restart, now: int) -> bool:
    """Restart an arm without an alert; returns whether it was done."""
    _, model, config = restart.group
    arm = task.counts.number((model, config))
    # An arm that is called later in this message is not known yet.
    if arm is None or task.counts.last_call[arm] == NEVER_CALLED or not _may_restart(task, arm, now):
        return False
    task.restart(arm, restart.changed_at, now)
    moved_to = "fell" if restart.direction == "down" else "rose"
    changed = to_datetime(restart.changed_at)
    task.found[arm] = f"restarted: its rate {moved_to} about {changed:%Y-%m-%d %H:%M} UTC, without an alert"
    return True


def note(task: Task, arm: int, now: int) -> str:
    """What `reason` says of an arm that was restarted of late without an alert; empty of others."""
    return task.found.get(arm, "") if now - task.restarted.get(arm, NEVER) < RESTARTED_ONCE_IN_US else ""


def _may_restart(task: Task, arm: int, now: int) -> bool:
    """Whether it may without an alert that opens: what is found wrongly must not be found wrongly again at once."""
    return now - task.restarted.get(arm, NEVER) >= RESTARTED_ONCE_IN_US


def _some_hours_before(now: int) -> int:
    return (now - KEPT_AFTER_CHANGE_US) // HOUR_US * HOUR_US
