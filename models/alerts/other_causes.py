"""Explain alarms on metrics without counts, by groups and dates: what moves together has one cause."""

from __future__ import annotations

from typing import Any, Final

from aftercall.records import Alert
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, RuleChange, SourceRateChange, VolumeChange
from models.alerts.effect_of_alarm import allowed_for, doubted
from models.alerts.incidents import SLACK, Incident, Incidents, family, is_worse
from models.alerts.scope import DEFAULT_CONFIG, Scope, covers
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

_OF_ARMS: Final = "responses"
"""Metric of how much of an arm is answered; that of a source has its name after a colon."""
_RATES: Final = SourceRateChange | RuleChange
"""Of rates beside the success rate, that have groups and roll-ups as it has."""


class OtherCauses:
    """Decides on alarms by their groups and dates alone."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents

    def explain(self, alarm: Alarm) -> list[Alert]:
        """Open an alert, or update or close the open one that explains the alarm; nothing where that adds nothing."""
        if isinstance(alarm.details, _RATES) and alarm.ends is None:
            alarm = allowed_for(alarm)
        kind, group, metric = alarm.series
        changed = alarm.changed_at // MINUTE_US
        beside = self._beside(alarm, changed) if kind in JOINED or of_answers(kind, metric) else None
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
        if _rolls_up(alarm, alike, changed):
            return []
        for incident in alike:
            if incident.closed is not None or incident.direction != alarm.direction:
                continue
            scope = joined(incident.scope, group) if changed <= incident.opened_minute + SLACK else None
            if scope is not None:
                return _new_member(incident, alarm, scope)
        if alarm.ends is not None and isinstance(alarm.details, VolumeChange | _RATES):
            return []  # of what is back no alert is open: it was merged, or is a roll-up of another
        incident = _incident(alarm, changed)
        part_of = self._part_of(alarm, changed) if alarm.ends is None else None
        if part_of is not None:
            return _put_beside(part_of, incident, alarm)
        return [self._incidents.begin(incident, alarm.at, **_fields(incident, alarm))]

    def _part_of(self, alarm: Alarm, changed: int) -> Incident | None:
        """The open alert of the same cause; that of an arm's answers and of its task type's sources is one."""
        kind, group, metric = alarm.series
        if not of_answers(kind, metric):
            return self._cause(alarm, changed) if kind in JOINED else None
        for incident in reversed(self._incidents.open()):
            alike = of_answers(incident.kind, incident.metric) and incident.direction == alarm.direction
            of_both = (incident.metric == _OF_ARMS) != (metric == _OF_ARMS) and incident.scope[0] == group[0]
            if alike and of_both and incident.same_time(changed):
                return incident
        return None

    def _cause(self, alarm: Alarm, changed: int) -> Incident | None:
        """The open incident that an alarm is part of; of a rate also one within its roll-up."""
        _, group, _ = alarm.series
        found = self._incidents.with_cause(group, changed)
        if found is None and isinstance(alarm.details, _RATES):
            return self._incidents.narrower_cause(group, changed, worse=is_worse(alarm.series[0], alarm.direction))
        return found

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


def of_answers(kind: str, metric: str) -> bool:
    """Whether it is about how many calls are answered, by a source or of an arm.

    >>> of_answers("volume", "responses:judge"), of_answers("volume", "responses"), of_answers("volume", "calls")
    (True, True, False)
    """
    return kind == "volume" and metric.partition(":")[0] == _OF_ARMS


def _rolls_up(alarm: Alarm, alike: list[Incident], changed: int) -> bool:
    """Whether the rate of a source or a rule changed in a roll-up of groups of which an alert has said so already."""
    if not isinstance(alarm.details, _RATES) or alarm.ends is not None:
        return False
    group = alarm.series[1]
    for incident in alike:
        # A roll-up may show it only once the level of its groups has become normal.
        same = incident.closed is None or incident.same_time(changed)
        same = same and incident.direction == alarm.direction and changed <= incident.opened_minute + SLACK
        if same and any(covers(group, member) for member in incident.members):
            return True
    return False


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
    mine = rank(metric, fields["severity"], promised=alarm.promise is not None)
    theirs = rank(incident.metric, record["severity"], promised=record["promise"] is not None)
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
        **(doubted(alarm) if isinstance(alarm.details, _RATES) else {}),
    }
