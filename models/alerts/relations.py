"""How an alarm on a success rate stands to an alert: its change, its echo, or what was wanting in its evidence."""

from __future__ import annotations

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm
from models.alerts.incidents import SLACK, Incident
from models.alerts.scope import covers


def same_time(incident: Incident, changed: int) -> bool:
    """Whether a change dated `changed` may be that of an open incident: it came before its alert, or just after."""
    return incident.closed is None and changed <= incident.opened_minute + SLACK


def echo(incident: Incident, alarm: Alarm, changed: int) -> bool:
    """Whether an alarm comes late from what a closed incident reported: its change, or its end."""
    closed = (incident.closed or 0) // MINUTE_US
    if incident.direction == alarm.direction:
        # What came after the recovery is another change, however soon.
        return changed < (incident.moves[-1] if incident.recovered else closed)
    return incident.recovered and incident.moves[0] < changed <= closed + SLACK


def confirms(alarm: Alarm, incident: Incident, changed: int) -> bool:
    """Whether an alarm dated `changed` supports the promise on an alert for which the evidence was not enough alone."""
    of_it = incident.direction == alarm.direction and covers(incident.scope, alarm.series[1])
    wanting = bool(incident.record["evidence"].get("following"))
    return alarm.promise is not None and wanting and of_it and same_time(incident, changed)
