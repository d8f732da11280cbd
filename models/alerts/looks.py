"""Looks at an alert on outcomes after its alarm, which it did not select: when, and what they must say to be issued."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from aftercall.records import Direction
from models.alerts.sentences import Contradiction
from models.stats.effect_size import Effect, regained, surely_regained

CHECKS: Final = (1, 6, 24, 48, 72, 96, 120, 144, 168)
"""Hours of outcomes after the alarm at which an alert is reviewed."""
REPORTED: Final = 3
"""The first so many reviews may make the alert more exact; later ones find its end, or that it is wrong."""
FEWEST: Final = 30
"""Trials from which on a review counts in full."""
FEW: Final = 10
"""Trials from which on an interval is held against what was reported."""

A_DAY: Final = 24
"""Hours: late looks are at so many, and a level that varies over the day is known from then on."""
_SEEN: Final = "trials_after"
"""In the evidence: trials of the newest look that was issued."""


def spans(hours: int) -> tuple[int, ...]:
    """Hours before a review at `hours` whose outcomes are looked at: of these the first that has enough.

    Late reviews are for a recovery without an alarm, which old outcomes would hide.

    >>> spans(6), spans(72)
    ((6,), (24, 72))
    """
    return (hours,) if hours <= A_DAY else (A_DAY, hours)


def says_more(effect: Effect, record: Mapping[str, Any]) -> bool:
    """Whether an effect is known better than the reported one: else an update would be noise."""
    low, high = record["effect_low"], record["effect_high"]
    return low is None or high is None or effect.high - effect.low < high - low


def is_over(effect: Effect, record: Mapping[str, Any], direction: Direction) -> bool:
    """Whether at least half of a reported change is surely gone.

    What only the alarm's own outcomes have shown so far may never have been as large: as long as there surely is a
    change, that is no end of it (see `contradiction`).
    """
    if record["current"] is None or not surely_regained(effect, record["current"]):
        return False
    still = effect.high < 0 if direction == "down" else effect.low > 0
    return _SEEN in record["evidence"] or not still


def since_alarm(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence without what looks have added: of a change that has moved again they say nothing."""
    return {name: value for name, value in evidence.items() if name not in {_SEEN, "corrected_from"}}


def contradiction(effect: Effect, record: Mapping[str, Any], hours: int) -> Contradiction | None:
    """How outcomes that an alert did not select contradict what it reports; None where they do not.

    Their interval excludes the reported change (after the first day, by more than both are uncertain); or, from 24
    hours on, less than half of it is left, by enough outcomes to tell it from none (an interval narrower than twice
    the reported change).
    """
    if record["current"] is None or effect.independent < FEW:
        return None
    reported = record["current"] - record["baseline"]
    if _excludes(effect, record, reported, hours):
        return "excluded"
    telling = hours >= A_DAY and effect.independent >= FEWEST and effect.high - effect.low < 2 * abs(reported)
    return "half" if telling and regained(effect, record["current"]) else None


def _excludes(effect: Effect, record: Mapping[str, Any], reported: float, hours: int) -> bool:
    """Whether outcomes rule out the reported change.

    Each of the daily looks has few outcomes beside those that are reported by then, so that one of many would differ
    by chance: their interval and that of the report are taken together, as MOVER does (Zou and Donner 2008).
    """
    if hours <= A_DAY or record["effect_low"] is None or record["effect_high"] is None:
        return not effect.low <= reported <= effect.high
    found = effect.points
    if found > reported:
        return found - reported > math.hypot(found - effect.low, record["effect_high"] - reported)
    return reported - found > math.hypot(effect.high - found, reported - record["effect_low"])
