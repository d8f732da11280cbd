"""Which of the labelled changes of llmdrift the alerts found, and which alerts belong to no change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aftercall.vocabulary import EVERY_TASK

NEAR = timedelta(minutes=30)
"""An alert dates its change; it speaks of a labelled one where that date is this near."""

WIDTHS = ("one config", "all configs", "all models", "all tasks")


@dataclass(frozen=True)
class Alert:
    """What one alert said when it opened. `task_type` is `*`, `model` and `config` are None where it is about all."""

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
        """One of `WIDTHS`: how much its scope takes in."""
        if self.task_type == EVERY_TASK:
            return WIDTHS[3]
        return WIDTHS[2] if self.model is None else WIDTHS[0] if self.config else WIDTHS[1]


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
        """Those that name the model; the others are about all models."""
        return tuple(alert for alert in self.alerts if alert.model is not None)


def judge(labels: list[dict[str, Any]], alerts: list[Alert], near: timedelta = NEAR) -> tuple[list[Found], list[Alert]]:
    """The labelled changes with the alerts whose scopes cover them, and the alerts that fit none: false alarms.

    An alert on one cause may cover several labelled changes; it must date each of them to within `near`.
    """
    found = []
    for label in labels:
        bare = Found(label, ())
        mine = [alert for alert in alerts if _fits(alert, bare, near)]
        found.append(Found(label, tuple(sorted(mine, key=lambda alert: alert.opened_at))))
    claimed = {alert for one in found for alert in one.alerts}
    return found, [alert for alert in alerts if alert not in claimed]


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


def told(found: list[Found], false: list[Alert]) -> dict[str, Any]:
    """The judgement as plain values. `by` is "model" where an alert names the model, "wider" where it does not."""
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
