"""What the figures of `insights` rest on: who answers, what silence could mean, how soon a drop would be noticed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.drift import DriftSettings
from models.stats.bounds import GAMMA, if_answered_unevenly, manski
from models.stats.power import power

DROP = 0.05
"""The drop whose discovery is timed, in shares."""


@dataclass(frozen=True)
class Silence:
    """What calls without a verdict leave open. Shares in [0, 1]; None where it cannot be told.

    `answered`: share of the calls that have a verdict; `answered_finally`: the share that will, by the delays.
    `low`, `high`: of the success rate of all calls, whatever the silent would say (chance included: at any look, 95 %).
    `gamma_low`, `gamma_high`: where a success is answered up to `gamma` times as readily as a failure, or that much
    less readily; both are the rate itself where everybody answers.
    """

    answered: float
    answered_finally: float | None
    low: float
    high: float
    gamma: float
    gamma_low: float | None
    gamma_high: float | None


@dataclass(frozen=True)
class Noticed:
    """How soon a drop of `drop` would be noticed. `days`: the median, None where it is over eight weeks."""

    drop: float
    outcomes_per_day: float
    days: float | None
    within_week: float


def silence(
    successes: int, failures: int, calls: int, *, rate: float | None, maturity: float | None, pending: int
) -> Silence | None:
    """What the silence of a span's calls leaves open; None without calls.

    Args:
        successes: Calls resolved as such.
        failures: The same.
        calls: All of the span.
        rate: Success rate among those who answer, the best there is.
        maturity: Share of the final verdicts that is in, None where unknown.
        pending: Calls that may still get a verdict.
    """
    if not calls:
        return None
    bounds = manski(successes, failures, calls)
    answered = (successes + failures) / calls
    finally_ = answered if not pending else None if not maturity else min(answered / maturity, 1.0)
    low = high = None
    if rate is not None and finally_ is not None:
        # However unevenly they answer, those who do are that many: the range cannot leave these ends.
        least, most = finally_ * rate, 1 - finally_ * (1 - rate)
        low, high = (min(max(float(if_answered_unevenly(rate, gamma)), least), most) for gamma in (GAMMA, 1 / GAMMA))
    return Silence(answered, finally_, float(bounds.sure_low), float(bounds.sure_high), GAMMA, low, high)


def noticed(successes: int, failures: int, per_day: float, settings: DriftSettings) -> Noticed | None:
    """How soon the detector of this group would notice a drop; None without outcomes.

    Args:
        successes: Of the group's whole history, which is what the detector has learned.
        failures: The same.
        per_day: Outcomes per day at present.
        settings: The promise and the margin; traffic decides whether the margin holds.
    """
    if per_day <= 0 or not successes + failures:
        return None
    found = power(
        successes,
        failures,
        per_day,
        settings.threshold,
        drop=DROP,
        margin=settings.margin_of(per_day, 1.0).item(),
        min_trials=settings.min_trials,
    )
    return Noticed(DROP, per_day, None if math.isinf(found.days) else found.days, found.within_week)
