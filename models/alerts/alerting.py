"""The stage after the detectors: one alert for one cause, in the scope that explains it best.

Each detector raises alarms on every (task_type, model, config) and on two roll-ups: one cause gives many alarms, over
hours. An alarm that an open incident explains opens no alert; simultaneous alarms are merged into one
(docs/reference.md, section 3). Only here are records and sentences made.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from aftercall.records import Alert
from aftercall.times import DAY_US, MINUTE_US, NEVER
from models.alarms.alarm import Alarm, RateChange
from models.alerts.incidents import Incident, Incidents
from models.alerts.leaf_answers import LeafAnswers
from models.alerts.leaf_trials import LeafTrials
from models.alerts.marks import Marks
from models.alerts.other_causes import OtherCauses
from models.alerts.rate_causes import RateCauses
from models.alerts.settings import AlertSettings
from models.alerts.violations import Violations
from models.messages import Closed
from models.state import Migrations

REMEMBERED_US: Final = 14 * DAY_US
"""How long a closed incident explains late alarms."""
_RATE: Final = "success_rate"


class Alerting:
    """Alarms and closed minutes in, alert records out. Nothing depends on how minutes are cut into messages.

    Memory: per (task, model, config) and source 16 bytes per hour with trials of the last 14 days, 12 per error and
    hour with failures by it, the incidents, the marks, and the alerts on violations of contracts.
    """

    STATE_VERSION: ClassVar = 5
    # Version 2 did not count calls; version 3 knew no marks and had nothing beside a headline. Version
    # 4 knew no facets of calls.
    MIGRATIONS: ClassVar[Migrations] = {
        2: lambda state: {**state, "answers": None},
        3: lambda state: {"marks": [], **state},
        4: lambda state: state,
    }

    def __init__(self, settings: AlertSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from a `state()`."""
        self._settings = settings
        self._through = NEVER if state is None else state["through"]
        self._trials = LeafTrials(None if state is None else state["trials"])
        self._incidents = Incidents(None if state is None else state["incidents"])
        self._answers = LeafAnswers(None if state is None else state["answers"])
        self._marks = Marks(() if state is None else state.get("marks", ()))
        self._violations = Violations(settings.rules, None if state is None else state.get("violations"))
        self._rates = RateCauses(self._incidents, self._trials, self._answers, self._violations, settings)
        self._others = OtherCauses(self._incidents)

    def close(self, closed: Closed, alarms: list[Alarm]) -> list[Alert]:
        """Take in the minutes that have closed, and what the detectors found in them.

        Args:
            closed: as the detectors read it.
            alarms: in any order; each at the end of one of these minutes.

        Returns:
            Records by time; those of one alert in the order of `seq`.
        """
        waiting = sorted(alarms, key=_order, reverse=True)
        alerts: list[Alert] = []
        self._violations.read(closed)
        end = closed.through * MINUTE_US
        while True:
            due = min((self._due(incident) for incident in self._incidents.open()), default=end + 1)
            at = min(waiting[-1].at if waiting else end + 1, due)
            for then, alert in self._violations.advance(min(at, end), self._incidents):
                self._add_trials(closed, then // MINUTE_US)  # marks up to then may be named
                alerts.append(self._marks.named(alert))
            if at > end:
                break
            self._violations.refresh(self._incidents)
            self._add_trials(closed, at // MINUTE_US)
            for incident in [incident for incident in self._incidents.open() if self._due(incident) <= at]:
                alerts += map(self._marks.named, self._review(incident, at))
            while waiting and waiting[-1].at <= at:
                alarm = waiting.pop()
                causes = self._rates if isinstance(alarm.details, RateChange) else self._others
                alerts += map(self._marks.named, causes.explain(alarm))
            self._violations.release(self._incidents)
            self._incidents.forget(at - REMEMBERED_US)
        self._add_trials(closed, closed.through)
        return alerts

    @property
    def open_alerts(self) -> int:
        """How many alerts are open."""
        return len(self._incidents.open()) + len(self._violations)

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays; not a copy."""
        violations = self._violations.state()
        return {
            "through": self._through,
            "trials": self._trials.state(),
            "answers": self._answers.state(),
            "incidents": self._incidents.state(),
            "marks": self._marks.state(),
            **({"violations": violations} if violations else {}),  # as states of before there were contracts
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: AlertSettings) -> Alerting:
        """The stage as it was; `settings` hold from here on."""
        return cls(settings, state)

    def _add_trials(self, closed: Closed, until: int) -> None:
        if until > self._through:
            self._trials.add(closed, self._through, until)
            self._answers.add(closed, self._through, until)
            self._marks.add(closed.marks, self._through, until)
            self._through = until

    def _due(self, incident: Incident) -> int:
        normal = incident.opened + self._settings.new_normal_after_us
        if incident.metric != _RATE:
            return normal
        return min(normal, self._rates.due(incident))

    def _review(self, incident: Incident, at: int) -> list[Alert]:
        """Close an incident whose level has become normal, or look at its outcomes again."""
        if at >= incident.opened + self._settings.new_normal_after_us:
            return [incident.normal(at)]
        return self._rates.review(incident, at)


def _order(alarm: Alarm) -> tuple[Any, ...]:
    kind, group, metric = alarm.series
    # At one instant the narrow series first: their order does not depend on that of the detectors.
    width = sum(part is None for part in group)
    return (alarm.at, width, kind, metric, *(part or "" for part in group), alarm.direction)
