"""How long a drop of the success rate would take to be noticed at a group's traffic, by the detector that is shipped.

Simulated: a baseline of as many trials as the group has, a week without a change, then the drop, through the recursion
of `models.shiryaev_roberts` on a few hundred paths at once, with rates drawn towards day and hour as in
`models.dispersion` at a given correlation. There is no closed form that holds where traffic is thin: the mean path
takes far too long there, since it is the lucky stretch of trials that is noticed.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from models.dispersion import LEAST_RHO, PRIOR_RHO
from models.shiryaev_roberts import RATIOS
from models.streams import F64

LONGEST_DAYS: Final = 56.0
"""Drops that half of the paths have not shown by then are not timed."""
PATHS: Final = 500
_SEED: Final = 20_261
_LEARNED: Final = 0.2
"""Times trials a day: .0025 at 50, .0009 at 200, .0002 at 2,000 after five weeks of independent outcomes."""
_LOG_RATIOS: F64 = np.log(RATIOS)
_CAP: Final = 1e15


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
    correlation: float | None = None,
    margin: float = 0.0,
    min_trials: int = 30,
) -> Power:
    """Time until a drop is noticed. 10 to 100 ms; equal arguments give equal answers.

    Args:
        successes: Trials of the baseline that succeeded, >= 0.
        failures: Those that failed.
        per_day: Trials per day from now on, >= 0.
        threshold: A of the detector, > 0.
        drop: Of the success rate, in (0, 1]; it ends at 0.
        correlation: Of trials within a day and within an hour, >= 0, as the detector has learned it; by default what
            it learns of independent outcomes in some weeks, an upper bound that falls with traffic. Where days differ
            it takes longer.
        margin: Added to the failure rate that is compared with, in [0, 1).
        min_trials: Trials that the baseline must have before anything is tested.
    """
    if per_day <= 0:
        return Power(math.inf, 0.0)
    if correlation is None:
        correlation = min(max(_LEARNED / per_day, LEAST_RHO), PRIOR_RHO)
    trials = successes + failures
    before = (failures + 0.5) / (trials + 1)
    after = min(before + drop, 1.0)
    rng = np.random.default_rng(_SEED)
    paths = _Paths(rng, trials, before, margin, correlation, min_trials)
    for _ in range(7):
        paths.day(6, per_day, before)
    noticed = np.where(paths.mean() >= threshold, -1.0, math.inf)
    for day in range(int(LONGEST_DAYS)):
        # A batch adds half its length to the delay: an hour, and less than 10 % after two days.
        for clock, mean in paths.day(24 if day < 2 else 6, per_day, after):
            noticed = np.where(np.isinf(noticed) & (mean >= threshold), day + clock, noticed)
        if not np.isinf(noticed).any():
            break
    fair = noticed[noticed >= 0]
    if not len(fair):
        return Power(0.0, 1.0)
    # Not np.median: between a number and infinity there is no middle.
    return Power(float(np.sort(fair)[len(fair) // 2]), float((fair <= 7).mean()))


class _Paths:
    """The detector on `PATHS` groups with histories of their own, one direction."""

    def __init__(
        self, rng: np.random.Generator, trials: float, before: float, margin: float, rho: float, min_trials: int
    ) -> None:
        self._rng, self._margin, self._rho, self._min_trials = rng, margin, rho, min_trials
        self._trials: F64 = np.full(PATHS, float(round(trials)))
        self._failures: F64 = rng.binomial(round(trials), before, PATHS).astype(np.float64)
        self._r: F64 = np.zeros((PATHS, len(RATIOS)))

    def day(self, batches: int, per_day: float, rate: float) -> list[tuple[float, F64]]:
        """A day in equal batches; at the end of each the day's share that is over, and the mean of R per path."""
        hours, told = 24 / batches, []
        shown: F64 = np.zeros((2, PATHS))
        for batch in range(batches):
            trials = self._rng.poisson(per_day / batches, PATHS)
            failures = self._rng.binomial(trials, rate)
            seen: F64 = np.array((failures, trials), np.float64)
            hourly = seen / hours
            # Of a batch of several hours, each meets on average half of the others as the day's earlier ones.
            counting = hours * hourly / (1 + self._rho * hourly[1])
            of_day = shown + counting * (1 - 1 / hours) / 2
            q = (0.5 + self._failures + failures / 2) / (1 + self._trials + trials / 2)
            for events, n in (of_day, hourly / 2):
                q = (q + self._rho * events) / (1 + self._rho * n)
            self._advance(1 / batches / 7, seen, q + self._margin)
            shown += counting
            told.append(((batch + 1) / batches, self.mean()))
        return told

    def mean(self) -> F64:
        return np.asarray(self._r.mean(axis=1))

    def _advance(self, weeks: float, seen: F64, q: F64) -> None:
        failures, trials = seen
        evidence = failures[:, None] * _LOG_RATIOS
        evidence -= trials[:, None] * np.log1p((RATIOS - 1) * np.minimum(q, 1.0)[:, None])
        self._r = np.minimum((self._r + weeks) * np.exp(np.minimum(evidence, 50.0)), _CAP)
        self._r[self._trials < self._min_trials] = 0.0
        self._failures += failures
        self._trials += trials
