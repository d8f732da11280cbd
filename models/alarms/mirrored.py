"""Turns an alarm on a rate into that on its complement: the share of violations for that of what keeps to a rule."""

from __future__ import annotations

from typing import Final

from aftercall.records import Direction
from models.alarms.alarm import Alarm
from models.alarms.digits import significant

_OTHER: Final[dict[Direction, Direction]] = {"down": "up", "up": "down"}


def mirrored(alarm: Alarm) -> Alarm:
    """The same alarm on one minus the rate; the counts in its evidence stay.

    >>> from models.alarms.alarm import RuleChange
    >>> series, details = ("contract", ("refund", None, None), "refund.fast"), RuleChange("warning")
    >>> alarm = Alarm(0, series, "down", 0.99, 0.94, -0.07, -0.03, 0, None, {}, details)
    >>> mirrored(alarm)[2:7]
    ('up', 0.01, 0.06, 0.03, 0.07)
    """
    ended = alarm.ends
    return alarm._replace(
        direction=_OTHER[alarm.direction],
        baseline=significant(1 - alarm.baseline),
        current=significant(1 - alarm.current),
        effect_low=None if alarm.effect_high is None else significant(-alarm.effect_high),
        effect_high=None if alarm.effect_low is None else significant(-alarm.effect_low),
        ends=None
        if ended is None
        else ended._replace(
            direction=_OTHER[ended.direction],
            baseline=significant(1 - ended.baseline),
            current=significant(1 - ended.current),
        ),
    )
