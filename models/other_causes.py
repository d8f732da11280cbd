"""From alarms on other metrics, of which only the alarms are known, to causes: what moves together is one."""

from __future__ import annotations

from typing import Any, Final

from aftercall.records import Alert
from models.alert_book import Alarm, utc_text
from models.incidents import METRICS, Incident, Incidents
from models.scope import DEFAULT_CONFIG, Scope, scope_text
from models.streams import MINUTE_US

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
        known = [one for one in self._incidents.of(kind, metric) if one.closed is None]
        for one in known:
            if one.direction != alarm.direction and group in one.members:
                return _left(one, group, alarm)
        for one in known:
            if one.direction == alarm.direction and group in one.members:
                one.moves.append(changed)
                alone = len(one.members) == 1
                return [one.issue(alarm.at, state="updated", **_fields(one, alarm))] if alone else []
        for one in known:
            if one.direction != alarm.direction or changed > one.opened_minute + SLACK:
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


def _left(incident: Incident, group: Scope, alarm: Alarm) -> list[Alert]:
    """A member's change is over: the incident is, once it was the last."""
    incident.members.remove(group)
    if incident.members:
        return []
    name = METRICS.get(incident.metric, incident.metric)
    over = f"the change reported {utc_text(incident.opened)} is over"
    reason = f"{name} of {scope_text(group)} {alarm.finding.removesuffix(over).removesuffix('; ')}; {over}."
    evidence = {**incident.record["evidence"], **alarm.evidence, "current_after": alarm.current}
    return [incident.close(alarm.at, reason, recovered=True, evidence=evidence)]


def _fields(incident: Incident, alarm: Alarm) -> dict[str, Any]:
    """Numbers are those of the group that alarmed last; the sentence says so where the incident is wider."""
    group = alarm.watched[1]
    name = METRICS.get(incident.metric, incident.metric)
    reason = f"{name} of {scope_text(group)} {alarm.finding}."
    if incident.scope != group:
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
