"""Explain alarms on success rates by the outcomes: which scope changed, and whether an open incident covers it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aftercall.records import Alert, Direction
from aftercall.times import MINUTE_US, MINUTES_PER_DAY, MINUTES_PER_HOUR
from models.alarms.alarm import Alarm, RateChange
from models.alarms.digits import significant
from models.alerts.began_text import began_text, following_text
from models.alerts.caveat import caveat, new_kind_of_day
from models.alerts.effect_of_alarm import effect_of_alarm
from models.alerts.incidents import Incident, Incidents, measured
from models.alerts.leaf_answers import Answers, LeafAnswers
from models.alerts.leaf_trials import LeafTrials
from models.alerts.looks import CHECKS, FEWEST, REPORTED, contradiction, is_over, says_more, since_alarm, spans
from models.alerts.relations import confirms, echo, same_time
from models.alerts.scope import SHARE, Explanation, Scope, covers, leaf_gains, overlap, wider
from models.alerts.sentences import (
    Contradiction,
    Turn,
    concentration,
    corrected_text,
    cost_text,
    promise_text,
    rate_changed,
    rate_measured,
    rate_recovered,
    rests_on,
    sentence_of,
    verdict_time_text,
)
from models.alerts.settings import AlertSettings
from models.alerts.severity import severity_of, severity_of_alarm, steady
from models.alerts.slices import ErrorCounts, slices_of
from models.alerts.split_text import split_text
from models.alerts.violations import Violations
from models.alerts.who_answers import who_answers
from models.arrays import F64, I64, Bools
from models.columns.minute_rows import BASELINE_HOURS
from models.stats.effect_size import Effect, regained, standardised_effect

LEAST: Final = 8.0
"""Log-likelihood ratio that what open incidents leave unexplained must have to be another cause."""
AGAIN: Final = 48 * MINUTES_PER_HOUR
"""A change that comes back this soon after its end reopens its alert."""


class RateCauses:
    """Decides on alarms of one kind and metric whose trials are known."""

    def __init__(
        self,
        incidents: Incidents,
        trials: LeafTrials,
        answers: LeafAnswers,
        violations: Violations,
        settings: AlertSettings,
    ) -> None:
        self._incidents, self._trials, self._answers, self._settings = incidents, trials, answers, settings
        self._violations = violations

    def explain(self, alarm: Alarm) -> list[Alert]:
        """Open an alert, or update or close those that explain the alarm; nothing where that adds nothing."""
        kind, group, metric = alarm.series
        now = alarm.at // MINUTE_US
        changed = min(alarm.changed_at // MINUTE_US, now - 1)
        inside = self._within(group)
        alerts, explained, partly = self._recoveries(alarm, changed, now)
        suspected = explained.copy()
        for incident in self._incidents.of_family(kind, metric):
            if incident.direction != alarm.direction or incident.closed is not None:
                continue
            suspected |= self._within(incident.scope)
            if same_time(incident, changed):
                explained |= self._within(incident.scope)
        # Leaves of incidents opened before `changed` are compared with their level since: did they move again?
        best: Explanation | None = None
        if (inside & ~explained).any():  # else the many counts need not be read
            best = self._trials.leaves.best(self._gains(changed, now, alarm), inside, ~explained)
        if best is None or best.gain < LEAST:
            if (suspected & inside).any():
                alerts += self._confirmed(alarm, changed, now)
                return [self._moved(partly, alarm, changed, now)] if partly is not None and not alerts else alerts
            best = Explanation(group, 0.0)
        return [*alerts, *self._alert(best, alarm, changed, now)]

    def due(self, incident: Incident) -> int:
        """When the next review of an open incident is due, microseconds."""
        if incident.checks >= len(CHECKS):
            return incident.opened + self._settings.new_normal_after_us
        full_hour = -(-incident.opened_minute // MINUTES_PER_HOUR)
        return (full_hour + CHECKS[incident.checks]) * MINUTES_PER_HOUR * MINUTE_US

    def review(self, incident: Incident, at: int) -> list[Alert]:
        """A scheduled review, on outcomes after the alarm alone: nothing in them was selected by it."""
        hours = CHECKS[incident.checks]
        incident.checks += 1
        now = at // MINUTE_US
        effect, span = self._looked_at(incident, hours, now)
        begin = now - span * MINUTES_PER_HOUR
        if effect is None or begin < incident.moves[-1]:
            return []
        enough = effect.independent >= FEWEST
        if enough and is_over(effect, incident.record, incident.direction):
            return [self._recovered(incident, effect, at, begin)]
        wrong = contradiction(effect, incident.record, hours)
        more = enough and incident.checks <= REPORTED and says_more(effect, incident.record)
        return [self._measured(incident, effect, at, span, wrong)] if wrong or more else []

    def _looked_at(self, incident: Incident, hours: int, now: int) -> tuple[Effect | None, int]:
        """The effect by the outcomes of a review, and of how many hours they are."""
        found: tuple[Effect | None, int] = None, hours
        for span in spans(hours):
            found = self._effect(incident, now - span * MINUTES_PER_HOUR, now), span
            if found[0] is not None and found[0].independent >= FEWEST:
                break
        return found

    def _measured(self, incident: Incident, effect: Effect, at: int, span: int, wrong: Contradiction | None) -> Alert:
        """The change by outcomes that did not raise the alarm; `wrong`: how they contradict what was reported."""
        now = at // MINUTE_US
        per_day = self._per_day(incident.scope, effect, now)
        late = now - span * MINUTES_PER_HOUR > incident.opened_minute + MINUTES_PER_HOUR
        reason = rate_measured(incident.scope, incident.metric, effect, incident.moves[0], span, late=late)
        evidence = incident.record["evidence"] | {name: int(effect.trials) for name in ("trials_after", "outcomes")}
        if wrong is not None:
            evidence["corrected_from"] = incident.record["current"]
            reason += corrected_text(evidence["corrected_from"], wrong)
        reason += cost_text(per_day)
        changes = measured(effect, per_day) | self._slices(incident, now - span * MINUTES_PER_HOUR, now)
        worst = effect.low if incident.direction == "down" else effect.high
        at_worst = severity_of(worst, per_day * worst / effect.points if effect.points else 0.0)
        changes["severity"] = steady(incident.record["severity"], changes["severity"], at_worst)
        return incident.issue(at, state="updated", reason=reason, evidence=evidence, **changes)

    # What an alarm means

    def _recoveries(self, alarm: Alarm, changed: int, now: int) -> tuple[list[Alert], Bools, Incident | None]:
        """Alerts that the alarm closes, leaves whose movement that explains, and an incident that is partly over."""
        kind, group, metric = alarm.series
        alerts: list[Alert] = []
        explained = np.zeros(len(self._trials.leaves.names), np.bool_)
        partly: Incident | None = None
        for incident in self._incidents.of_family(kind, metric):
            if incident.closed is not None:
                if echo(incident, alarm, changed):
                    explained |= self._within(incident.scope)
                continue
            if incident.direction == alarm.direction or not overlap(incident.scope, group):
                continue
            effect = self._effect(incident, changed, now)
            reported = incident.record["current"]
            if effect is None or reported is None:
                continue
            if regained(effect, reported):
                alerts.append(self._recovered(incident, effect, alarm.at, changed))
                beyond = effect.low > 0 if incident.direction == "down" else effect.high < 0
                if beyond:
                    continue
            else:
                partly = incident
            explained |= self._within(incident.scope)
        return alerts, explained, partly

    def _alert(self, best: Explanation, alarm: Alarm, changed: int, now: int) -> list[Alert]:
        """For a movement that no incident explains: an old one moved again, became wider, came back; or a new one."""
        kind, _, metric = alarm.series
        for incident in self._incidents.of_family(kind, metric):
            if incident.direction != alarm.direction:
                continue
            together = same_time(incident, changed)
            if incident.closed is None and not together and self._same(incident.scope, best.scope):
                return [self._moved(incident, alarm, changed, now)]
            if incident.closed is None and together:
                scope = self._joint(incident, best, alarm, changed, now)
                if scope is not None:
                    return self._widened(incident, scope, alarm, now)
            closed = incident.closed if incident.recovered else None
            soon = closed is not None and alarm.at - closed <= AGAIN * MINUTE_US
            if soon and (covers(incident.scope, best.scope) or covers(best.scope, incident.scope)):
                return [self._reopened(incident, alarm, changed, now)]
        return self._opened(best.scope, alarm, changed, now)

    def _joint(self, incident: Incident, best: Explanation, alarm: Alarm, changed: int, now: int) -> Scope | None:
        """The narrowest scope over both whose one shift explains nearly as much as two shifts would.

        What is outside the incident must support it by itself: a large change must not swallow a small one elsewhere.
        """
        covered = self._within(incident.scope)
        begin = np.where(covered, incident.moves[-1], changed)
        gains = self._gains(begin, now, alarm, incident)
        alone = _gain(gains, covered)
        for scope in wider(incident.scope):
            if not covers(scope, best.scope):
                continue
            inside = self._within(scope)
            ratio = int(gains[inside].sum(axis=0).argmax())
            together, outside = gains[inside, ratio].sum(), gains[inside & ~covered, ratio].sum()
            if together >= SHARE * (alone + best.gain) and outside >= SHARE * best.gain:
                return self._trials.leaves.named(scope)
        return None

    def _opened(self, scope: Scope, alarm: Alarm, changed: int, now: int) -> list[Alert]:
        kind, group, metric = alarm.series
        incident = Incident(kind, metric, alarm.direction, scope, alarm.at, [changed])
        effect = effect_of_alarm(alarm) if self._same(scope, group) else None
        if effect is None:
            effect = self._effect(incident, changed, now, alarm.direction) or effect_of_alarm(alarm)
        fields = self._described(incident, effect, alarm, now)
        evidence = {**alarm.evidence, **_outcomes(effect)}
        wait = int(self._who_answers(incident, now)[1].wait)
        causes = self._violations.behind(incident, effect, now)
        return self._incidents.take_over(incident, alarm.at, wait, causes, evidence=evidence, **fields)

    def _moved(self, incident: Incident, alarm: Alarm, changed: int, now: int) -> Alert:
        incident.moves.append(changed)
        return self._again(incident, alarm, now, "again")

    def _confirmed(self, alarm: Alarm, changed: int, now: int) -> list[Alert]:
        """Alerts without a promise because another one had to help, whose evidence now does by itself."""
        kind, _, metric = alarm.series
        evidence = alarm._replace(evidence=alarm.evidence | {"following": 0.0})
        incidents = [one for one in self._incidents.of_family(kind, metric) if confirms(alarm, one, changed)]
        return [self._again(incident, evidence, now, "confirmed") for incident in incidents]

    def _widened(self, incident: Incident, scope: Scope, alarm: Alarm, now: int) -> list[Alert]:
        incident.scope = scope
        merged = self._incidents.absorb(incident, alarm.at)
        alerts = [self._again(incident, alarm, now, "wider"), *merged]
        for other in self._incidents.of_family(incident.kind, incident.metric):
            same = other is not incident and other.direction == incident.direction and other.closed is None
            if same and covers(scope, other.scope) and same_time(incident, other.moves[0]):
                alerts.append(other.merge(alarm.at, incident))
                self._incidents.all.remove(other)
        return alerts

    def _reopened(self, incident: Incident, alarm: Alarm, changed: int, now: int) -> Alert:
        incident.closed, incident.recovered, incident.checks = None, False, 0
        incident.opened = alarm.at
        incident.moves.append(changed)
        return self._again(incident, alarm, now, "reopened", state="opened", closed_at=None)

    def _again(self, incident: Incident, alarm: Alarm, now: int, turn: Turn, **changes: Any) -> Alert:
        effect = self._effect(incident, incident.moves[-1], now, alarm.direction) or effect_of_alarm(alarm)
        fields = self._described(incident, effect, alarm, now, turn)
        evidence = {**since_alarm(incident.record["evidence"]), **alarm.evidence, **_outcomes(effect)}
        return incident.issue(alarm.at, **{"state": "updated", "evidence": evidence, **fields, **changes})

    def _recovered(self, incident: Incident, effect: Effect, at: int, since: int) -> Alert:
        incident.moves.append(since)
        reason = rate_recovered(incident.scope, incident.metric, effect, since, incident.opened)
        evidence = {**incident.record["evidence"], "current_after": round(effect.current, 6)}
        return incident.close(at, reason, recovered=True, evidence=evidence)

    def _described(
        self, incident: Incident, effect: Effect | None, alarm: Alarm, now: int, turn: Turn = "opened"
    ) -> dict[str, Any]:
        """Severity, numbers, slices, promise and sentence of a change."""
        promise = None if alarm.promise is None else promise_text(alarm.promise)
        if effect is None:
            return {
                "severity": severity_of_alarm(alarm),
                "baseline": alarm.baseline,
                "current": alarm.current,
                "effect_low": alarm.effect_low,
                "effect_high": alarm.effect_high,
                "promise": promise,
                "reason": sentence_of(alarm),
            }
        per_day = self._per_day(incident.scope, effect, now)
        slices = self._slices(incident, incident.moves[-1], now)
        answers = self._who_answers(incident, now)
        began = alarm.details.began if isinstance(alarm.details, RateChange) else None
        doubt = None if promise is None else self._caveat(incident, effect, alarm, now, answers)
        if began is not None and began.others:
            doubt = following_text(began.others)
        reason = rate_changed(incident.scope, incident.metric, effect, incident.moves[-1], turn)
        reason += (
            rests_on(effect)
            + began_text(began)
            + verdict_time_text(answers[1].wait)
            + cost_text(per_day)
            + concentration(slices["slices"])
            + split_text(slices["split"], slices["mixes"])
            + (f" {doubt}" if doubt else "")
        )
        kept = {"promise": promise if doubt is None else None, "caveat": doubt, "reason": reason}
        return {**measured(effect, per_day), **slices, **kept}

    # What the counts say

    def _within(self, scope: Scope) -> Bools:
        return self._trials.leaves.within(scope)

    def _same(self, one: Scope, other: Scope) -> bool:
        """Whether two scopes cover the same of the leaves seen so far."""
        return one == other or bool(np.array_equal(self._within(one), self._within(other)))

    def _levels(self, changed: int, leave_out: Incident | None = None) -> I64:
        """The minute from which each leaf's level before `changed` held: after its warm-up, and what moved it."""
        warmup = self._settings.warmup_of
        leaves = self._trials.leaves
        warm = (-(-warmup(name[0]) // MINUTE_US) for name in leaves.names)
        start = np.array(self._trials.first, np.int64) + np.fromiter(warm, np.int64, len(leaves.names))
        for incident in self._incidents.all:
            past = [move for move in incident.moves if move < changed]
            if incident is leave_out or incident.metric != "success_rate" or not past:
                continue
            inside = self._within(incident.scope)
            start[inside] = np.maximum(start[inside], max(past))
        return start

    def _gains(self, changed: I64 | int, now: int, alarm: Alarm, incident: Incident | None = None) -> F64:
        """Per leaf, since `changed` (of each, or of all), against its level before that or before the incident."""
        end = int(np.min(changed)) if incident is None else incident.moves[0]
        before = self._trials.between(now, self._levels(end, incident), end)
        since = self._trials.between(now, changed, now)
        return leaf_gains(before, since, self._trials.leaves.parents(), worse=alarm.direction == "down")

    def _effect(self, incident: Incident, begin: int, now: int, selected: Direction | None = None) -> Effect | None:
        """Of outcomes since `begin` against those before the incident; `selected` by an alarm of this direction."""
        inside, end, trials = self._within(incident.scope), incident.moves[0], self._trials
        levels = self._levels(end, incident)
        (f0, n0), (f1, n1) = trials.between(now, levels, end), trials.between(now, begin, now)
        worth = trials.design_effect(inside, now, levels, now)
        return standardised_effect((f0[inside], n0[inside]), (f1[inside], n1[inside]), selected, worth)

    def _per_day(self, scope: Scope, effect: Effect, now: int) -> float:
        """Failures a day that a change costs, at the traffic of the last day."""
        inside = self._within(scope)
        first = int(np.array(self._trials.first, np.int64)[inside].min(initial=now))
        begin = max(-(-(now - MINUTES_PER_DAY) // MINUTES_PER_HOUR) * MINUTES_PER_HOUR, first)
        _, trials = self._trials.between(now, begin, now)
        return -effect.points * float(trials[inside].sum()) * MINUTES_PER_DAY / max(now - begin, 1)

    def _slices(self, incident: Incident, begin: int, now: int) -> dict[str, Any]:
        end, trials = incident.moves[0], self._trials
        inside, levels = self._within(incident.scope), self._levels(end, incident)
        before, since = trials.by_slice(now, levels, end), trials.by_slice(now, begin, now)
        (f0, leaf, text), (f1, _, _) = trials.by_error(now, levels, end), trials.by_error(now, begin, now)
        slices = slices_of(trials.leaves.names, inside, before, since, ErrorCounts(f0, f1, leaf, text))
        return {"slices": slices, **trials.explained(inside, now, levels, end, begin)}

    def _who_answers(self, incident: Incident, now: int) -> tuple[Answers, Answers]:
        """Calls and verdicts before and since the change."""
        inside, changed = self._within(incident.scope), incident.moves[-1]
        start = int(self._levels(incident.moves[0], incident)[inside].max(initial=0))
        names = self._trials.leaves.names
        return self._answers.compared({names[at] for at in np.flatnonzero(inside)}, now, start, changed)

    def _caveat(
        self, incident: Incident, effect: Effect, alarm: Alarm, now: int, answers: tuple[Answers, Answers]
    ) -> str | None:
        inside, end = self._within(incident.scope), incident.moves[0]
        start = self._levels(end, incident)[inside]
        first = max(int(start.max(initial=0)), (now // MINUTES_PER_HOUR - BASELINE_HOURS + 1) * MINUTES_PER_HOUR)
        whole = range(-(-first // MINUTES_PER_DAY), end // MINUTES_PER_DAY)
        days = [
            tuple(
                float(column[inside].sum())
                for column in self._trials.between(now, day * MINUTES_PER_DAY, (day + 1) * MINUTES_PER_DAY)
            )
            for day in whole
        ]
        columns = np.array(days).reshape(-1, 2)
        before = {day for day, trials in zip(whole, columns[:, 1], strict=True) if trials}
        # Midway from the change, as its moment is an estimate.
        since = set(range((end + now) // 2 // MINUTES_PER_DAY, now // MINUTES_PER_DAY + 1))
        return caveat(
            rate=effect.baseline,
            changed=effect.plain,
            trials=effect.baseline_trials,
            threshold=alarm.evidence.get("threshold", 2000.0),
            days=(columns[:, 0], columns[:, 1]),
            worth=self._trials.design_effect(inside, now, first, end),
            new_kind=new_kind_of_day(before, since),
            who=who_answers(*answers, self._mix(incident, now)),
        )

    def _mix(self, incident: Incident, now: int) -> tuple[F64, F64, F64, F64, list[str]]:
        """Failures and trials before and since the change, per slice within the scope, and the source of each."""
        end, trials = incident.moves[0], self._trials
        f0, n0, leaf, sources = trials.by_slice(now, self._levels(end, incident), end)
        f1, n1, _, _ = trials.by_slice(now, incident.moves[-1], now)
        rows = np.flatnonzero(self._within(incident.scope)[leaf])
        return f0[rows], n0[rows], f1[rows], n1[rows], [sources[row] for row in rows]


def _gain(gains: F64, inside: Bools) -> float:
    return float(gains[inside].sum(axis=0).max(initial=0.0))


def _outcomes(effect: Effect | None) -> dict[str, float]:
    """How many outcomes an estimate rests on, for the evidence."""
    return {} if effect is None else {"outcomes": significant(effect.trials)}
