"""The life of an alert: opened once, updated while it gets worse, closed by recovery or as the new normal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from aftercall.records import Alert, Direction, alert_id
from aftercall.times import MINUTE_US, to_datetime, to_us
from models.alarms.alarm import Alarm, Watched
from models.alarms.phrases import METRICS, group_text, significant
from models.messages import AnyGroup


def in_order(alerts: Iterable[Alert]) -> list[Alert]:
    """Alerts by (time, group, kind, metric); of one group, in the order in which they came about."""
    return sorted(alerts, key=lambda a: (a.updated_at, a.task_type, a.model or "", a.config or "", a.kind, a.metric))


class AlertBook:
    """Open alerts, and how many there have been for each group, metric and direction."""

    def __init__(self, new_normal_after_us: int, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another book."""
        self._new_normal_after_us = new_normal_after_us
        self._open: dict[Watched, dict[str, Any]] = {} if state is None else state["open"]
        self._origin: dict[Watched, tuple[float, ...]] = {} if state is None else state["origin"]
        self._count: dict[tuple[Watched, str], int] = {} if state is None else state["count"]

    def state(self) -> dict[str, Any]:
        """Plain values; not a copy."""
        return {"open": self._open, "origin": self._origin, "count": self._count}

    def origin(self, watched: Watched, direction: Direction) -> tuple[float, ...] | None:
        """`origin` of the alarm that opened the alert which an alarm in `direction` would update; else None."""
        held = self._open.get(watched)
        return None if held is None or held["direction"] != direction else self._origin[watched]

    def raise_alarm(self, alarm: Alarm) -> Alert:
        """Open an alert, update the open one (same direction) or close it (the other direction).

        Alerts due to close by `alarm.at` must have been closed before, by `expire`.
        """
        held = self._open.get(alarm.watched)
        if held is None:
            return self._opened(alarm)
        if held["direction"] == alarm.direction:
            return self._updated(held, alarm)
        return self._recovered(held, alarm)

    def expire(self, until: int, watched: Watched | None = None) -> list[Alert]:
        """Close alerts (all, or that of `watched`) that have been open for the set time at `until`."""
        keys = list(self._open) if watched is None else [watched] if watched in self._open else []
        if not keys:
            return []
        limit = to_datetime(until - self._new_normal_after_us)
        return [self._new_normal(key) for key in keys if self._open[key]["opened_at"] <= limit]

    def _opened(self, alarm: Alarm) -> Alert:
        kind, group, metric = alarm.watched
        ordinal = self._count.get((alarm.watched, alarm.direction), 0) + 1
        self._count[alarm.watched, alarm.direction] = ordinal
        self._origin[alarm.watched] = alarm.origin
        held = {
            "alert_id": alert_id(kind, group, metric, alarm.direction, ordinal),
            "seq": 0,
            "kind": kind,
            "metric": metric,
            "task_type": group[0],
            "model": group[1],
            "config": group[2],
            "direction": alarm.direction,
            "opened_at": to_datetime(alarm.at),
            "closed_at": None,
            "changed_at": to_datetime(alarm.changed_at),
            "promise": alarm.promise,
        }
        self._open[alarm.watched] = held
        return _issue(held, alarm.at, state="opened", reason=_sentence(alarm, alarm.finding), **_measured(alarm))

    @staticmethod
    def _updated(held: dict[str, Any], alarm: Alarm) -> Alert:
        # changed_at stays: it says when the trouble began; the sentence says when it moved again.
        return _issue(held, alarm.at, state="updated", reason=_sentence(alarm, alarm.finding), **_measured(alarm))

    def _recovered(self, held: dict[str, Any], alarm: Alarm) -> Alert:
        # What the alert reported stays as it was; what has been seen since then goes into the evidence.
        self._forget(alarm.watched)
        evidence = _evidence(alarm) | {"current_after": significant(alarm.current)}
        reported = f"{held['opened_at']:%Y-%m-%d %H:%M} UTC"
        reason = _sentence(alarm, f"{alarm.finding}; the change reported {reported} is over")
        return _issue(held, alarm.at, state="closed", closed_at=to_datetime(alarm.at), evidence=evidence, reason=reason)

    def _new_normal(self, watched: Watched) -> Alert:
        held = self._open[watched]
        self._forget(watched)
        closing = held["opened_at"] + timedelta(microseconds=self._new_normal_after_us)
        at = to_us(closing)
        _, group, metric = watched
        reason = (
            f"{METRICS.get(metric, metric)} of {group_text(group)} has not come back since "
            f"{held['opened_at']:%Y-%m-%d %H:%M} UTC: its present level is taken as the new normal."
        )
        return _issue(held, at, state="closed", closed_at=closing, reason=reason)

    def _forget(self, watched: Watched) -> None:
        del self._open[watched]
        del self._origin[watched]


_MINUTE = "changed_minute"


def _measured(alarm: Alarm) -> dict[str, Any]:
    return {
        "severity": alarm.severity,
        "baseline": alarm.baseline,
        "current": alarm.current,
        "effect_low": alarm.effect_low,
        "effect_high": alarm.effect_high,
        "evidence": _evidence(alarm),
    }


def _evidence(alarm: Alarm) -> dict[str, float]:
    """Numbers, and the minute of this very change: `changed_at` of a record is that of its alert's first."""
    rounded = {name: significant(value) for name, value in alarm.evidence.items()}
    return rounded | {_MINUTE: alarm.changed_at // MINUTE_US}


def alarm_of(record: Alert) -> Alarm | None:
    """The alarm that a record of a book tells of; None where it tells of the passing of time."""
    if _MINUTE not in record.evidence or (record.state == "closed" and "current_after" not in record.evidence):
        return None
    evidence = {name: float(value) for name, value in record.evidence.items() if isinstance(value, int | float)}
    changed = int(evidence.pop(_MINUTE)) * MINUTE_US
    group: AnyGroup = (record.task_type, record.model, record.config)
    over = record.state == "closed"
    other: Direction = "up" if record.direction == "down" else "down"
    start = f"{METRICS.get(record.metric, record.metric)} of {group_text(group)} "
    return Alarm(
        at=to_us(record.updated_at),
        watched=(record.kind, group, record.metric),
        direction=other if over else record.direction,
        severity=record.severity,
        baseline=math.nan if record.baseline is None else record.baseline,
        current=evidence.pop("current_after") if over else math.nan if record.current is None else record.current,
        effect_low=None if over else record.effect_low,
        effect_high=None if over else record.effect_high,
        changed_at=changed,
        promise=record.promise,
        finding=record.reason.removeprefix(start).removesuffix("."),
        evidence=evidence,
        origin=(),
    )


def _sentence(alarm: Alarm, finding: str) -> str:
    _, group, metric = alarm.watched
    return f"{METRICS.get(metric, metric)} of {group_text(group)} {finding}."


def _issue(held: dict[str, Any], at: int, **changes: Any) -> Alert:
    """The alert's next record; `held` becomes what it says."""
    held.update(changes, seq=held["seq"] + 1, updated_at=to_datetime(at))
    return Alert.sealed(**held)
