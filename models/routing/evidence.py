"""What the outcomes of an arm's calls tell, by the time of the call and corrected for what is still out.

With weights w(u) that fall with the age of a call, and E_y the weighted sum over the calls of F_y(age), the share of
their verdicts y that is in (`models.routing.task_delays`):

    successes' : failures' = S E_0 / E_1 : F,    as many in all as there are outcomes,

which is `models.stats.delay_correction` without its prior. They are worth only what has arrived of the slower kind: as
(S + F) min(E_0, E_1) / calls outcomes that are all in.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US
from models.arrays import F64
from models.routing.dated_counts import Bins, middle_ages
from models.routing.task_delays import in_by

MOST_CORRECTED: Final = 50.0
"""Greatest E_0 / E_1, and of its inverse: beyond it hardly any verdict of one kind can be in, and nothing is known."""
SHORTEST_US: Final = 12 * HOUR_US
"""Least memory."""
TOLD_APART: Final = 0.03
"""Difference of two rates that the outcomes remembered tell apart."""
_POWER: Final = 2 * (1.96 + 0.84) ** 2
"""Two-sided 5 %, power 80 %, two arms."""
_RECENT_US: Final = 48 * HOUR_US
_LEAST_VARIANCE: Final = 0.05
_UNDECAYED: Final = 1e18


class Evidence(NamedTuple):
    """Per arm, shape (arms,) each, >= 0."""

    successes: F64
    """Corrected; with `failures` as many as outcomes."""
    failures: F64
    share: F64
    """Of what the outcomes would tell if all were in, in (0, 1]."""
    calls: F64


def evidence(bins: Bins, arms: int, now: int, memory_us: float, shares: tuple[F64, F64] | None) -> Evidence:
    """Sum up what the calls of each arm tell at `now` (us).

    Args:
        bins: of the task type.
        arms: how many there are.
        now: us.
        memory_us: time constant with which older calls lose weight.
        shares: of `TaskDelays.shares`; None where delays are not known yet: nothing is corrected.
    """
    age = middle_ages(bins, now)
    weight = np.exp(-age / memory_us)

    def total(values: F64) -> F64:
        sums: F64 = np.maximum(np.bincount(bins.arm, weights=values, minlength=arms), 0.0)
        return sums

    successes, failures, calls = (total(weight * c) for c in (bins.successes, bins.failures, bins.calls))
    resolved, ones = successes + failures, np.ones(arms)
    if shares is None or not len(age):
        return Evidence(successes, failures, ones, calls)
    failed, succeeded = (total(weight * bins.calls * in_by(one, age)) for one in shares)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = (calls > 0) & (failed > 0) & (succeeded > 0)
        factor = np.where(known, np.clip(failed / succeeded, 1 / MOST_CORRECTED, MOST_CORRECTED), 1.0)
        share = np.where(known, np.minimum(failed, succeeded) / calls, 1.0)
        corrected = successes * factor
        scale = np.where(resolved > 0, resolved / (corrected + failures), 0.0)
    return Evidence(corrected * scale, failures * scale, np.clip(share, 1 / MOST_CORRECTED, 1.0), calls)


def memory(bins: Bins, arms: int, now: int, longest_us: int) -> float:
    """Time constant (us) with which older calls lose weight: as long as outcomes take to tell 3 points apart.

    That is 2 (1.96 + .84)^2 p (1 - p) / .03^2 outcomes for each arm (the sample size of two proportions), at the pace
    of the last two days; at least 12 h, at most `longest_us`.
    """
    recent = bins.start >= now - _RECENT_US
    successes, failures = bins.successes[recent].sum(), bins.failures[recent].sum()
    outcomes = max(float(successes + failures), 0.0)
    if outcomes <= 0:
        return float(longest_us)
    rate = min(max(successes / outcomes, 0.0), 1.0)
    needed = arms * _POWER * max(rate * (1 - rate), _LEAST_VARIANCE) / TOLD_APART**2
    span = min(now - int(bins.start.min()), _RECENT_US)
    return float(min(max(needed / outcomes * span, min(SHORTEST_US, longest_us)), longest_us))


def moved(bins: Bins, arms: int, since: int, now: int, shares: tuple[F64, F64] | None) -> F64:
    """By how many standard errors the rate of each arm is another for calls since an instant (us) than before it.

    Pooled two-sample z of corrected rates, each worth what its outcomes tell. Shape (arms,), > 0 for better, 0 where
    there are no outcomes on one side.
    """
    after = bins.start >= since
    old, new = (
        evidence(Bins._make(column[side] for column in bins), arms, now, _UNDECAYED, shares) for side in (~after, after)
    )
    (n_old, good_old), (n_new, good_new) = (
        ((part.successes + part.failures) * part.share, part.successes * part.share) for part in (old, new)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = (good_old + good_new + 1) / (n_old + n_new + 2)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n_old + 1 / n_new))
        z: F64 = np.where((n_old > 0) & (n_new > 0), (good_new / n_new - good_old / n_old) / error, 0.0)
    return z
