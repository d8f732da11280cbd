"""How long verdicts take: histograms of the delay from call to verdict, and their distribution function.

32 fixed logarithmic buckets: the first up to one second, 30 up to `HISTORY_US` = 72 h, the last beyond it. The last is
kept for reports only: a delay distribution is always that of verdicts given within 72 h, because of those that come
later a cohort of calls, at the age at which it is released, knows only some (right truncation).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.streams import F64, I16, I64

HISTORY_US: Final = 72 * 3_600_000_000
"""Age in µs at which a cohort of calls is released into the history."""
FIRST_US: Final = 1_000_000
BUCKETS: Final = 32
BEYOND: Final = BUCKETS - 1
"""The bucket of delays over 72 h."""

_LOG_STEP: Final = math.log(HISTORY_US / FIRST_US) / (BEYOND - 1)


def bucket_of(delay_us: I64) -> I16:
    """Bucket of each delay.

    Args:
        delay_us: Verdict time minus call time in µs, shape (n,); negative delays (clocks that disagree) count as none.

    Returns:
        Shape (n,), in 0 .. 31.
    """
    bucket = np.ceil(_position(delay_us)) - 1
    return np.where(delay_us > HISTORY_US, BEYOND, np.clip(bucket, 0, BEYOND - 1)).astype(np.int16)


def edges_us() -> F64:
    """Upper edges of buckets 0 .. 30 in µs, shape (31,); the last is 72 h."""
    edges: F64 = FIRST_US * np.exp(np.arange(BEYOND) * _LOG_STEP)
    return edges


def cumulative(histogram: NDArray[np.number]) -> F64:
    """Running shares of histograms.

    Args:
        histogram: Shape (..., 32), counts or weights per bucket.

    Returns:
        Shape (..., 32): share of the verdicts given within 72 h that lie before bucket k starts, so 0 at k = 0 and 1 at
        k = 31. nan where a histogram holds none.
    """
    inner = np.maximum(histogram[..., :BEYOND].astype(np.float64), 0.0)
    total = inner.sum(axis=-1, keepdims=True)
    out = np.zeros(histogram.shape, np.float64)
    out[..., 1:] = np.cumsum(inner, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        out /= total
    out[..., BEYOND] = np.where(total[..., 0] > 0, 1.0, np.nan)
    return out


def locate(age_us: I64) -> tuple[I64, F64]:
    """Where ages fall: the bucket, in 0 .. 30, and the fraction of it that lies below, in [0, 1].

    Linear in time within the first bucket, in log time within the others. Ages under 0 fall at the very start, ages
    over 72 h at the very end.
    """
    position = np.clip(_position(age_us), 0.0, float(BEYOND))
    bucket = np.minimum(position.astype(np.int64), BEYOND - 1)
    return bucket, position - bucket


def cdf(running: F64, row: I64, age_us: I64) -> F64:
    """Share of verdicts given by an age.

    Args:
        running: Shape (k, 32), from `cumulative`.
        row: Shape (n,), which distribution.
        age_us: Shape (n,), µs.

    Returns:
        Shape (n,), in [0, 1], or nan.
    """
    bucket, fraction = locate(age_us)
    low = running[row, bucket]
    return low + fraction * (running[row, bucket + 1] - low)


def _position(delay_us: I64) -> F64:
    """Delay in bucket widths: 0 at 0, 1 at one second, 31 at 72 h."""
    delay = delay_us.astype(np.float64)
    late = np.log(np.maximum(delay, FIRST_US) / FIRST_US) / _LOG_STEP + 1
    return np.where(delay < FIRST_US, delay / FIRST_US, late)
