"""Computes what limits the figures of `insights`: calls without verdict, and detection delay."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.drift import DriftSettings
from models.stats.bounds import GAMMA, if_answered_unevenly, manski
from models.stats.power import power

DROP = 0.05
"""The drop of the success rate whose detection delay is computed; a share in [0, 1]."""


@dataclass(frozen=True)
class Silence:
    """What calls without a verdict leave open. Shares in [0, 1]; None if unknown.

    `answered`: share of the calls that have a verdict; `answered_finally`: the share that will have one, estimated from
    the delays. `low`, `high`: bounds of the success rate of all calls, whatever the verdicts of the silent calls would
    be; anytime-valid, 95 %. `gamma_low`, `gamma_high`: the rate of all calls if a success is answered up to `gamma`
    times as readily as a failure, or that much less readily; both equal the rate if every call is answered.
    """

    answered: float
    answered_finally: float | None
    low: float
    high: float
    gamma: float
    gamma_low: float | None
    gamma_high: float | None


@dataclass(frozen=True)
class DetectionDelay:
    """How soon the detector would notice a drop of `drop`.

    `days`: the median, None if it is over eight weeks. `within_week`: probability of an alarm within a week.
    """

    drop: float
    outcomes_per_day: float
    days: float | None
    within_week: float


def silence(
    successes: int, failures: int, calls: int, *, rate: float | None, maturity: float | None, pending: int
) -> Silence | None:
    """What the calls without a verdict leave open in a span; None without calls.

    Args:
        successes: Calls resolved as success.
        failures: Calls resolved as failure.
        calls: All calls of the span.
        rate: Best estimate of the success rate among the answered calls.
        maturity: Share of the final verdicts that have arrived, None if unknown.
        pending: Calls that may still get a verdict.
    """
    if not calls:
        return None
    bounds = manski(successes, failures, calls)
    answered = (successes + failures) / calls
    finally_ = answered if not pending else None if not maturity else min(answered / maturity, 1.0)
    low = high = None
    if rate is not None and finally_ is not None:
        # The answered calls are this share in any case, so the rate of all calls is within these ends.
        least, most = finally_ * rate, 1 - finally_ * (1 - rate)
        low, high = (min(max(float(if_answered_unevenly(rate, gamma)), least), most) for gamma in (GAMMA, 1 / GAMMA))
    return Silence(answered, finally_, float(bounds.sure_low), float(bounds.sure_high), GAMMA, low, high)


def detection_delay(successes: int, failures: int, per_day: float, settings: DriftSettings) -> DetectionDelay | None:
    """How soon the detector of this group would notice a drop; None without outcomes.

    Args:
        successes: In the group's whole history, which the detector has learned.
        failures: In the same history.
        per_day: Outcomes per day at present.
        settings: The promise and the margin; the traffic decides whether the margin applies.
    """
    if per_day <= 0 or not successes + failures:
        return None
    delay = power(
        successes,
        failures,
        per_day,
        settings.threshold,
        drop=DROP,
        margin=settings.margin_of(per_day, 1.0).item(),
        min_trials=settings.min_trials,
    )
    return DetectionDelay(DROP, per_day, None if math.isinf(delay.days) else delay.days, delay.within_week)
