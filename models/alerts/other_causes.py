"""Explain alarms on metrics without counts, by groups and dates: what moves together has one cause."""

from __future__ import annotations

from typing import Any

from aftercall.records import Alert
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, VolumeChange
from models.alerts.incidents import SLACK, Incident, Incidents, family
from models.alerts.scope import DEFAULT_CONFIG, Scope
from models.alerts.sentences import (
    SCORES_AGREE,
    brief_text,
    promise_text,
    recovery_text,
    sentence_of,
    several_text,
)
from models.alerts.severity import severity_of_alarm
from models.alerts.side_alarms import JOINED, SideAlarm, rank


class OtherCauses:
    """Decides on alarms by their groups and dates alone."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents

    def explain(self, alarm: Alarm) -> list[Alert]:
        """Open an alert, or update or close the open one that explains the alarm; nothing where that adds nothing."""
        kind, group, metric = alarm.series
        changed = alarm.changed_at // MINUTE_US
        beside = self._beside(alarm, changed) if kind in JOINED else None
        if beside is not None:
            return beside
        alike = self._incidents.of_family(kind, metric)
        for incident in alike:
            if group not in incident.members:
                continue
            if incident.direction != alarm.direction:
                if incident.closed is None:
                    return _member_back(incident, group, alarm)
                if incident.recovered and changed <= incident.closed // MINUTE_US + SLACK:
                    return []  # another test reports the same end
            elif incident.closed is None:
                return _member_again(incident, alarm, changed)
            elif changed < incident.closed // MINUTE_US:
                return []  # another test reports the same change, late
        for incident in alike:
            if incident.closed is not None or incident.direction != alarm.direction:
                continue
            scope = joined(incident.scope, group) if changed <= incident.opened_minute + SLACK else None
            if scope is not None:
                return _new_member(incident, alarm, scope)
        if alarm.ends is not None and isinstance(alarm.details, VolumeChange):
            return []  # traffic is back of which no alert is open, such as one that was merged
        incident = _incident(alarm, changed)
        part_of = self._incidents.with_cause(group, changed) if kind in JOINED and alarm.ends is None else None
        if part_of is not None:
            return _put_beside(part_of, incident, alarm)
        return [self._incidents.begin(incident, alarm.at, **_fields(incident, alarm))]

    def _beside(self, alarm: Alarm, changed: int) -> list[Alert] | None:
        """What an alarm means whose metric stands beside a headline; None where none of that group does."""
        kind, group, metric = alarm.series
        for incident in reversed(self._incidents.all):
            for other in incident.others:
                if family(other.kind, other.metric) != family(kind, metric) or group not in other.groups:
                    continue
                again = other.direction == alarm.direction
                if incident.closed is not None and changed >= incident.closed // MINUTE_US + (0 if again else SLACK):
                    continue  # another change
                if again:
                    return _beside_again(incident, other, alarm, changed)
                return _beside_back(incident, other, alarm)
        return None


def joined(scope: Scope, other: Scope) -> Scope | None:
    """The narrowest scope over both, where they have something in common that may be the cause: a task or a model.

    >>> joined(("refund", "model-a", "v1"), ("search", "model-a", "v2"))
    (None, 'model-a', None)
    >>> joined(("refund", "model-a", "v1"), ("search", "model-b", "v1")) is None
    True
    >>> joined(("refund", None, None), ("search", None, None))
    (None, None, None)
    """
    task, model, config = (part if part == same else None for part, same in zip(scope, other, strict=True))
    if config == DEFAULT_CONFIG and scope != other:
        config = None  # the default config identifies nothing
    roll_ups = scope[1] is None and other[1] is None
    return (task, model, config) if roll_ups or task is not None or model is not None else None


def _incident(alarm: Alarm, changed: int) -> Incident:
    kind, group, metric = alarm.series
    text = "" if alarm.ends is not None else brief_text(alarm)
    return Incident(kind, metric, alarm.direction, group, alarm.at, [changed], members=[group], text=text)


def _put_beside(incident: Incident, other: Incident, alarm: Alarm) -> list[Alert]:
    """An alarm of an open alert's cause: an update, where its metric is new there. The greater rank is the headline."""
    kind, group, metric = alarm.series
    for known in incident.others:
        if family(known.kind, known.metric) == family(kind, metric) and known.direction == alarm.direction:
            known.groups.append(group)
            return []
    fields = _fields(other, alarm)
    record = incident.record
    mine = rank(kind, fields["severity"], promised=alarm.promise is not None)
    theirs = rank(incident.kind, record["severity"], promised=record["promise"] is not None)
    if mine > theirs and incident.scope == group:
        incident.become(other)
        return [incident.issue(alarm.at, state="updated", **fields)]
    incident.others.append(SideAlarm.of(alarm))
    return [incident.issue(alarm.at, state="updated")]


def _beside_again(incident: Incident, other: SideAlarm, alarm: Alarm, changed: int) -> list[Alert]:
    """It moved again, by its own test, long after the alert was opened: an update; else nothing new."""
    moved = alarm.again and changed > incident.opened_minute + SLACK
    other.move(alarm)
    return [incident.issue(alarm.at, state="updated")] if moved and incident.closed is None else []


def _beside_back(incident: Incident, other: SideAlarm, alarm: Alarm) -> list[Alert]:
    """Its change is over; with it the alert, where that waited for nothing else."""
    if alarm.series[1] not in other.back:
        other.back.append(alarm.series[1])
    waiting = incident.closed is None and bool(incident.members) and len(incident.back) >= len(incident.members)
    return [_over(incident, alarm)] if waiting and all(one.over for one in incident.others) else []


def _over(incident: Incident, alarm: Alarm) -> Alert:
    evidence = {**incident.record["evidence"], **alarm.evidence, "current_after": alarm.current}
    return incident.close(alarm.at, recovery_text(alarm, incident.opened), recovered=True, evidence=evidence)


def _new_member(incident: Incident, alarm: Alarm, scope: Scope) -> list[Alert]:
    """Another group alarms at about the same time: an update, where that widens the scope."""
    incident.members.append(alarm.series[1])
    if scope == incident.scope:
        return []
    incident.scope = scope
    return [incident.issue(alarm.at, state="updated", **_fields(incident, alarm))]


def _member_again(incident: Incident, alarm: Alarm, changed: int) -> list[Alert]:
    """A member alarms again: by its own test, it moved; another test may bring a promise."""
    kind, group, metric = alarm.series
    if group in incident.back:
        incident.back.remove(group)
    if (kind, metric) == (incident.kind, incident.metric) and len(incident.members) == 1:
        incident.moves.append(changed)
        incident.text = brief_text(alarm)
        return [incident.issue(alarm.at, state="updated", **_fields(incident, alarm))]
    if incident.record["promise"] is None and alarm.promise is not None:
        return [incident.issue(alarm.at, state="updated", promise=promise_text(alarm.promise))]
    return []


def _member_back(incident: Incident, group: Scope, alarm: Alarm) -> list[Alert]:
    """A member's change is over; the incident is closed once it was the last, and nothing beside it lasts."""
    if group in incident.back:
        return []  # another test reports the same end
    incident.back.append(group)
    if len(incident.back) < len(incident.members):
        return []
    if all(other.over for other in incident.others):
        return [_over(incident, alarm)]
    return [incident.issue(alarm.at, state="updated", reason=recovery_text(alarm, incident.opened))]


def _fields(incident: Incident, alarm: Alarm) -> dict[str, Any]:
    """Numbers are those of the group that alarmed last; the sentence names the group where the incident is wider."""
    wider = incident.scope != alarm.series[1]
    return {
        "severity": severity_of_alarm(alarm),
        "baseline": alarm.baseline,
        "current": alarm.current,
        "effect_low": alarm.effect_low,
        "effect_high": alarm.effect_high,
        "promise": None if alarm.promise is None else promise_text(alarm.promise),
        "reason": several_text(incident.metric, incident.scope, len(incident.members), alarm)
        if wider
        else sentence_of(alarm),
        "evidence": dict(alarm.evidence),
        "caveat": SCORES_AGREE if alarm.series[0] == "quantile" and alarm.promise is None else None,
    }
