"""The variance of a trial where its rate may just have changed."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import F64

_RARE: Final = 5.0
"""Events that a learned rate weighs in what is taken for the variance of a trial."""


def trial_variance(events: F64, trials: F64, rate: F64) -> F64:
    """Of a trial, at the rate that was seen, drawn towards a learned one by as many trials as have _RARE events.

    By the learned rate alone, a change would be taken for dispersion, and hide itself.
    """
    weight = _RARE / np.minimum(rate, 1 - rate)
    seen = (events + weight * rate) / (trials + weight)
    variance: F64 = seen * (1 - seen)
    return variance
