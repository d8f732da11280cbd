"""Judge a policy from calls that another one has drawn, with the propensity of each draw (off-policy evaluation).

A call drawn with propensity p stands for w = pi / p calls of the policy pi. Of n calls with verdicts y in {0, 1}:

- IPS, the mean of w y (Horvitz and Thompson 1952, JASA 47, 663-685): unbiased, and wide where p is small;
- SNIPS, sum w y / sum w (Swaminathan and Joachims 2015, NeurIPS 28): steadier, with a bias of order 1 / n;
- DR, the policy's mean of q plus the mean of w (y - q_arm), q the rate of each arm as it was seen (Dudik, Langford, Li
  2011, ICML 28): unbiased where p is right, and narrow where q is.

Every sum is of calls with a verdict, each worth 1 / F_y: F_y is the share of the verdicts y that is in at the age of
its call, so that slow verdicts count for those still out (`models.stats.delay_distribution`). As everywhere, a rate is
of the calls that are answered; silence that depends on the verdict can only be bounded (`models.stats.bounds`).

Intervals are by unit (session): a unit is drawn at one place and its verdicts go together, so the variance is that of
the units' influences (linearisation, Huber 1967, with the factor U / (U - 1)), with Student's t for as many units as
carry the variance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from models.arrays import F64, I64

_ALPHA = 0.05
"""Intervals leave out the truth so often."""


class Logged(NamedTuple):
    """Calls with a propensity, shape (n,) each."""

    arm: I64
    """Index of the arm called, 0 .. arms - 1."""
    propensity: F64
    """(0, 1]."""
    verdict: F64
    """1 success, 0 failure, nan without (pending or silent)."""
    arrived: F64
    """F_y of the verdict at the age of its call, (0, 1]; not read where there is none."""
    unit: I64
    """Index of the unit, any integers."""


class Estimate(NamedTuple):
    """A success rate and its interval of 95 %, in [0, 1]; nan where nothing can be said."""

    rate: float
    low: float
    high: float


class PolicyValue(NamedTuple):
    """What is known of a policy.

    Attributes:
        ips: Horvitz and Thompson's estimate.
        snips: the self-normalised one.
        dr: the doubly robust one; nan where an arm of the policy has no verdict.
        bounds: `low` if every silent call had failed, `high` if every one had succeeded, chance included.
        effective: Kish's effective number of verdicts, (sum w)^2 / sum w^2.
        largest: the largest share of one unit in the weights, in [0, 1].
        mean_weight: mean of w over all calls; 1 where the logged calls could have gone wherever the policy sends them.
        missing: indices of the arms the policy sends calls to and that have no logged call.
        uncovered: weight of these, in [0, 1].
    """

    ips: Estimate
    snips: Estimate
    dr: Estimate
    bounds: tuple[float, float]
    effective: float
    largest: float
    mean_weight: float
    missing: list[int]
    uncovered: float


_NOTHING = Estimate(np.nan, np.nan, np.nan)


def judge(logged: Logged, policy: F64 | None, arms: int) -> PolicyValue:
    """Judge a policy by logged calls; cost linear in calls plus units times arms.

    Args:
        logged: at least one call.
        policy: the weight of each arm, shape (arms,), summing to 1; None: the policy that drew the calls, whose three
            estimates are its plain rate.
        arms: how many there are, >= 1.

    >>> calls = Logged(np.array([0, 0, 1, 1]), np.full(4, 0.5), np.array([1.0, 1, 1, 0]), np.ones(4), np.arange(4))
    >>> judge(calls, np.array([0.0, 1.0]), 2).snips.rate, judge(calls, None, 2).dr.rate
    (0.5, 0.75)

    Raises:
        ValueError: a propensity is not in (0, 1], or the weights do not sum to 1.
    """
    if not np.all((logged.propensity > 0) & (logged.propensity <= 1)):
        raise ValueError("judge: propensities must be over 0 and at most 1")
    if policy is not None and (np.any(policy < 0) or abs(float(policy.sum()) - 1) > 1e-6):
        raise ValueError(f"judge: weights must be at least 0 and sum to 1; got {policy.tolist()}")
    w = np.ones(len(logged.arm)) if policy is None else policy[logged.arm] / logged.propensity
    _, unit = np.unique(logged.unit, return_inverse=True)
    in_ = ~np.isnan(logged.verdict)
    seen = np.bincount(logged.arm, minlength=arms)
    missing = [] if policy is None else [int(k) for k in np.flatnonzero((policy > 0) & (seen == 0))]
    uncovered = 0.0 if policy is None else float(policy[missing].sum())
    per_unit = np.bincount(unit, w)
    total = float(w.sum())
    worth, sums = w[in_], float((w[in_] ** 2).sum())
    return PolicyValue(
        *_estimates(logged, policy, arms, w, unit),
        _bounds(logged.verdict, w, unit, uncovered),
        float(worth.sum()) ** 2 / sums if sums else 0.0,
        float(per_unit.max()) / total if total else 0.0,
        total / len(w),
        missing,
        uncovered,
    )


def _estimates(logged: Logged, policy: F64 | None, arms: int, w: F64, unit: I64) -> tuple[Estimate, Estimate, Estimate]:
    """IPS, SNIPS and DR, by the sums of each unit."""
    in_ = ~np.isnan(logged.verdict)
    arm, y, u, w = logged.arm[in_], logged.verdict[in_], unit[in_], w[in_]
    each = 1 / logged.arrived[in_]
    units = int(unit.max()) + 1

    def by_unit(values: F64) -> F64:
        return np.bincount(u, values, units).astype(np.float64)

    answered, gains, weights = by_unit(each), by_unit(w * y * each), by_unit(w * each)
    n, reached = answered.sum(), weights.sum()
    if n <= 0:
        return _NOTHING, _NOTHING, _NOTHING
    ips = gains.sum() / n
    ips_estimate = _interval(ips, (gains - ips * answered) / n)
    if reached <= 0:
        return ips_estimate, _NOTHING, _NOTHING
    snips = gains.sum() / reached
    snips_estimate = _interval(snips, (gains - snips * weights) / reached)
    of_arm = np.bincount(arm, each, arms)
    if policy is None:
        return ips_estimate, snips_estimate, snips_estimate  # w = 1: the residuals of each arm sum to 0
    if np.any((policy > 0) & (of_arm <= 0)):
        return ips_estimate, snips_estimate, _NOTHING
    q = np.bincount(arm, each * y, arms) / np.maximum(of_arm, 1e-300)
    left = by_unit(w * each * (y - q[arm]))
    rest = left.sum() / n
    # What an error of q does: the policy's weight of the arm, less the weight its residuals take back.
    lever = (policy - np.bincount(arm, w * each, arms) / n) / np.maximum(of_arm, 1e-300)
    influence = (left - rest * answered) / n + by_unit(lever[arm] * each * (y - q[arm]))
    return ips_estimate, snips_estimate, _interval(float(policy @ q) + rest, influence)


def _bounds(verdict: F64, w: F64, unit: I64, uncovered: float) -> tuple[float, float]:
    """Manski's bounds of the weighted calls, chance by unit included; of an arm without calls nothing is known."""
    total = float(w.sum())
    if total <= 0:
        return 0.0, 1.0
    ends = []
    for value in (0.0, 1.0):
        y = np.where(np.isnan(verdict), value, verdict)
        rate = float((w * y).sum()) / total
        ends.append(_interval(rate, np.bincount(unit, w * (y - rate)) / total))
    low = 0.0 if np.isnan(ends[0].low) else ends[0].low
    high = 1.0 if np.isnan(ends[1].high) else ends[1].high
    return (1 - uncovered) * low, (1 - uncovered) * high + uncovered


def _interval(rate: float, influence: F64) -> Estimate:
    """An estimate with the interval that its units' influences give; without one where a single unit has all."""
    squares = influence**2
    variance = float(squares.sum())
    units = int(np.count_nonzero(influence))
    if units < 2 or variance <= 0:
        return Estimate(float(rate), np.nan, np.nan)
    freedom = max(variance**2 / float((squares**2).sum()) - 1, 1.0)
    half = float(stdtrit(freedom, 1 - _ALPHA / 2)) * np.sqrt(variance * units / (units - 1))
    return Estimate(float(rate), float(max(rate - half, 0.0)), float(min(rate + half, 1.0)))
