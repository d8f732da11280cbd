"""Clock-time mixture Shiryaev-Roberts (CT-SR): has the rate of this group changed, at a promised rate of false alarms?

Per group and direction eight statistics R_j, one per odds ratio r_j that the change might have. A batch of n trials
with e events (failures when looking for a drop, successes for a rise), after a time delta in weeks, gives

    q    = (a + E + e/2) / (a + b + N + n/2) + margin        a = b = 1/2; E, N: events and trials before the batch
    L_j += eta * (e ln r_j - n ln(1 + (r_j - 1) q))          evidence of the UTC day so far, of m += eta n trials
    R_j  = (R_j + delta) * exp(change of L_j / (1 + (m - 1) rho))

and an alarm where the mean of R_j reaches A. With a known rate, mean R minus the elapsed weeks is a supermartingale, so
the probability of a false alarm within T weeks is at most T / A whatever the traffic (e-detectors: Shin, Ramdas,
Rinaldo 2022, arXiv 2203.03532). The learned rate makes that approximate; e/2 and n/2 (the middle of the batch) keep it
below in measurements, and must not be dropped. eta and rho are what hours and days vary of themselves
(`models.dispersion`); with eta = 1 and rho = 0 all trials count as independent.

Where verdicts of failure and success take different times, the share of failures among those that arrive is not that
among the calls: the expected odds of failure are multiplied by `odds`, and the baseline learns failures / odds
(`models.delay_odds`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models.dispersion import MINUTES_PER_DAY, Dispersion
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
_TOGETHER: Final = 4096
"""Rows that are updated at once: their arrays fit into a core's cache."""
_GRAIN: Final = 2.0**16
"""Learned failures are multiples of 1 / this, so that their sums are exact in any order."""


def learned_failures(failures: F64, odds: F64 | float) -> F64:
    """Failures as they would have arrived if they took as long as successes, to 16 binary places."""
    exact: F64 = np.rint(failures / odds * _GRAIN) / _GRAIN
    return exact


class Batch(NamedTuple):
    """One batch for each of some groups; arrays of shape (rows,).

    Attributes:
        failures, trials: of the batch.
        failures_before, trials_before: the learned baseline before it.
        odds: factor on the expected odds of failure.
        margin: added to the expected rate.
        eta: weight of the evidence, in (0, 1].
    """

    failures: F64
    trials: F64
    failures_before: F64
    trials_before: F64
    odds: F64
    margin: F64
    eta: F64


def evidence(batch: Batch) -> F64:
    """What a batch adds to L, shape (rows, 2, 8): direction, odds ratio.

    Row by row: what else is in the arrays does not matter.
    """
    failures, trials, failures_before, trials_before, odds, margin, eta = batch
    learned = learned_failures(failures, odds)
    successes = trials - failures
    expected_failures = (_PRIOR + failures_before + learned / 2) * odds
    expected_successes = _PRIOR + (trials_before - failures_before) + successes / 2
    both = expected_failures + expected_successes
    q = np.stack((expected_failures / both, expected_successes / both), axis=1) + margin[:, None]
    # A larger cap than 1 is no rate, a smaller one would break the promise where nearly all calls succeed.
    q = np.minimum(q, 1.0)
    events = np.stack((failures, successes), axis=1)
    gain: F64 = events[:, :, None] * _LOG_RATIOS
    gain -= trials[:, None, None] * np.log1p((RATIOS - 1) * q[:, :, None])
    gain *= eta[:, None, None]
    return gain


class Blocks(NamedTuple):
    """Evidence of the day so far.

    Attributes:
        gain: L, shape (rows, 2, 8).
        size: effective trials m, shape (rows,).
        rho: intra-class correlation of days, shape (rows,).
    """

    gain: F64
    size: F64
    rho: F64


def advance(r: F64, weeks: F64, gain: F64, size: F64, day: Blocks, active: Bools) -> F64:
    """Take `r`, shape (rows, 2, 8), and `day` over one batch in place.

    Args:
        r: statistics.
        weeks: since the last batch, shape (rows,).
        gain: evidence of the batch, shape (rows, 2, 8).
        size: its effective trials, shape (rows,).
        day: the day's evidence before it.
        active: shape (rows,); others stay without evidence.

    Returns:
        Means over the mixture, shape (rows, 2).
    """
    before = day.gain / (1 + np.maximum(day.size - 1, 0.0) * day.rho)[:, None, None]
    day.gain[:] += gain
    day.size[:] += size
    factor = day.gain / (1 + np.maximum(day.size - 1, 0.0) * day.rho)[:, None, None]
    factor -= before
    np.minimum(factor, _EXPONENT_CAP, out=factor)
    np.exp(factor, out=factor)
    factor[~active] = 0.0
    day.gain[~active] = 0.0
    day.size[~active] = 0.0
    r += weeks[:, None, None]
    r *= factor
    np.minimum(r, _CAP, out=r)
    # Sums in a written-out order: numpy's own may depend on shape and strides.
    quarters = r[..., :4] + r[..., 4:]
    halves = quarters[..., :2] + quarters[..., 2:]
    mean: F64 = (halves[..., 0] + halves[..., 1]) / len(RATIOS)
    return mean


class ShiryaevRoberts:
    """The state of many groups, about 450 bytes each; rows are the caller's group numbers.

    Attributes:
        r: statistics, shape (groups, 2, 8).
        gain, size: evidence and effective trials of the UTC day so far, shapes (groups, 2, 8) and (groups,).
        failures, trials: the learned baseline, shape (groups,).
        last: minute of the group's last batch, -1 before the first.
        dispersion: what eta and rho are learned from; None where all trials count as independent.
    """

    def __init__(self, groups: int = 0, *, min_trials: int = 30, dispersion: bool = True) -> None:
        """Start with `groups` fresh groups.

        Args:
            groups: how many.
            min_trials: learned before a group is tested, >= 1.
            dispersion: learn what hours and days vary of themselves; else eta = 1, rho = 0.
        """
        if min_trials < 1:
            msg = f"ShiryaevRoberts: min_trials must be >= 1; got {min_trials}"
            raise ValueError(msg)
        self.min_trials = min_trials
        self.r: F64 = np.zeros((0, 2, len(RATIOS)))
        self.gain: F64 = np.zeros((0, 2, len(RATIOS)))
        self.size: F64 = np.zeros(0)
        self.failures: F64 = np.zeros(0)
        self.trials: F64 = np.zeros(0)
        self.last: I64 = np.zeros(0, np.int64)
        self.dispersion = Dispersion() if dispersion else None
        self.grow(groups)

    def __len__(self) -> int:
        return len(self.trials)

    def grow(self, groups: int) -> None:
        """Make room for at least `groups` groups."""
        more = groups - len(self)
        if more <= 0:
            return
        self.r = np.concatenate((self.r, np.zeros((more, 2, len(RATIOS)))))
        self.gain = np.concatenate((self.gain, np.zeros((more, 2, len(RATIOS)))))
        self.size = np.concatenate((self.size, np.zeros(more)))
        self.failures = np.concatenate((self.failures, np.zeros(more)))
        self.trials = np.concatenate((self.trials, np.zeros(more)))
        self.last = np.concatenate((self.last, np.full(more, -1, np.int64)))
        if self.dispersion is not None:
            self.dispersion.grow(groups)

    def begin_day(self, day: int) -> None:
        """All later batches are of UTC day `day` (since 1970) or after it; does nothing where it has begun. O(groups)."""
        if self.dispersion is None or day <= self.dispersion.day:
            return
        self.dispersion.roll(day, self.failures, self.trials)
        self.gain[:] = 0.0
        self.size[:] = 0.0

    def weights(self, rows: I64) -> tuple[F64, F64]:
        """eta and rho of groups, shape (rows,) each."""
        if self.dispersion is None:
            return np.ones(len(rows)), np.zeros(len(rows))
        return self.dispersion.eta[rows], self.dispersion.rho[rows]

    def update(
        self,
        rows: I64,
        successes: I64 | F64,
        failures: I64 | F64,
        minute: int | I64,
        margin: float | F64 = 0.0,
        odds: float | F64 = 1.0,
    ) -> tuple[F64, F64]:
        """One batch for each of the distinct groups `rows`; a minute without trials need not be told.

        Such a minute multiplies R by 1, so adding the elapsed time at the next batch is the same.

        Args:
            rows: groups, distinct.
            successes: trials that succeeded, per row.
            failures: trials that failed, per row.
            minute: of the batch, since 1970 UTC; one for all or per row, all within one UTC day. Never falls.
            margin: added to q.
            odds: factor on the expected odds of failure.

        Returns:
            Mean of R per row, for a drop and for a rise of the success rate; 0 until min_trials are learned.
        """
        failed = np.asarray(failures, np.float64)
        trials = failed + successes
        minutes, margins, factors = (np.broadcast_to(each, trials.shape) for each in (minute, margin, odds))
        means = np.zeros((len(trials), 2))
        if len(trials):
            self.begin_day(int(minutes[0]) // MINUTES_PER_DAY)
        for start in range(0, len(trials), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            means[part] = self._update(
                rows[part], failed[part], trials[part], minutes[part], margins[part], factors[part].astype(np.float64)
            )
        return means[:, DOWN], means[:, UP]

    def _update(self, rows: I64, failures: F64, trials: F64, minutes: I64, margins: F64, odds: F64) -> F64:
        last = self.last[rows]
        weeks = np.where(last < 0, 0, minutes - last) / MINUTES_PER_WEEK
        eta, rho = self.weights(rows)
        failures_before, trials_before = self.failures[rows], self.trials[rows]
        gain = evidence(Batch(failures, trials, failures_before, trials_before, odds, margins, eta))
        r, day = self.r[rows], Blocks(self.gain[rows], self.size[rows], rho)
        mean = advance(r, weeks, gain, eta * trials, day, trials_before >= self.min_trials)
        self.r[rows], self.gain[rows], self.size[rows] = r, day.gain, day.size
        self.learn(rows, minutes, failures, trials, odds)
        return mean

    def learn(self, rows: I64, minutes: I64, failures: F64, trials: F64, odds: F64 | float) -> None:
        """Add a batch to the baseline and the dispersion, without testing it."""
        learned = learned_failures(failures, odds)
        self.failures[rows] += learned
        self.trials[rows] += trials - failures + learned
        self.last[rows] = minutes
        if self.dispersion is not None:
            self.dispersion.add(rows, minutes, learned, trials - failures + learned)

    def reset(self, row: int, failures: float, trials: float) -> None:
        """After an alarm: no evidence, and a baseline of the counts since the change."""
        self.r[row] = 0.0
        self.gain[row] = 0.0
        self.size[row] = 0.0
        self.failures[row] = failures
        self.trials[row] = trials
        if self.dispersion is not None:
            self.dispersion.forget_change(row)
