"""Measures the cost of one update of CT-SR at 100,000 groups."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.detection.promise import MIDNIGHT
from models.stats.shiryaev_roberts import ShiryaevRoberts

GROUPS = 100_000


def ns_per_group_batch(*, dispersion: bool, groups: int = GROUPS, days: int = 2) -> float:
    """CPU time of an update of all groups, in ns per group and batch, both directions: median over days of the mean.

    Batches are hourly over `days` days, including their midnights, after one day to learn from. Process CPU time.
    """
    rng = np.random.default_rng(3)
    detector, rows = ShiryaevRoberts(groups, dispersion=dispersion), np.arange(groups)
    taken = []
    for hour in range(24 * (1 + days)):
        failures = rng.binomial(20, 0.1, groups)
        begun = time.process_time_ns()
        detector.update(rows, 20 - failures, failures, MIDNIGHT + 60 * hour, 0.01)
        taken.append((time.process_time_ns() - begun) / groups)
    learned = taken[24:]
    # Updates at midnight are rare and expensive: the mean over each day contains exactly one.
    return statistics.median(statistics.mean(learned[day * 24 : day * 24 + 24]) for day in range(days))
