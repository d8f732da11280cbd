"""Computes what limits the figures of `insights`: calls without verdict, and detection delay."""

from __future__ import annotations

from dataclasses import dataclass

from models.stats.bounds import GAMMA, one_answered_unevenly
from models.stats.noticing import DROP

__all__ = ["DROP", "DetectionDelay", "Silence", "silence"]


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
    answered: int, calls: int, bounds: tuple[float, float], *, rate: float | None, maturity: float | None, pending: int
) -> Silence | None:
    """What the calls without a verdict leave open in a span; None without calls.

    Args:
        answered: Calls with a verdict.
        calls: All calls of the span.
        bounds: Of the success rate of all calls, for any verdicts of the silent ones: `sure_low`, `sure_high` of
            `models.stats.bounds.manski`.
        rate: Best estimate of the success rate among the answered calls.
        maturity: Share of the final verdicts that have arrived, None if unknown.
        pending: Calls that may still get a verdict.
    """
    if not calls:
        return None
    share = answered / calls
    finally_ = share if not pending else None if not maturity else min(share / maturity, 1.0)
    low = high = None
    if rate is not None and finally_ is not None:
        # The answered calls are this share in any case, so the rate of all calls is within these ends.
        least, most = finally_ * rate, 1 - finally_ * (1 - rate)
        low, high = (min(max(one_answered_unevenly(rate, gamma), least), most) for gamma in (GAMMA, 1 / GAMMA))
    return Silence(share, finally_, *bounds, GAMMA, low, high)
