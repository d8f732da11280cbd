"""An open alert on violations of a rule: what it counts, when its next record is due, and what that says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from aftercall.records import Severity
from aftercall.times import DAY_US, HOUR_US, HOURS_PER_DAY, MINUTE_US, MINUTES_PER_HOUR
from aftercall.vocabulary import CONTRACT, OTHER
from models.alarms.digits import significant
from models.alarms.rule_alerts import RuleRows
from models.alerts.incidents import Incident
from models.alerts.scope import DEFAULT_CONFIG, Scope, covers
from models.alerts.violation_text import brief_violations, violations_text
from models.messages import Group

QUIET_US: Final = DAY_US
"""After so long without a violation an alert is closed."""
REMEMBERED: Final = 8 * HOURS_PER_DAY
"""Hours of violations that are known by the hour."""


@dataclass
class OpenViolation:
    """A rule with an open alert; times in minutes.

    Attributes:
        incident: of the alert.
        counts: violations and checks since the first violation, by group.
        last: when the last violation was.
        said: how many violations the newest record speaks of.
        hours: violations by group and hour, of the last `REMEMBERED` hours.
        beside: whether they stand beside the alert of a success rate, and have none of their own.
    """

    incident: Incident
    counts: dict[Group, tuple[int, int]]
    last: int
    said: int
    hours: dict[tuple[Group, int], int] = field(default_factory=dict)
    beside: bool = False

    @classmethod
    def begin(cls, metric: str, minute: int) -> OpenViolation:
        """Of a first violation in this minute, which is not counted."""
        incident = Incident(CONTRACT, metric, "up", (None, None, None), (minute + 1) * MINUTE_US, [minute])
        return cls(incident, {}, minute, 0)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> OpenViolation:
        """The reverse of `plain`; earlier versions knew no hours."""
        counts = {(task, model, config): (f, n) for task, model, config, f, n in plain["counts"]}
        hours = {((task, model, config), hour): f for task, model, config, hour, f in plain.get("hours", ())}
        incident, beside = Incident.from_plain(plain["incident"]), plain.get("beside", False)
        return cls(incident, counts, plain["last"], plain["said"], hours, beside)

    def plain(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "incident": self.incident.plain(),
            "counts": [(*group, *counts) for group, counts in sorted(self.counts.items())],
            "last": self.last,
            "said": self.said,
            "hours": [(*group, hour, failed) for (group, hour), failed in sorted(self.hours.items())],
            **({"beside": True} if self.beside else {}),
        }

    @property
    def failed(self) -> int:
        """All violations."""
        return sum(failed for failed, _ in self.counts.values())

    def count(self, rows: RuleRows, names: list[Group]) -> None:
        """Take in further checks."""
        for code in np.unique(rows.code).tolist():
            mine = rows.code == code
            failed, checked = self.counts.get(names[code], (0, 0))
            more = int(rows.failed[mine].sum()), int(rows.checked[mine].sum())
            self.counts[names[code]] = failed + more[0], checked + more[1]
        failing = rows.failed.nonzero()[0]
        if len(failing):
            self.last = int(rows.minute[failing[-1]])
            self._count_hours(rows, failing.tolist(), names)

    def _count_hours(self, rows: RuleRows, failing: list[int], names: list[Group]) -> None:
        for at in failing:
            key = names[rows.code[at]], int(rows.minute[at]) // MINUTES_PER_HOUR
            self.hours[key] = self.hours.get(key, 0) + int(rows.failed[at])
        oldest = self.last // MINUTES_PER_HOUR - REMEMBERED
        self.hours = {key: failed for key, failed in self.hours.items() if key[1] > oldest}

    def due(self) -> int:
        """When its next record is made, if nothing comes before it, microseconds."""
        end = (self.last + 1) * MINUTE_US
        return -(-end // HOUR_US) * HOUR_US if self.failed > self.said else end + QUIET_US

    def more_since(self, scope: Scope, changed: int, now: int) -> float:
        """Violations within a scope since minute `changed`, beyond as many as the day before makes expected.

        0 where that day is no longer known by the hour.
        """
        first, hour = self.incident.moves[0] // MINUTES_PER_HOUR, changed // MINUTES_PER_HOUR
        day = range(hour - HOURS_PER_DAY, hour)
        if day.start <= self.last // MINUTES_PER_HOUR - REMEMBERED and first < hour:
            return 0.0
        known = [(of, failed) for (group, of), failed in self.hours.items() if covers(scope, group)]
        before = sum(failed for of, failed in known if of in day)
        since = sum(failed for of, failed in known if of >= hour)
        return since - before * max(now / MINUTES_PER_HOUR - hour, 0.0) / HOURS_PER_DAY

    def fields(self, severity: Severity | None) -> dict[str, Any]:
        """What its next record says; also sets the scope."""
        incident = self.incident
        failed, checked = self.count_within()
        worst = min(self.counts, key=lambda group: (-self.counts[group][0], group))
        self.said = failed
        return {
            "severity": severity or incident.record["severity"],
            "baseline": None,
            "current": significant(failed / checked),
            "effect_low": None,
            "effect_high": None,
            "promise": None,
            "evidence": {"violations": failed, "checked": checked},
            "reason": violations_text(
                incident.metric, incident.scope, (failed, checked), incident.moves[0], (worst, *self.counts[worst])
            ),
        }

    def count_within(self) -> tuple[int, int]:
        """Violations and checks within what the violations have in common, which becomes the scope."""
        self.incident.scope = common(group for group, (failed, _) in self.counts.items() if failed)
        within = [counts for group, counts in self.counts.items() if covers(self.incident.scope, group)]
        failed, checked = (sum(column) for column in zip(*within, strict=True))
        return failed, checked

    def brief(self) -> tuple[float, str]:
        """The share of the checked calls that violate the rule, and a sentence for beside another headline."""
        failed, checked = self.count_within()
        return significant(failed / checked), brief_violations(self.incident.metric, failed, checked)


def common(groups: Iterable[Group]) -> Scope:
    """What groups have in common; what has folded has no name.

    >>> common([("refund", "a", "v1"), ("refund", "b", "v1")]), common([("refund", "a", "v1"), ("search", "a", "v2")])
    (('refund', None, 'v1'), (None, 'a', None))
    >>> common([("refund", "__other__", "__other__")]), common([("refund", "a", "default"), ("refund", "b", "default")])
    (('refund', None, None), ('refund', None, None))
    """
    several = list(groups)
    task, model, config = (
        names.pop() if len(names) == 1 and OTHER not in names else None
        for names in map(set, zip(*several, strict=True))
    )
    return task, model, None if config == DEFAULT_CONFIG and len(several) > 1 else config
