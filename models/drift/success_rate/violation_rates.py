"""Watches how often rules of contracts are violated (`alert = "rate"`): a rule's checks are trials like verdicts.

Each rule is watched as verdicts are (`RateTest`), whatever the version, by groups and roll-ups of its own. Its results
come with the calls, so there is no warm-up and no correction for delay; and only more violations raise an alarm. Fewer
end one, or are the new baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aftercall.times import MINUTE_US, MINUTES_PER_DAY
from aftercall.vocabulary import CONTRACT
from models.alarms.alarm import Alarm
from models.alarms.mirrored import mirrored
from models.alarms.rule_alerts import RuleRows, rows_by_rule, severities
from models.arrays import I64
from models.drift.settings import DriftSettings
from models.drift.success_rate.daily_trials import within_days
from models.drift.success_rate.rate_test import RateTest
from models.messages import NO_DELAYS, NO_RESPONSES, NO_SLICES, NO_UNITS, Closed, TrialDeltas
from models.side_messages import NO_OPINION_TRIALS


class ViolationRates:
    """A `RateTest` per rule that raises alerts by its rate: nothing where none does."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance: of the rules that are still watched."""
        kept: dict[str, Any] = {} if state is None else state
        # Silence says nothing of a check, and a check has no horizon.
        own = replace(settings, unpromised_tasks=frozenset(), warmup_us=0, warmup_by_task={})
        threshold = settings.threshold_of(CONTRACT, 1 / len(settings.by_rate)) if settings.by_rate else None
        worst = severities(settings.rules)
        self._rules = settings.rules
        self._tests = {
            metric: RateTest(own, kept.get(metric), threshold=threshold, rule=(metric, worst[metric]))
            for metric in settings.by_rate
        }

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`: the checks of calls. O(rows of checks)."""
        raised = list(alarms)
        rows = rows_by_rule(self._rules, "rate", closed.rules, closed.checks) if self._tests else {}
        for metric, test in self._tests.items():
            if metric in rows:
                raised += map(mirrored, _tested(test, _checked(rows[metric], closed)))
            test.open.expire(closed.through * MINUTE_US)
        return raised

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {metric: test.state() for metric, test in self._tests.items()}


def _tested(test: RateTest, checked: Closed) -> list[Alarm]:
    levels, raised = test.levels(checked.names, checked.trials), list[Alarm]()
    for of_day in within_days(checked.trials.minute, 0):
        test.begin_day(of_day[0] // MINUTES_PER_DAY)
        rows = test.rows(levels, checked, of_day)
        raised += test.test(rows) if len(rows.minute) else []
    test.units.take_shared()  # of the rates of verdicts alone
    return raised


def _checked(rows: RuleRows, closed: Closed) -> Closed:
    """A message in which the checks of a rule are the trials, of which none is later than its call."""
    failed, passed = _32(rows.failed), _32(rows.checked - rows.failed)
    trials = TrialDeltas(_32(rows.code), _32(rows.minute), passed, failed, passed, failed, 0 * failed)
    return closed._replace(
        trials=trials,
        delays=NO_DELAYS,
        slices=NO_SLICES,
        responses=NO_RESPONSES,
        units=NO_UNITS,
        opinion_trials=NO_OPINION_TRIALS,
        marks=(),
    )


def _32(column: I64) -> Any:
    return column.astype("int32")
