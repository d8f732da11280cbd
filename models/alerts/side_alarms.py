"""The other alarms of an alert's cause: scores, latencies, costs, tokens and rates that moved in one scope at one time.

An alert has one headline: the success rate where it moved, else the promised change, else the most severe. The others
stand beside it, and have no alert of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from aftercall.records import Direction, Severity
from aftercall.times import MINUTE_US, MINUTES_PER_DAY, to_datetime
from aftercall.vocabulary import CONTRACT, EVERY_TASK
from models.alarms.alarm import Alarm
from models.alarms.digits import significant
from models.alerts.scope import Scope
from models.alerts.sentences import brief_text, scope_text
from models.alerts.severity import graver, severity_of_alarm

JOINED: Final = frozenset({"drift", "quantile", "shift", CONTRACT})
"""Kinds of alarms that may have one cause. Traffic and answers have alerts of their own: their remedies are others."""
SOONER_BY: Final = MINUTES_PER_DAY
"""Minutes by which a change may be dated before that of the headline, which needs other amounts of evidence."""
_FIRST: Final = "success_rate"


@dataclass
class SideAlarm:
    """An alarm beside the headline; times in minutes since 1970.

    Attributes:
        kind, metric, direction, baseline, current, promised, severity: of the alarm.
        scope: group that alarmed first.
        changed: when its level changed.
        text: what changed, without scope and time.
        groups: all that have alarmed.
        back: those whose change is over.
    """

    kind: str
    metric: str
    direction: Direction
    scope: Scope
    changed: int
    baseline: float | None
    current: float | None
    promised: bool
    severity: Severity
    text: str
    groups: list[Scope]
    back: list[Scope]

    @classmethod
    def of(cls, alarm: Alarm) -> SideAlarm:
        """Of an alarm that is no recovery."""
        kind, group, metric = alarm.series
        return cls(
            kind,
            metric,
            alarm.direction,
            group,
            alarm.changed_at // MINUTE_US,
            significant(alarm.baseline),
            significant(alarm.current),
            alarm.promise is not None,
            severity_of_alarm(alarm),
            brief_text(alarm),
            [group],
            [],
        )

    @property
    def over(self) -> bool:
        """Whether the change is over in all groups."""
        return len(self.back) >= len(self.groups)

    def within(self, scope: Scope) -> str:
        """What changed, with its scope where that of the alert is another, and whether it is over."""
        where = "" if self.scope == scope else f" of {scope_text(self.scope)}"
        return self.text + where + (" (over)" if self.over else "")

    def move(self, alarm: Alarm) -> None:
        """Take in a further alarm of one of its groups, in the same direction."""
        newer = SideAlarm.of(alarm)
        self.promised |= newer.promised
        self.severity = graver(self.severity, newer.severity)
        if (newer.kind, newer.metric) == (self.kind, self.metric):
            self.current, self.text = newer.current, newer.text
        if newer.scope in self.back:
            self.back.remove(newer.scope)

    def on_the_wire(self) -> dict[str, Any]:
        """The fields of `aftercall.records.OtherAlarm`."""
        task, model, config = self.scope
        kept = {name: value for name, value in asdict(self).items() if name in _ON_THE_WIRE}
        where = {"task_type": EVERY_TASK if task is None else task, "model": model, "config": config}
        return {**kept, **where, "changed_at": to_datetime(self.changed * MINUTE_US), "over": self.over}


_ON_THE_WIRE: Final = frozenset({"kind", "metric", "direction", "baseline", "current", "promised", "text"})


def is_of_source(metric: str) -> bool:
    """Whether a metric is the success rate by one source alone."""
    return metric.startswith(f"{_FIRST}:")


def rank(metric: str, severity: Severity, *, promised: bool) -> tuple[int, bool, int]:
    """What the headline should be, the greatest first: the success rate, that by a source, what is promised, severe.

    >>> rank("success_rate", "info", promised=False) > rank("success_rate:judge", "warning", promised=True)
    True
    >>> rank("success_rate:judge", "info", promised=False) > rank("latency_ms", "critical", promised=False)
    True
    >>> rank("latency_ms:p90", "warning", promised=True) > rank("latency_ms", "critical", promised=False)
    True
    """
    return 2 * (metric == _FIRST) + is_of_source(metric), promised, ("info", "warning", "critical").index(severity)


def gravest(severity: Severity, others: Iterable[SideAlarm]) -> Severity:
    """The severity of an alert: of its headline and of what stands beside it and is not over."""
    for other in others:
        if not other.over:
            severity = graver(severity, other.severity)
    return severity
