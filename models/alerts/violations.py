"""Alerts on rules of contracts of which each violation counts (`alert = "each"`): facts, without a promise.

A rule has one alert at most: it is opened at the first violation, updated at the end of each hour with further ones,
and closed after 24 h without. Its scope is what all violations have in common. Where a success rate falls by them, that
alert takes the fall as its headline, and they stand beside it.
"""

from __future__ import annotations

import heapq
from typing import Any, Final

import numpy as np

from aftercall.records import Alert
from aftercall.times import MINUTE_US
from aftercall.vocabulary import CONTRACT
from models.alarms.rule_alerts import RuleAlerts, RuleRows, rows_by_rule, severities
from models.alerts.incidents import Incident, Incidents
from models.alerts.open_violation import OpenViolation
from models.alerts.side_alarms import SideAlarm
from models.alerts.violation_text import over_text
from models.messages import Closed, Group
from models.stats.effect_size import Effect

EXPLAINED: Final = 0.5
"""Violations that explain at least this share of the failures that a fall costs are its cause."""


class Violations:
    """The open alerts on violations; per rule some 100 bytes for each group that it judged since its alert began."""

    def __init__(self, rules: RuleAlerts, state: list[dict[str, Any]] | None = None) -> None:
        """Start empty, or with the `state()` of another."""
        self._rules, self._severities = rules, severities(rules)
        self._open: dict[str, OpenViolation] = {}
        self._rows: dict[str, RuleRows] = {}
        self._begin: dict[str, int] = {}
        """Of the rows of a rule, those that have been read."""
        self._names: list[Group] = []
        for one in map(OpenViolation.from_plain, state or ()):
            self._open[one.incident.metric] = one

    def __len__(self) -> int:
        """How many are open."""
        return sum(not one.beside for one in self._open.values())

    def state(self) -> list[dict[str, Any]]:
        """Plain values."""
        return [one.plain() for _, one in sorted(self._open.items())]

    def read(self, closed: Closed) -> None:
        """Take in minutes that have closed; `advance` counts what is in them."""
        rows = rows_by_rule(self._rules, "each", closed.rules, closed.checks)
        self._rows = {metric: rows[metric] for metric in rows if metric in self._open or rows[metric].failed.any()}
        self._begin, self._names = dict.fromkeys(self._rows, 0), closed.names

    def advance(self, until: int, incidents: Incidents) -> list[tuple[int, Alert]]:
        """The records up to a time in microseconds, with their times, by these and by metric.

        Nothing depends on how minutes are cut into messages, or on which times it is called with.
        """
        found = list[tuple[int, Alert]]()
        due = [(at, metric) for metric in {*self._rows, *self._open} if (at := self._due(metric, until)) <= until]
        heapq.heapify(due)
        while due:
            at, metric = heapq.heappop(due)
            found.append((at, self._record(metric, at, incidents)))
            if (then := self._due(metric, until)) <= until:
                heapq.heappush(due, (then, metric))
        return found

    def behind(self, headline: Incident, effect: Effect | None, now: int) -> list[Incident]:
        """The alerts on violations by which a success rate has fallen; from now on they stand beside it.

        Args:
            headline: of the success rate.
            effect: by how much it has fallen.
            now: the minute.
        """
        if headline.direction != "down" or effect is None:
            return []
        lost, found = -effect.points * effect.trials, []
        for _, one in sorted(self._open.items()):
            more = 0.0 if one.beside else one.more_since(headline.scope, headline.moves[0], now)
            if more > 0 and more >= EXPLAINED * lost:
                found.append(one.incident)
                own = one.incident
                own.record["current"], own.text = one.brief()
                one.incident, one.beside = Incident.from_plain(own.plain()), True
        return found

    def refresh(self, incidents: Incidents) -> None:
        """Bring what stands beside other headlines up to date."""
        for metric, one in self._open.items():
            if one.beside and (place := _side(metric, incidents)) is not None:
                place[1].current, place[1].text = one.brief()

    def release(self, incidents: Incidents) -> None:
        """Forget what stood beside alerts that are closed: further violations have an alert of their own."""
        for metric in [metric for metric, one in self._open.items() if one.beside]:
            if _side(metric, incidents) is None:
                del self._open[metric]

    def _due(self, metric: str, until: int) -> int:
        """When its next record is due; counts the checks up to then, or `until` where that is sooner."""
        rows, begin = self._rows.get(metric, _NO_ROWS), self._begin.get(metric, 0)
        ahead = rows.minute[begin:][rows.failed[begin:] > 0]
        one = self._open.get(metric)
        if one is None:
            return (int(ahead[0]) + 1) * MINUTE_US if len(ahead) else until + 1
        for minute in ahead.tolist():
            if (then := (minute + 1) * MINUTE_US) > min(one.due(), until):
                break
            self._count(metric, one, then)
        self._count(metric, one, min(one.due(), until))
        return one.due()

    def _count(self, metric: str, one: OpenViolation, until: int) -> None:
        """Count the rows of minutes that end by `until` (microseconds)."""
        rows = self._rows.get(metric, _NO_ROWS)
        begin, upto = self._begin.get(metric, 0), int(np.searchsorted(rows.minute, until // MINUTE_US))
        if upto > begin:
            one.count(RuleRows(*(column[begin:upto] for column in rows)), self._names)
            self._begin[metric] = upto

    def _record(self, metric: str, at: int, incidents: Incidents) -> Alert:
        """The record that is due: the first, one with more violations, or the last."""
        one = self._open.get(metric)
        if one is None:
            minute = at // MINUTE_US - 1
            one = self._open[metric] = OpenViolation.begin(metric, minute)
            self._begin[metric] = int(np.searchsorted(self._rows[metric].minute, minute))
            self._count(metric, one, at)
            return one.incident.open(minute + 1, at, **one.fields(self._severities.get(metric)))
        if one.beside and (place := _side(metric, incidents)) is not None:
            return self._of_side(metric, one, *place, at)
        over = one.failed == one.said
        fields = one.fields(self._severities.get(metric))
        if not over:
            return one.incident.issue(at, state="updated", **fields)
        del self._open[metric]
        fields["reason"] = over_text(metric, fields["reason"])
        return one.incident.close(at, recovered=True, **fields)

    def _of_side(self, metric: str, one: OpenViolation, headline: Incident, side: SideAlarm, at: int) -> Alert:
        """The next record of the alert beside whose headline the violations stand."""
        side.current, side.text = one.brief()
        if one.failed == one.said:
            side.back = list(side.groups)
            del self._open[metric]
        one.said = one.failed
        return headline.issue(at, state="updated")


def _side(metric: str, incidents: Incidents) -> tuple[Incident, SideAlarm] | None:
    """The violations of a rule that stand beside the headline of an open alert, and that alert."""
    for incident in incidents.open():
        for side in incident.others:
            if (side.kind, side.metric, side.baseline, side.over) == (CONTRACT, metric, None, False):
                return incident, side
    return None


_NO_ROWS: Final = RuleRows(*(np.zeros(0, np.int64),) * 4)
