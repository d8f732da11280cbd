"""Which of the labelled changes of llmdrift the alerts found, and which alerts belong to no change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

NEAR = timedelta(minutes=30)
"""An alert dates its change; it speaks of a labelled one where that date is this near."""


@dataclass(frozen=True)
class Alert:
    """What one alert said when it opened. `model` and `config` are None on roll-ups."""

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
        """The group in words."""
        return " / ".join([self.task_type, self.model or "all models", self.config or "all configs"])


@dataclass(frozen=True)
class Found:
    """A labelled change and the alerts that speak of it, the earliest first."""

    label: dict[str, Any]
    alerts: tuple[Alert, ...]

    @property
    def change_at(self) -> datetime:
        """When it happened."""
        return datetime.fromisoformat(self.label["change_at"])

    @property
    def delta(self) -> float:
        """Change of the rate."""
        return float(self.label["rate_after"] - self.label["rate_before"])

    @property
    def direct(self) -> tuple[Alert, ...]:
        """Those that name the model; the others speak of all models of the task."""
        return tuple(alert for alert in self.alerts if alert.model is not None)


def judge(labels: list[dict[str, Any]], alerts: list[Alert]) -> tuple[list[Found], list[Alert]]:
    """The labelled changes with their alerts, and the alerts that fit none: false alarms."""
    found = []
    for label in labels:
        bare = Found(label, ())
        mine = [alert for alert in alerts if _fits(alert, bare)]
        found.append(Found(label, tuple(sorted(mine, key=lambda alert: alert.opened_at))))
    claimed = {alert for one in found for alert in one.alerts}
    return found, [alert for alert in alerts if alert not in claimed]


def _fits(alert: Alert, change: Found) -> bool:
    label = change.label
    return (
        alert.task_type == label["task_type"]
        and alert.model in {label["model"], None}
        and alert.config in {label["after"], None, "default"}
        and alert.direction == ("up" if change.delta > 0 else "down")
        and alert.opened_at >= change.change_at
        and abs(alert.changed_at - change.change_at) <= NEAR
    )
