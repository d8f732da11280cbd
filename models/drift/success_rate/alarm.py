"""Build the alarm on a success rate from the counts before and since the change."""

from __future__ import annotations

from collections.abc import Mapping

from aftercall.records import Direction
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, RateChange, Series
from models.alarms.digits import rounded
from models.drift.settings import DriftSettings
from models.stats.intervals import Z_99, newcombe

FailuresAndTrials = tuple[float, float]


def rate_alarm(
    settings: DriftSettings,
    series: Series,
    direction: Direction,
    at: int,
    before: FailuresAndTrials,
    since: FailuresAndTrials,
    changed: int,
    *,
    inherited: bool = False,
    evidence: Mapping[str, float] | None = None,
    threshold: float | None = None,
) -> Alarm:
    """The alarm at `at` (microseconds).

    Args:
        settings: threshold and promise.
        series: which.
        direction: of the success rate.
        at: end of the minute that raised it.
        before: counts before the change; some trials.
        since: counts since the change; some trials.
        changed: minute of the change.
        inherited: `before` is that of the series' roll-up.
        evidence: further numbers, to stand first.
        threshold: what the evidence had to reach, where that is not A.
    """
    (f0, n0), (f1, n1) = before, since
    low, high = (float(bound) for bound in newcombe(n0 - f0, n0, n1 - f1, n1, Z_99))
    counts = {"trials_before": n0, "failures_before": f0, "trials_since": n1, "failures_since": f1}
    return Alarm(
        at=at,
        series=series,
        direction=direction,
        baseline=(n0 - f0) / n0,
        current=(n1 - f1) / n1,
        effect_low=low,
        effect_high=high,
        changed_at=changed * MINUTE_US,
        promise=None if series[1][0] in settings.unpromised_tasks else settings.false_alarms_per_1000_groups_per_week,
        evidence=rounded({**(evidence or {}), "threshold": threshold or settings.threshold, **counts}),
        details=RateChange(inherited),
    )
