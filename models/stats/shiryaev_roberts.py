"""Clock-time mixture Shiryaev-Roberts (CT-SR) detects changed rates at a promised false-alarm rate.

Per group and direction eight statistics R_j, one per odds ratio r_j that the change might have. A batch of n trials
with e events (failures when looking for a drop, successes for a rise), after a time delta in weeks, gives

    q   = (a + E + e/2) / (a + b + N + n/2) + margin         a = b = 1/2; E, N: events and trials before the batch
    R_j = (R_j + delta) * exp(e ln r_j - n ln(1 + (r_j - 1) q))

and an alarm where the mean of R_j reaches A. With a known rate, mean R minus the elapsed weeks is a supermartingale, so
the probability of a false alarm within T weeks is at most T / A whatever the traffic (e-detectors: Shin, Ramdas,
Rinaldo 2022, arXiv 2203.03532). The learned rate makes that approximate; e/2 and n/2 (the middle of the batch) keep it
below in measurements, and must not be dropped. What hours and days vary of themselves is no evidence: half of the
ratios are held against the baseline, with a share of the day's evidence, and half against what the day has shown so
far (`models.stats.dispersion`). As that share is one of a whole day, R of the first half starts with the group's own
days only: it is given the time of its days as they begin. A baseline that is not yet a day old knows one time of the
day, from which others may differ: until then the margin is FIRST_DAY_MARGIN at least.

Where verdicts of failure and success take different times, the share of failures among those that arrive is not that
among the calls: the expected odds of failure are multiplied by `odds`, and the baseline learns failures / odds
(`models.drift.success_rate.delay_odds`).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import DAYS_PER_WEEK, MINUTES_PER_DAY, MINUTES_PER_WEEK
from models.arrays import F64, I64, Bools
from models.stats.dispersion import GRAIN, Dispersion, GroupRows, own_day
from models.stats.surroundings import Surroundings

RATIOS: F64 = np.array([1.1, 1.25, 1.6, 2.2, 1.4, 1.9, 3.0, 6.0])
"""Odds ratios of the mixture; the first four are held against the baseline, the others against the day.

Small changes take days to show, large ones hours."""
HALF: Final = 4
"""So many of the ratios, the first, are held against the baseline."""
FIRST_DAY_MARGIN: Final = 0.04
"""How far two times of a day may be apart: the ends of a cycle of +-2 points."""
DOWN, UP = 0, 1
"""Directions of the success rate: columns of everything that has two."""

_LOG_RATIOS: F64 = np.log(RATIOS)
_CAP = 1e15
_EXPONENT_CAP = 600.0
_PRIOR = 0.5
_TOGETHER: Final = 16_384
"""Rows that are updated at once: enough to make up for numpy's cost per call, few enough for a core's cache."""


def learned_failures(failures: F64, odds: F64 | float) -> F64:
    """Failures as they would have arrived if they took as long as successes, in multiples of 1 / GRAIN."""
    exact: F64 = np.rint(failures / odds * GRAIN) / GRAIN
    return exact


class TrialBatch(NamedTuple):
    """One batch for each of some groups; arrays of shape (rows,).

    Attributes:
        failures, trials: of the batch.
        failures_before, trials_before: the learned baseline before it.
        around: what its day and hour have shown before it; None where all trials count as independent.
        odds: factor on the expected odds of failure; one for all or per row.
        margin: added to the expected rate; one for all or per row.
        active: whether it is tested.
    """

    failures: F64
    trials: F64
    failures_before: F64
    trials_before: F64
    around: Surroundings | None
    odds: F64
    margin: F64
    active: Bools


class LogLikelihoodIncrements(NamedTuple):
    """What batches add to the evidence for each ratio.

    Attributes:
        gain: logarithms of likelihood ratios, shape (rows, 2, 8): direction, odds ratio. -inf where not tested.
        before, after: share of the day's evidence that counts before and after the batch, shape (rows,).
    """

    gain: F64
    before: F64
    after: F64


def log_likelihood_increments(batch: TrialBatch) -> LogLikelihoodIncrements:
    """The increments of a batch, row by row: what else is in the arrays does not matter."""
    failures, trials = batch.failures, batch.trials
    learned = learned_failures(failures, batch.odds)
    learned_trials = trials - failures + learned
    rate = (_PRIOR + batch.failures_before + learned / 2) / (2 * _PRIOR + batch.trials_before + learned_trials / 2)
    if batch.around is None:
        rates, before, after = (rate, rate), np.ones(len(rate)), np.ones(len(rate))
    else:
        rates = batch.around.drawn(rate, learned, learned_trials)
        before, after = batch.around.shares(learned_trials)
    # Half, ratio, direction, row: rows last, so that each operation runs along them.
    q = np.empty((2, 2, len(trials)))
    for failing, expected in zip(q[:, DOWN], rates, strict=True):
        odds = expected * batch.odds
        np.divide(odds, odds + (1 - expected), out=failing)
    np.subtract(1, q[:, DOWN], out=q[:, UP])
    q += batch.margin
    # A larger cap than 1 is no rate, a smaller one would break the promise where nearly all calls succeed.
    _cap(q, 1.0)
    gain = (RATIOS - 1).reshape(2, HALF, 1, 1) * q[:, None]
    np.log1p(gain, out=gain)
    gain *= -trials
    gain = gain.reshape(len(RATIOS), 2, len(trials))
    gain[:, DOWN] += _LOG_RATIOS[:, None] * failures
    gain[:, UP] += _LOG_RATIOS[:, None] * (trials - failures)
    gain[..., ~batch.active] = -np.inf
    return LogLikelihoodIncrements(gain.T, before, after)


class Elapsed(NamedTuple):
    """Weeks that R is given before a batch, shape (rows,).

    Attributes:
        day: what is held against the day: since the last batch.
        baseline: what is held against the baseline: as `day` where all trials count as independent; else the own days
            that began since the last batch, in weeks.
    """

    day: F64
    baseline: F64

    @classmethod
    def between(cls, last: I64, minute: I64 | int, opens: I64 | int | None) -> Elapsed:
        """From the last batch, -1 where there was none, to one at `minute`, one for all or per row.

        `opens`: of `Dispersion`, one for all or per row; None where all trials count as independent.
        """
        first = last < 0
        day = np.where(first, 0, minute - last) / MINUTES_PER_WEEK
        if opens is None:
            return cls(day, day)
        begun = np.where(first, 1, own_day(minute, opens) - own_day(last, opens))
        return cls(day, begun / DAYS_PER_WEEK)


def advance(r: F64, today: F64, weeks: Elapsed, increments: LogLikelihoodIncrements) -> F64:
    """Take statistics over one batch, in place.

    Args:
        r: R, shape (rows, 2, 8).
        today: evidence of the own day against the baseline, shape (rows, 2, 4).
        weeks: that R is given.
        increments: of the batch; its `gain` is used up.

    Returns:
        Means of R over the mixture, shape (rows, 2).
    """
    r, today, exponent = r.T, today.T, increments.gain.T
    against_baseline = exponent[:HALF]
    today[..., weeks.baseline > 0] = 0.0
    (untested,) = (exponent[0, DOWN] == -np.inf).nonzero()
    held = today[..., untested]
    # What counts of the day now, less what counted before: after (today + gain) - before today.
    rest = (increments.after - increments.before) * today
    today += against_baseline
    today[..., untested] = held
    against_baseline *= increments.after
    against_baseline += rest
    _cap(exponent, _EXPONENT_CAP)
    r[:HALF] += weeks.baseline
    r[HALF:] += weeks.day
    r *= np.exp(exponent, out=exponent)
    _cap(r, _CAP)
    # Sums in a written-out order: numpy's own may depend on shape and strides.
    quarters = r[:4] + r[4:]
    halves = quarters[:2] + quarters[2:]
    mean: F64 = (halves[0] + halves[1]) / len(RATIOS)
    return mean.T


def _rows(rows: I64) -> GroupRows:
    """As a slice where each follows the one before, so that state is changed where it stands."""
    first, end = int(rows[0]), int(rows[-1]) + 1
    if end - first == len(rows) and (rows[1:] - rows[:-1] == 1).all():
        return slice(first, end)
    return rows


def _cap(values: F64, most: float) -> None:
    """Nothing is above `most` any more; in place. Few ever are, and the maximum is found faster than all are capped."""
    if not values.max(initial=0.0) <= most:
        np.minimum(values, most, out=values)


class ShiryaevRoberts:
    """The state of many groups, about 440 bytes each; rows are the caller's group numbers.

    >>> group = ShiryaevRoberts(1, dispersion=False)
    >>> for hour in range(51):
    ...     failures = np.array([10 if hour < 48 else 20])
    ...     down, up = group.update(np.array([0]), 100 - failures, failures, 60 * hour)
    >>> round(float(down[0]), 1), round(float(up[0]), 4)
    (348.1, 0.0014)

    Attributes:
        r: statistics, shape (groups, 2, 8).
        today: evidence of the own day against the baseline, shape (groups, 2, 4).
        failures, trials: the learned baseline, shape (groups,).
        began: minute at which the baseline begins, -1 before it; 0 where the baseline is not of its own making.
        last: minute of the group's last batch, -1 before the first.
        dispersion: what hours and days vary of themselves; None where all trials count as independent.
    """

    def __init__(self, groups: int = 0, *, min_trials: int = 30, dispersion: bool = True) -> None:
        """Start with `groups` fresh groups.

        Args:
            groups: how many.
            min_trials: learned before a group is tested, >= 1.
            dispersion: learn what hours and days vary of themselves; else all trials count as independent, and no
                baseline is too young.
        """
        if min_trials < 1:
            msg = f"ShiryaevRoberts: min_trials must be >= 1; got {min_trials}"
            raise ValueError(msg)
        self.min_trials = min_trials
        # Columns by ratio and direction, so that neighbouring groups are neighbours in memory.
        self.r: F64 = np.zeros((0, 2, len(RATIOS)), order="F")
        self.today: F64 = np.zeros((0, 2, HALF), order="F")
        self.failures: F64 = np.zeros(0)
        self.trials: F64 = np.zeros(0)
        self.began: I64 = np.zeros(0, np.int64)
        self.last: I64 = np.zeros(0, np.int64)
        self.dispersion = Dispersion() if dispersion else None
        self.grow(groups)

    def __len__(self) -> int:
        return len(self.trials)

    def grow(self, groups: int, opens: I64 | int = 0) -> None:
        """Make room for at least `groups` groups; `opens`: see `Dispersion.grow`."""
        more = groups - len(self)
        if more <= 0:
            return
        self.r = np.concatenate((self.r.T, np.zeros((len(RATIOS), 2, more))), axis=2).T
        self.today = np.concatenate((self.today.T, np.zeros((HALF, 2, more))), axis=2).T
        self.failures = np.concatenate((self.failures, np.zeros(more)))
        self.trials = np.concatenate((self.trials, np.zeros(more)))
        self.began = np.concatenate((self.began, np.full(more, -1, np.int64)))
        self.last = np.concatenate((self.last, np.full(more, -1, np.int64)))
        if self.dispersion is not None:
            self.dispersion.grow(groups, opens)

    def begin_day(self, day: int, apart: Bools | None = None) -> None:
        """From now on all batches are of UTC day `day` (since 1970) or later; again it does nothing. O(groups).

        `apart`: see `Dispersion.roll`.
        """
        if self.dispersion is not None and day > self.dispersion.day:
            self.dispersion.roll(day, self.failures, self.trials, apart)

    def update(
        self,
        rows: I64,
        successes: I64 | F64,
        failures: I64 | F64,
        minute: int | I64,
        margin: float | F64 = 0.0,
        odds: float | F64 = 1.0,
    ) -> tuple[F64, F64]:
        """One batch for each of the distinct groups `rows`; a minute without trials may be left out.

        Such a minute multiplies R by 1, so adding the elapsed time at the next batch is the same.

        Args:
            rows: groups, distinct.
            successes: trials that succeeded, per row.
            failures: trials that failed, per row.
            minute: of the batch, since 1970 UTC; one for all or per row, all within one UTC day. Never falls.
            margin: added to q.
            odds: factor on the expected odds of failure.

        Returns:
            Mean of R per row, for a drop and for a rise of the success rate; 0 where not tested.
        """
        failed = np.asarray(failures, np.float64)
        trials = failed + successes
        minutes, margins, factors = (np.asarray(each) for each in (minute, margin, odds))
        means = np.zeros((len(trials), 2), order="F")
        if len(trials):
            self.begin_day(int(minutes.flat[0]) // MINUTES_PER_DAY)
        for start in range(0, len(trials), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            one = (each[part] if each.size > 1 else each for each in (minutes, margins, factors))
            means[part] = self._update(_rows(rows[part]), failed[part], trials[part], *one)
        return means[:, DOWN], means[:, UP]

    def _update(self, rows: GroupRows, failures: F64, trials: F64, minutes: I64, margins: F64, odds: F64) -> F64:
        opens = None if self.dispersion is None else self.dispersion.opens(rows)
        weeks = Elapsed.between(self.last[rows], minutes, opens)
        failures_before, trials_before = self.failures[rows], self.trials[rows]
        around, today = None, np.zeros((len(trials), 2, HALF), order="F")
        if self.dispersion is not None:
            self.dispersion.turn(rows, minutes)
            around = self.dispersion.around(rows, minutes).against(self.days(rows, minutes))
            today = self.today[rows]
        active = self.tested(trials_before)
        margins = np.maximum(margins, self.margin_of_age(rows, minutes))
        r = self.r[rows]
        batch = TrialBatch(failures, trials, failures_before, trials_before, around, odds, margins, active)
        mean = advance(r, today, weeks, log_likelihood_increments(batch))
        if not isinstance(rows, slice):
            self.r[rows] = r
            if self.dispersion is not None:
                self.today[rows] = today
        self.learn(rows, minutes, failures, trials, odds)
        return mean

    def tested(self, trials_before: F64) -> Bools:
        """Whether baselines of so many trials can be held against batches."""
        return trials_before >= self.min_trials

    def days(self, rows: GroupRows, minutes: I64) -> F64:
        """How many days baselines span, at least one."""
        began = self.began[rows]
        span: F64 = np.maximum(np.where(began < 0, 0, minutes - began) / MINUTES_PER_DAY, 1.0)
        return span

    def margin_of_age(self, rows: GroupRows, minutes: I64) -> F64:
        """FIRST_DAY_MARGIN where the baseline is not yet a day old, else 0."""
        if self.dispersion is None:
            return np.zeros(self.began[rows].shape)
        began = self.began[rows]
        young = (began < 0) | (minutes - began < MINUTES_PER_DAY)
        return np.where(young, FIRST_DAY_MARGIN, 0.0)

    def learn(self, rows: GroupRows, minutes: I64, failures: F64, trials: F64, odds: F64 | float) -> None:
        """Add a batch to the baseline and the dispersion, without testing it."""
        learned = learned_failures(failures, odds)
        self.failures[rows] += learned
        self.trials[rows] += trials - failures + learned
        self.last[rows] = minutes
        fresh = self.began[rows] < 0
        if fresh.any():
            self.began[rows] = np.where(fresh, minutes, self.began[rows])
        if self.dispersion is not None:
            self.dispersion.add(rows, minutes, learned, trials - failures + learned)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy. `min_trials` is a setting, and not among them."""
        return {
            "r": self.r,
            "today": self.today,
            "failures": self.failures,
            "trials": self.trials,
            "last": self.last,
            "began": self.began,
            "dispersion": None if self.dispersion is None else self.dispersion.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], *, min_trials: int = 30) -> ShiryaevRoberts:
        """The reverse of `state`, whose keys may stand among others."""
        groups = cls(min_trials=min_trials)
        groups.r, groups.today = state["r"], state["today"]
        groups.failures, groups.trials = state["failures"], state["trials"]
        groups.last, groups.began = state["last"], state["began"]
        kept = state["dispersion"]
        groups.dispersion = None if kept is None else Dispersion.from_state(kept)
        return groups

    def reset(self, row: int, failures: float, trials: float) -> None:
        """After an alarm: no evidence, and a baseline of the counts since the change."""
        self.r[row] = self.today[row] = 0.0
        self.failures[row] = failures
        self.trials[row] = trials
        if self.dispersion is not None:
            self.dispersion.forget_change(row)
