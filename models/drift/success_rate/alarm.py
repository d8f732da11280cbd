"""An alarm on a success rate, in words and numbers."""

from __future__ import annotations

from typing import Final

from aftercall.records import Direction, Severity
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, Watched
from models.alarms.phrases import utc_text
from models.drift.settings import DriftSettings
from models.stats.intervals import Z_99, newcombe

CRITICAL_POINTS: Final = 0.10
"""A drop of this much or more is critical, a smaller one a warning; a rise is information."""

Counts = tuple[float, float]
"""Failures and trials."""


def described(
    settings: DriftSettings,
    watched: Watched,
    direction: Direction,
    at: int,
    baseline: Counts,
    since: Counts,
    changed: int,
) -> Alarm:
    """The alarm at `at` (microseconds), from the counts before and since the minute `changed`; both of some trials."""
    (f0, n0), (f1, n1) = baseline, since
    rate0, rate1 = (n0 - f0) / n0, (n1 - f1) / n1
    low, high = (float(bound) for bound in newcombe(n0 - f0, n0, n1 - f1, n1, Z_99))
    points = rate1 - rate0
    severity: Severity = "info" if direction == "up" else "critical" if points <= -CRITICAL_POINTS else "warning"
    finding = (
        f"{'fell' if direction == 'down' else 'rose'} from {rate0:.1%} to {rate1:.1%} "
        f"({100 * points:+.1f} points, 99% interval {100 * low:+.1f} to {100 * high:+.1f}) "
        f"since about {utc_text(changed * MINUTE_US)}"
    )
    evidence = {
        "threshold": settings.threshold,
        "trials_before": n0,
        "failures_before": f0,
        "trials_since": n1,
        "failures_since": f1,
    }
    return Alarm(
        at=at,
        watched=watched,
        direction=direction,
        severity=severity,
        baseline=rate0,
        current=rate1,
        effect_low=low,
        effect_high=high,
        changed_at=changed * MINUTE_US,
        promise=None if watched[1][0] in settings.unpromised_tasks else settings.promise,
        finding=finding,
        evidence=evidence,
        origin=baseline,
    )
