"""Simulate how soon the shipped detector would notice a drop at a group's traffic.

Some hundred groups with this baseline and this traffic are fed to `models.stats.shiryaev_roberts` itself,
five weeks before a drop and eight after it. So the correlations of days and hours are those it learns, before the drop
and from it, in an installation of thirty such groups: the one difference of days, and failures that spread more than
the old rate lets them, count as dispersion and make it slower. There is no closed form that holds where traffic is
thin: the mean path takes far too long there, since it is the lucky stretch of trials that is noticed.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from aftercall.times import DAYS_PER_WEEK, MINUTES_PER_DAY, MINUTES_PER_HOUR
from models.arrays import F64
from models.stats.shiryaev_roberts import ShiryaevRoberts

LONGEST_DAYS: Final = 56
"""Drops that half of the groups have not shown by then are not timed."""
GROUPS: Final = 300

_SEED: Final = 20_261
_INSTALLATION: Final = 30
"""Groups from which correlations are learned: what hundreds would tell of each other, few installations know."""
_OLDEST_DAYS: Final = 366
"""What a day varies is in the mean of more days as good as not at all."""
_LEARNED_DAYS: Final = 35
_BUSY: Final = 1000.0
"""Trials a day from which the delay may be hours."""


class Power(NamedTuple):
    """When a drop would be noticed."""

    days: float
    """Median, counted from the drop; inf where it is more than `LONGEST_DAYS`."""
    within_week: float
    """Probability that it is noticed within 7 days."""


def power(
    successes: float,
    failures: float,
    per_day: float,
    threshold: float,
    *,
    drop: float = 0.05,
    margin: float = 0.0,
    min_trials: int = 30,
    dispersion: bool = True,
) -> Power:
    """Time until a drop is noticed, whatever the hour it comes. 40 to 150 ms; equal arguments give equal answers.

    Outcomes are independent: where days differ on their own it takes longer. Groups that alarm before are left out.

    Args:
        successes: Trials of the baseline that succeeded, >= 0.
        failures: Those that failed. The baseline is as old as all of them take at `per_day`, at least a day.
        per_day: Trials per day, >= 0.
        threshold: A of the detector, > 0.
        drop: Of the success rate, in (0, 1]; it ends at 0.
        margin: Added to the failure rate that is compared with, in [0, 1).
        min_trials: Trials that the baseline must have before anything is tested.
        dispersion: Whether the detector allows for days and hours that differ; the shipped one does.

    >>> found = power(900, 100, 200, 5000.0, drop=0.2)
    >>> round(found.days, 2), round(found.within_week, 2)
    (1.33, 0.96)
    """
    if per_day <= 0:
        return Power(math.inf, 0.0)
    trials = successes + failures
    before = (failures + 0.5) / (trials + 1)
    age = round(min(trials / per_day, _OLDEST_DAYS))
    learned = min(age, _LEARNED_DAYS)
    rng = np.random.default_rng(_SEED)
    rows = np.arange(GROUPS)
    detector = ShiryaevRoberts(min_trials=min_trials, dispersion=dispersion)
    detector.grow(GROUPS, opens=rows % 4)
    older = round(max(trials - learned * per_day, 0.0))
    detector.trials[:] = older
    detector.failures[:] = rng.binomial(older, before, GROUPS)
    detector.began[:] = 0
    drop_day = max(age, 1)
    # Spread over the hours of a day: what is held against the baseline waits for the next own day.
    begin = (24 * drop_day + rows * 24 // GROUPS).astype(np.float64)
    noticed = np.full(GROUPS, math.inf)
    # One length throughout: hours are what correlations are learned from, and the detector takes a batch for an hour.
    # It adds half its length to the delay, which counts only where that is hours.
    hours = 1 if per_day >= _BUSY and age >= DAYS_PER_WEEK else 3
    for hour in range(24 * (drop_day - learned), 24 * (drop_day + 1 + LONGEST_DAYS), hours):
        minute = hour * MINUTES_PER_HOUR
        trials_now = rng.poisson(per_day * hours / 24, GROUPS)
        failed = rng.binomial(trials_now, np.where(hour < begin, before, min(before + drop, 1.0)))
        detector.begin_day(minute // MINUTES_PER_DAY, apart=rows < _INSTALLATION)
        if hour < 24 * (drop_day - DAYS_PER_WEEK):
            detector.learn(rows, np.full(GROUPS, minute), failed.astype(np.float64), trials_now.astype(np.float64), 1.0)
            continue
        mean, _ = detector.update(rows, trials_now - failed, failed, minute, margin)
        noticed[np.isinf(noticed) & (mean >= threshold)] = hour + hours
        if _is_settled((noticed - begin)[noticed > begin], hour + hours - int(begin[-1])):
            break
    days = np.sort((noticed - begin)[noticed > begin]) / 24
    if not len(days):
        return Power(0.0, 1.0)
    # Not np.median: between a number and infinity there is no middle.
    median = float(days[len(days) // 2])
    return Power(median if median <= LONGEST_DAYS else math.inf, float((days <= DAYS_PER_WEEK).mean()))


def _is_settled(hours: F64, had: int) -> bool:
    """Whether the answer is known.

    Args:
        hours: From each group's drop until it was noticed, inf where it is not yet.
        had: Hours that all groups have had since their drop: what is still to come took longer.
    """
    if np.isfinite(hours).all():
        return True
    share = float((hours <= had).mean())
    hopeless = had > 12 * LONGEST_DAYS and share < 1 / 8
    return hopeless or (had >= 24 * DAYS_PER_WEEK and share > 1 / 2)
