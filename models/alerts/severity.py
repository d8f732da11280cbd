"""How severe an alert is: by the failures a day that it costs, where they are counted; else by the change itself."""

from __future__ import annotations

from typing import Final

from aftercall.records import Severity
from models.alarms.alarm import (
    Alarm,
    MeanChange,
    RateChange,
    RuleChange,
    ShareChange,
    SourceRateChange,
    VolumeChange,
)

LARGE_DROP: Final = 0.10
"""A drop by this much is critical where the group is busy enough to matter."""
FAILURES_MATTER: Final = 24.0
"""A day, from which a large drop is critical: one an hour."""
FAILURES_CRITICAL: Final = 240.0
"""A day, from which any drop is critical: ten an hour."""
FAILURES_SMALL: Final = 1.0
"""A day, below which a drop is information."""
TWICE: Final = 2.0
"""A rise of latency, cost or tokens by this factor is critical."""
RARE: Final = 0.2
COMMON: Final = 0.5
"""Bad values that were at most `RARE` and are at least `COMMON` are critical; shares."""
SILENT: Final = 0.05
"""Of what is expected; a fall of traffic or responses below is critical where it costs."""
EVENTS_MATTER: Final = 24.0
"""More or fewer in a day than usual, from which a part of the traffic matters: one an hour."""
EVENTS_SURELY_MATTER: Final = 240.0
"""A day, from which it matters in any traffic: ten an hour."""
PART: Final = 0.05
MOST_OF_ALL: Final = 0.5
"""Shares of all traffic, from which EVENTS_MATTER, or any number, matter."""


def severity_of(points: float, failures_per_day: float) -> Severity:
    """Severity of a change of the success rate.

    Args:
        points: current minus baseline, in rates: -0.1 is a drop of 10 points.
        failures_per_day: what it costs, see `models.stats.effect_size`.

    >>> severity_of(-0.12, 30.0), severity_of(-0.12, 3.0), severity_of(-0.02, 400.0), severity_of(-0.3, 0.5)
    ('critical', 'warning', 'critical', 'info')
    >>> severity_of(0.3, -1000.0)
    'info'
    """
    if points >= 0 or failures_per_day < FAILURES_SMALL:
        return "info"
    large = points <= -LARGE_DROP and failures_per_day >= FAILURES_MATTER
    return "critical" if large or failures_per_day >= FAILURES_CRITICAL else "warning"


def severity_of_alarm(alarm: Alarm) -> Severity:
    """Severity of a change of which only the alarm is known; of a recovery, that of the change that it ends.

    Cheaper, faster and better is information; a flood is not.
    """
    ended = alarm if alarm.ends is None else alarm.ends
    before, now, up = ended.baseline, ended.current, ended.direction == "up"
    match alarm.details:
        case RateChange():
            return "info" if up else "critical" if now - before <= -LARGE_DROP else "warning"
        case SourceRateChange():
            return "info" if up else "warning"  # what it costs is counted by verdicts
        case RuleChange(worst):
            return worst if up else "info"
        case MeanChange(unit) if unit:
            return "info" if not up else "critical" if now / before >= TWICE else "warning"
        case MeanChange():
            return "info" if up else "warning"
        case ShareChange(_, unit):
            if unit == "":
                before, now = 1 - before, 1 - now
            return "info" if now <= before else "critical" if now >= COMMON and before <= RARE else "warning"
        case VolumeChange() as volume:
            if not _costs(volume):
                return "info"
            return "critical" if not up and now <= SILENT * before else "warning"


def _costs(change: VolumeChange) -> bool:
    """Whether a change of traffic matters: by what is missing, or comes on top, in a day, and its share of all.

    >>> [_costs(VolumeChange(0, 9, "", *one)) for one in ((9.0, 0.02), (30.0, 0.1), (300.0, 0.01), (9.0, 0.6))]
    [False, True, True, True]
    """
    some = change.per_day >= EVENTS_MATTER and change.share >= PART
    return some or change.per_day >= EVENTS_SURELY_MATTER or change.share >= MOST_OF_ALL


def steady(before: Severity, by_estimate: Severity, at_worst: Severity) -> Severity:
    """Severity at an update: rises with the estimate, falls only as far as the worse end of its interval allows.

    >>> steady("critical", "warning", "critical"), steady("critical", "info", "warning")
    ('critical', 'warning')
    >>> steady("info", "warning", "critical")
    'warning'
    """
    kept = min(before, at_worst, key=_ORDER.index)
    return max(by_estimate, kept, key=_ORDER.index)


_ORDER: Final[tuple[Severity, ...]] = ("info", "warning", "critical")


def graver(one: Severity, other: Severity) -> Severity:
    """The more severe of two.

    >>> graver("info", "critical")
    'critical'
    """
    return max(one, other, key=_ORDER.index)
