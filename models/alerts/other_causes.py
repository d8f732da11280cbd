"""From alarms on other metrics, of which only the alarms are known, to causes: what moves together is one."""

from __future__ import annotations

from typing import Any, Final

from aftercall.records import Alert
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm
from models.alarms.phrases import METRICS, utc_text
from models.alerts.incidents import Incident, Incidents
from models.alerts.scope import DEFAULT_CONFIG, Scope, scope_text

SLACK: Final = 6 * 60
"""Minutes between the dates of two changes that may be one."""


class OtherCauses:
    """Decides on alarms by their groups and dates alone."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents

    def alarm(self, alarm: Alarm) -> list[Alert]:
        """Open an alert, or tell what the alarm means for one that is open, or nothing where it is known."""
        kind, group, metric = alarm.watched
        changed = alarm.changed_at // MINUTE_US
        known = self._incidents.of(kind, metric)
        mine = [one for one in known if group in one.members]
        for one in mine:
            if one.direction != alarm.direction:
                if one.closed is None:
                    return _left(one, group, alarm)
                if one.recovered and changed <= one.closed // MINUTE_US + SLACK:
                    return []  # another test tells the same end
            elif one.closed is None:
                return _again(one, alarm, changed)
            elif changed < one.closed // MINUTE_US:
                return []  # another test tells the same change, late
        for one in known:
            if one.direction != alarm.direction or one.closed is not None or changed > one.opened_minute + SLACK:
                continue
            scope = joined(one.scope, group)
            if scope is None:
                continue
            one.members.append(group)
            if scope == one.scope:
                return []
            one.scope = scope
            return [one.issue(alarm.at, state="updated", **_fields(one, alarm))]
        incident = Incident(kind, metric, alarm.direction, group, alarm.at, [changed], members=[group])
        return [self._incidents.begin(incident, alarm.at, **_fields(incident, alarm))]


def joined(scope: Scope, other: Scope) -> Scope | None:
    """The narrowest scope over both, where they have something in common that may be the cause: a task or a model.

    >>> joined(("refund", "model-a", "v1"), ("search", "model-a", "v2"))
    (None, 'model-a', None)
    >>> joined(("refund", "model-a", "v1"), ("search", "model-b", "v1")) is None
    True
    >>> joined(("refund", None, None), ("search", None, None))
    (None, None, None)
    """
    task, model, config = (mine if mine == theirs else None for mine, theirs in zip(scope, other, strict=True))
    if config == DEFAULT_CONFIG and scope != other:
        config = None  # which says nothing
    roll_ups = scope[1] is None and other[1] is None
    return (task, model, config) if roll_ups or task or model else None


def _again(incident: Incident, alarm: Alarm, changed: int) -> list[Alert]:
    """A member alarms again: its own test says that it moved; another one may bring a promise."""
    kind, group, metric = alarm.watched
    if group in incident.back:
        incident.back.remove(group)
    if (kind, metric) == (incident.kind, incident.metric) and len(incident.members) == 1:
        incident.moves.append(changed)
        return [incident.issue(alarm.at, state="updated", **_fields(incident, alarm))]
    if incident.record["promise"] is None and alarm.promise is not None:
        return [incident.issue(alarm.at, state="updated", promise=alarm.promise)]
    return []


def _left(incident: Incident, group: Scope, alarm: Alarm) -> list[Alert]:
    """A member's change is over: the incident is, once it was the last."""
    if group not in incident.back:
        incident.back.append(group)
    if len(incident.back) < len(incident.members):
        return []
    name = METRICS.get(alarm.watched[2], alarm.watched[2])
    over = f"the change reported {utc_text(incident.opened)} is over"
    reason = f"{name} of {scope_text(group)} {alarm.finding.removesuffix(over).removesuffix('; ')}; {over}."
    evidence = {**incident.record["evidence"], **alarm.evidence, "current_after": alarm.current}
    return [incident.close(alarm.at, reason, recovered=True, evidence=evidence)]


def _fields(incident: Incident, alarm: Alarm) -> dict[str, Any]:
    """Numbers are those of the group that alarmed last; the sentence says so where the incident is wider."""
    group = alarm.watched[1]
    metric = alarm.watched[2]
    name = METRICS.get(metric, metric)
    reason = f"{name} of {scope_text(group)} {alarm.finding}."
    if incident.scope != group:
        name = METRICS.get(incident.metric, incident.metric)
        reason = f"{name} of {scope_text(incident.scope)} has changed in {len(incident.members)} groups. {reason}"
    return {
        "severity": alarm.severity,
        "baseline": alarm.baseline,
        "current": alarm.current,
        "effect_low": alarm.effect_low,
        "effect_high": alarm.effect_high,
        "promise": alarm.promise,
        "reason": reason,
        "evidence": dict(alarm.evidence),
    }
