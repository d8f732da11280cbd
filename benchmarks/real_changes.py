"""Matches alerts with the labelled changes of llmdrift; alerts without a change are false alarms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aftercall.vocabulary import EVERY_TASK

NEAR = timedelta(minutes=30)
"""An alert matches a labelled change only if it dates its change this near to it."""

WIDTHS = ("one config", "all configs", "all models", "all tasks")


@dataclass(frozen=True)
class Alert:
    """An alert as it was opened. `task_type` is `*`, `model` and `config` are None if the alert is about all."""

    task_type: str
    model: str | None
    config: str | None
    direction: str
    opened_at: datetime
    changed_at: datetime
    baseline: float
    current: float

    @property
    def group(self) -> str:
        """Its scope in words."""
        task = "all tasks" if self.task_type == EVERY_TASK else self.task_type
        return " / ".join([task, self.model or "all models", self.config or "all configs"])

    @property
    def width(self) -> str:
        """One of `WIDTHS`: how wide its scope is."""
        if self.task_type == EVERY_TASK:
            return WIDTHS[3]
        return WIDTHS[2] if self.model is None else WIDTHS[0] if self.config else WIDTHS[1]


@dataclass(frozen=True)
class Found:
    """A labelled change and the alerts that match it, the earliest first."""

    label: dict[str, Any]
    alerts: tuple[Alert, ...]

    @property
    def change_at(self) -> datetime:
        """The time of the change."""
        return datetime.fromisoformat(self.label["change_at"])

    @property
    def delta(self) -> float:
        """The change of the rate."""
        return float(self.label["rate_after"] - self.label["rate_before"])

    @property
    def direct(self) -> tuple[Alert, ...]:
        """The alerts that name the model; the others are about all models."""
        return tuple(alert for alert in self.alerts if alert.model is not None)


def judge(labels: list[dict[str, Any]], alerts: list[Alert], near: timedelta = NEAR) -> tuple[list[Found], list[Alert]]:
    """The labelled changes with the alerts whose scopes cover them, and the alerts that match none: false alarms.

    One alert may match several labelled changes; it must date each of them to within `near`.
    """
    changes = []
    for label in labels:
        unmatched = Found(label, ())
        matching = [alert for alert in alerts if _fits(alert, unmatched, near)]
        changes.append(Found(label, tuple(sorted(matching, key=lambda alert: alert.opened_at))))
    matched = {alert for change in changes for alert in change.alerts}
    return changes, [alert for alert in alerts if alert not in matched]


def _fits(alert: Alert, change: Found, near: timedelta) -> bool:
    label = change.label
    return (
        alert.task_type in {label["task_type"], EVERY_TASK}
        and alert.model in {label["model"], None}
        and alert.config in {label["after"], None, "default"}
        and alert.direction == ("up" if change.delta > 0 else "down")
        and alert.opened_at >= change.change_at
        and abs(alert.changed_at - change.change_at) <= near
    )


def plain(found: list[Found], false: list[Alert]) -> dict[str, Any]:
    """The result of `judge` as plain values. `by`: "model" if an alert names the model, "wider" if none does."""
    return {
        "found": [
            {
                "task_type": change.label["task_type"],
                "model": change.label["model"],
                "change_at": change.change_at.isoformat(),
                "before": round(change.label["rate_before"], 3),
                "after": round(change.label["rate_after"], 3),
                "calls_after": change.label["n_after"],
                "alerts": [
                    {
                        "group": alert.group,
                        "after_s": round((alert.opened_at - change.change_at).total_seconds()),
                        "dated_off_s": round((alert.changed_at - change.change_at).total_seconds()),
                    }
                    for alert in change.alerts
                ],
                "by": "model" if change.direct else "wider" if change.alerts else None,
            }
            for change in found
        ],
        "false_alarms": [
            {
                "group": alert.group,
                "direction": alert.direction,
                "opened_at": alert.opened_at.isoformat(),
                "changed_at": alert.changed_at.isoformat(),
            }
            for alert in false
        ],
    }
