"""The share of verdicts that is in at the age of each call, from the calls themselves.

The product-limit estimate of `models.stats.delay_distribution`, with each call as a cohort of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import F64, I64
from models.stats import delay_distribution as delay

LEAST_ARRIVED: Final = 0.2
"""Calls so young that less of the verdicts of either kind is in tell little, and would each count for many."""


def arrived(age_us: I64, delay_us: I64, success: F64) -> tuple[F64, F64]:
    """F_0 and F_1 at the age of each call, shape (n,) each; nan where the history is shorter than 72 h.

    Args:
        age_us: of each call, at the time up to which verdicts are known, shape (n,).
        delay_us: of its verdict; not read without one.
        success: 1, 0, or nan without a verdict.
    """
    known = delay.outgrown(np.maximum(age_us, 0))
    row = np.zeros(len(age_us), np.int64)
    shares = []
    for kind in (0.0, 1.0):
        mine = success == kind
        bucket, limit = delay.delay_bucket(np.maximum(delay_us[mine], 0)).astype(np.int64), known[mine]
        within, through = np.zeros(delay.DELAY_BUCKETS), np.zeros(delay.DELAY_BUCKETS)
        counted = bucket <= limit
        np.add.at(within, bucket[counted], 1.0)
        # A call is at risk in every bucket from that of its verdict to the last that it has outgrown.
        np.add.at(through, bucket[counted], 1.0)
        np.add.at(through, np.minimum(limit[counted] + 1, delay.BEYOND), -1.0)
        found = delay.distribution(within, np.cumsum(through))
        shares.append(delay.cdf(found.running[None, :], row, age_us))
    return shares[0], shares[1]
