"""Measures how soon a drop is noticed that begins at each hour of the day: midnight must be no worse than noon."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks.detection.ours import DEFAULTS, MINUTES_PER_DAY
from benchmarks.detection.promise import MIDNIGHT
from models.arrays import F64
from models.stats.shiryaev_roberts import ShiryaevRoberts

PER_DAY: Final = 13_700
FAILURE, DROP = 0.1, 0.1
HOURS: Final = 24
LONGEST: Final = 48
"""Hours from the last start that are watched."""
_DAYS: Final = (4, 14)
"""Of history: a week of which the warm-up took three days, and two weeks."""
_STEP: Final = 5
"""Minutes of a batch."""
_INSTALLATION: Final = 12
"""Groups from which the correlations of days and hours are learned, for all."""
_SEED: Final = 23


def table(runs: int) -> list[dict[str, Any]]:
    """A row per history: worst and best hour's median and 95 % quantile, hours, over `runs` groups per hour."""
    return [_row(days, runs) for days in _DAYS]


def _row(days: int, runs: int) -> dict[str, Any]:
    hours = noticed(days, runs)
    middle = np.quantile(hours, 0.5, axis=0, method="higher")
    late = np.quantile(hours, 0.95, axis=0, method="higher")
    return {
        "days": days,
        "runs": runs,
        "midnight_h": float(middle[0]),
        "best_h": float(middle.min()),
        "worst_h": float(middle.max()),
        "best_late_h": float(late.min()),
        "worst_late_h": float(late.max()),
        "over_24_h": int((hours > 24).sum()),
    }


def noticed(days: int, runs: int) -> F64:
    """Hours from the drop until it is noticed, shape (runs, HOURS): column h begins at h:00 UTC; inf if never."""
    rng = np.random.default_rng([_SEED, days])
    groups = HOURS * runs
    rows = np.arange(groups)
    begins = days * MINUTES_PER_DAY + 60 * (rows % HOURS)
    detector = ShiryaevRoberts()
    detector.grow(groups, opens=rows // HOURS % 4)
    for hour in range(days * HOURS):
        minute = MIDNIGHT + 60 * hour
        trials = rng.poisson(PER_DAY / HOURS, groups)
        failures = rng.binomial(trials, FAILURE).astype(np.float64)
        detector.begin_day(minute // MINUTES_PER_DAY, apart=rows < _INSTALLATION)
        detector.learn(rows, np.full(groups, minute), failures, trials.astype(np.float64), 1.0)
    found = np.full(groups, np.inf)
    for minute in range(days * MINUTES_PER_DAY, (days + 1) * MINUTES_PER_DAY + 60 * LONGEST, _STEP):
        come = rng.poisson(PER_DAY * _STEP / MINUTES_PER_DAY, groups)
        failed = rng.binomial(come, np.where(minute >= begins, FAILURE + DROP, FAILURE))
        going = np.flatnonzero(np.isinf(found) & (come > 0))
        detector.begin_day((MIDNIGHT + minute) // MINUTES_PER_DAY, apart=rows < _INSTALLATION)
        mean, _ = detector.update(going, (come - failed)[going], failed[going], MIDNIGHT + minute)
        over = going[mean >= DEFAULTS.threshold]
        found[over] = (minute + _STEP - begins[over]) / 60
        if not np.isinf(found).any():
            break
    return found.reshape(runs, HOURS)
