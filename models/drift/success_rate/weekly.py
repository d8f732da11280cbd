"""What a week's trials say against the baselines with which it began: the statistics that the digest lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_DAY, MINUTES_PER_HOUR, MINUTES_PER_WEEK
from models.arrays import F64, I64
from models.drift.success_rate.digest import Weekly
from models.drift.trial_history import Hours, TrialHistory
from models.messages import AnyGroup
from models.stats.dispersion import GRAIN, MINUTES_PER_QUARTER, shrunk
from models.stats.shiryaev_roberts import (
    HALF,
    RATIOS,
    Elapsed,
    ShiryaevRoberts,
    TrialBatch,
    advance,
    log_likelihood_increments,
)
from models.stats.surroundings import Surroundings


class Learned(NamedTuple):
    """Baselines as a week begins, shape (groups,).

    Attributes:
        failures, trials: learned.
        began: minute at which they begin.
        rho_day, rho_hour: correlations of `models.stats.dispersion`.
    """

    failures: F64
    trials: F64
    began: I64
    rho_day: F64
    rho_hour: F64


def of_week(
    week: int, baseline: F64, statistics: ShiryaevRoberts, history: TrialHistory, groups: Sequence[AnyGroup]
) -> Weekly:
    """What the digest needs of the week that begins at minute `week`; `baseline` as it began, shape (2, groups).

    Groups that have come since then had none to be held against.
    """
    hours = history.hours(week, week + MINUTES_PER_WEEK)
    failures, trials = hours.failures / GRAIN, hours.trials / GRAIN
    count = len(groups)
    before = np.zeros((2, count))
    before[:, : baseline.shape[1]] = baseline
    dispersion = statistics.dispersion
    rho_day, rho_hour = (
        (np.zeros(count), np.zeros(count)) if dispersion is None else (dispersion.rho_day, dispersion.rho_hour)
    )
    learned = Learned(before[0], before[1], statistics.began, rho_day, rho_hour)
    found = mean_r(hours._replace(failures=failures, trials=trials), week, learned, statistics.min_trials)
    failed, tried = (np.bincount(hours.group, column, count).astype(np.float64) for column in (failures, trials))
    return Weekly(groups, found, before[0], before[1], failed, tried)


def mean_r(hours: Hours, first: int, learned: Learned, min_trials: int) -> F64:
    """CT-SR from the beginning of a week to its end, in batches of an hour. O(168 groups).

    Args:
        hours: of the week.
        first: first minute of the week.
        learned: before the week.
        min_trials: learned before a group is tested.

    Returns:
        Mean of R at the end of the week for a drop and a rise of the success rate, shape (groups, 2); 0 where not
        tested.
    """
    groups = len(learned.failures)
    baseline = np.stack((learned.failures, learned.trials))
    r, today = np.zeros((groups, 2, len(RATIOS))), np.zeros((groups, 2, HALF))
    # The minute at which a group's R was last given its time: as if it had been tested until the week began.
    last = np.full(groups, first - 1, np.int64)
    of_day, of_quarter = np.zeros((2, groups)), np.zeros((2, groups))
    mean = np.zeros((groups, 2))
    day, quarter = first // MINUTES_PER_DAY, first // MINUTES_PER_QUARTER
    for minute in np.unique(hours.minute).tolist():
        if minute // MINUTES_PER_QUARTER != quarter:
            quarter = minute // MINUTES_PER_QUARTER
            of_day += shrunk(of_quarter, of_quarter[1], learned.rho_hour)
            of_quarter[:] = 0.0
        if minute // MINUTES_PER_DAY != day:
            day = minute // MINUTES_PER_DAY
            today[:], of_day[:] = 0.0, 0.0
        span = slice(*np.searchsorted(hours.minute, (minute, minute + 1)).tolist())
        rows, f, n = hours.group[span], hours.failures[span], hours.trials[span]
        none = np.zeros(len(rows))
        day_events, day_trials = of_day[:, rows]
        counts = (day_events, day_trials, of_quarter[0, rows], of_quarter[1, rows], none, none, day_trials)
        end = minute + MINUTES_PER_HOUR - 1
        days = np.maximum((end - learned.began[rows]) / MINUTES_PER_DAY, 1.0)
        rho_day, rho_hour = learned.rho_day[rows], learned.rho_hour[rows]
        around = Surroundings(*counts, rho_day, rho_hour, rho_own=rho_day).against(days)
        active = learned.trials[rows] >= min_trials
        batch = TrialBatch(f, n, baseline[0, rows], baseline[1, rows], around, none + 1.0, none, active)
        one, evidence_of_day = r[rows], today[rows]
        weeks = Elapsed.between(last[rows], end, opens=0)
        mean[rows] = advance(one, evidence_of_day, weeks, log_likelihood_increments(batch))
        r[rows], today[rows], last[rows] = one, evidence_of_day, end
        baseline[0, rows] += f
        baseline[1, rows] += n
        of_quarter[:, rows] += shrunk(np.stack((f, n)), n, learned.rho_hour[rows])
    return mean
