"""Clock-time mixture Shiryaev-Roberts (CT-SR): has the rate of this group changed, at a promised rate of false alarms?

Per group and direction eight statistics R_j, one per odds ratio r_j that the change might have. A batch of n trials
with e events (failures when looking for a drop, successes for a rise), after a time delta in weeks, gives

    q   = (a + E + e/2) / (a + b + N + n/2) + margin         a = b = 1/2; E, N: events and trials before the batch
    R_j = (R_j + delta) * exp(eta * (e ln r_j - n ln(1 + (r_j - 1) q)))

and an alarm where the mean of R_j reaches A. With a known rate, mean R minus the elapsed weeks is a supermartingale, so
the probability of a false alarm within T weeks is at most T / A whatever the traffic (e-detectors: Shin, Ramdas,
Rinaldo 2022, arXiv 2203.03532). The learned rate makes that approximate; e/2 and n/2 (the middle of the batch) keep it
below in measurements, and must not be dropped.
"""

from __future__ import annotations

import numpy as np

from models.streams import F64, I64, Bools

RATIOS: F64 = np.array([1.1, 1.2, 1.35, 1.6, 2.0, 2.7, 4.0, 8.0])
"""Odds ratios of the mixture."""
MINUTES_PER_WEEK = 10_080
DOWN, UP = 0, 1
"""Directions of the success rate: columns of everything that has two."""

_LOG_RATIOS: F64 = np.log(RATIOS)
_CAP = 1e15
_EXPONENT_CAP = 600.0
_PRIOR = 0.5


def growth(
    failures_before: F64, trials_before: F64, failures: F64, trials: F64, margin: F64, eta: F64, active: Bools
) -> F64:
    """Factors by which a batch multiplies R, shape (rows, 2, 8): direction, odds ratio. 0 where not `active`.

    All arguments have shape (rows,). Row by row: what else is in the arrays does not matter.
    """
    events = np.stack((failures, trials - failures), axis=1)
    before = np.stack((failures_before, trials_before - failures_before), axis=1)
    q = (_PRIOR + before + events / 2) / (2 * _PRIOR + trials_before + trials / 2)[:, None] + margin[:, None]
    # A larger cap than 1 is no rate, a smaller one would break the promise where nearly all calls succeed.
    q = np.minimum(q, 1.0)
    exponent = events[:, :, None] * _LOG_RATIOS
    exponent -= trials[:, None, None] * np.log1p((RATIOS - 1) * q[:, :, None])
    exponent *= eta[:, None, None]
    np.minimum(exponent, _EXPONENT_CAP, out=exponent)
    factor: F64 = np.exp(exponent, out=exponent)
    factor[~active] = 0.0
    return factor


def advance(r: F64, weeks: F64, factor: F64) -> F64:
    """Take `r`, shape (rows, 2, 8), over one batch in place; returns the means over the mixture, shape (rows, 2)."""
    r += weeks[:, None, None]
    r *= factor
    np.minimum(r, _CAP, out=r)
    # Sums in a written-out order: numpy's own may depend on shape and strides.
    quarters = r[..., :4] + r[..., 4:]
    halves = quarters[..., :2] + quarters[..., 2:]
    mean: F64 = (halves[..., 0] + halves[..., 1]) / len(RATIOS)
    return mean


class ShiryaevRoberts:
    """The state of many groups, about 180 bytes each; rows are the caller's group numbers.

    Attributes:
        r: statistics, shape (groups, 2, 8).
        failures, trials: the learned baseline, shape (groups,).
        last: minute of the group's last batch, -1 before the first.
        eta: power <= 1 on the evidence, below 1 where outcomes are not independent.
    """

    def __init__(self, groups: int = 0, *, min_trials: int = 30) -> None:
        """Start with `groups` fresh groups; a group is tested once it has learned `min_trials` >= 1 trials."""
        if min_trials < 1:
            msg = f"ShiryaevRoberts: min_trials must be >= 1; got {min_trials}"
            raise ValueError(msg)
        self.min_trials = min_trials
        self.r: F64 = np.zeros((0, 2, len(RATIOS)))
        self.failures: F64 = np.zeros(0)
        self.trials: F64 = np.zeros(0)
        self.last: I64 = np.zeros(0, np.int64)
        self.eta: F64 = np.ones(0)
        self.grow(groups)

    def __len__(self) -> int:
        return len(self.trials)

    def grow(self, groups: int) -> None:
        """Make room for at least `groups` groups."""
        more = groups - len(self)
        if more <= 0:
            return
        self.r = np.concatenate((self.r, np.zeros((more, 2, len(RATIOS)))))
        self.failures = np.concatenate((self.failures, np.zeros(more)))
        self.trials = np.concatenate((self.trials, np.zeros(more)))
        self.last = np.concatenate((self.last, np.full(more, -1, np.int64)))
        self.eta = np.concatenate((self.eta, np.ones(more)))

    def update(
        self, rows: I64, successes: I64 | F64, failures: I64 | F64, minute: int | I64, margin: float | F64 = 0.0
    ) -> tuple[F64, F64]:
        """One batch for each of the distinct groups `rows`; a minute without trials need not be told.

        Such a minute multiplies R by 1, so adding the elapsed time at the next batch is the same.

        Args:
            rows: groups, distinct.
            successes: trials that succeeded, per row.
            failures: trials that failed, per row.
            minute: of the batch, one for all or per row; never falls for a group.
            margin: added to q.

        Returns:
            Mean of R per row, for a drop and for a rise of the success rate; 0 until min_trials are learned.
        """
        failed = np.asarray(failures, np.float64)
        trials = failed + successes
        minutes = np.broadcast_to(np.asarray(minute, np.int64), trials.shape)
        last = self.last[rows]
        weeks = np.where(last < 0, 0, minutes - last) / MINUTES_PER_WEEK
        failures_before, trials_before = self.failures[rows], self.trials[rows]
        margins = np.broadcast_to(np.asarray(margin, np.float64), trials.shape)
        active = trials_before >= self.min_trials
        factor = growth(failures_before, trials_before, failed, trials, margins, self.eta[rows], active)
        r = self.r[rows]
        mean = advance(r, weeks, factor)
        self.r[rows] = r
        self.failures[rows] = failures_before + failed
        self.trials[rows] = trials_before + trials
        self.last[rows] = minutes
        return mean[:, DOWN], mean[:, UP]

    def reset(self, row: int, failures: float, trials: float) -> None:
        """After an alarm: no evidence, and a baseline of the counts since the change."""
        self.r[row] = 0.0
        self.failures[row] = failures
        self.trials[row] = trials
