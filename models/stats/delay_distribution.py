"""Histograms of the delay from call to verdict give its distribution function.

41 fixed logarithmic buckets: the first up to one second, 39 up to `LONGEST_US` = 126 days, the last beyond. The edges
are such that the 31st is `HISTORY_US` = 72 h.

Of a cohort of calls (those of one hour or day) that is a old, only delays up to a are known: right truncation. So
a cohort counts for the buckets that it has outgrown, and for no others, and a distribution is put together from the
shares r_k = D_k / C_k of the verdicts up to the end of bucket k that lie in it, over the cohorts that have outgrown it:

    F(start of bucket k) = prod over j >= k of (1 - r_j),    var ln F = sum over j >= k of D_j / (C_j (C_j - D_j))

the product-limit estimate in reversed time (Lagakos, Barraj, De Gruttola 1988, Biometrika 75, 515-523). With cohorts of
one age it is the plain histogram with the variance (1 - F) / (n F). It is relative to the age of the oldest cohort: of
delays longer than that nothing is known, and F is 1 there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.arrays import F64, I16, I64

HISTORY_US: Final = 72 * HOUR_US
"""Age in µs that the oldest cohort must have before a distribution is given at all."""
FIRST_US: Final = 1_000_000
SETTLED: Final = 30
"""The bucket that ends at `HISTORY_US`."""
DELAY_BUCKETS: Final = 41
BEYOND: Final = DELAY_BUCKETS - 1
"""The bucket of delays over `LONGEST_US`; kept for reports only."""

_LOG_STEP: Final = math.log(HISTORY_US / FIRST_US) / SETTLED
LONGEST_US: Final = int(FIRST_US * math.exp((BEYOND - 1) * _LOG_STEP))
"""Longest delay that has a bucket of its own, µs: 126 days."""
DELAY_KEY_BITS = 7
"""Of a packed key: they hold every bucket, twice."""


class Distribution(NamedTuple):
    """Distribution functions at the buckets' starts, shape (..., 41); nan where none is known."""

    running: F64
    """F: 0 at bucket 0, 1 at the last."""
    spread: F64
    """F times the standard error of ln F."""


def delay_bucket(delay_us: I64) -> I16:
    """Bucket of each delay.

    Args:
        delay_us: Verdict time minus call time in µs, shape (n,); negative delays (clocks that disagree) count as none.

    Returns:
        Shape (n,), in 0 .. 40.
    """
    bucket = np.clip(np.ceil(_position(delay_us)) - 1, 0, BEYOND)
    # The edge that cohorts are measured against must not hang on the last bit of a logarithm.
    bucket = np.where((delay_us <= HISTORY_US) & (bucket > SETTLED), SETTLED, bucket)
    return np.where((delay_us > HISTORY_US) & (bucket <= SETTLED), SETTLED + 1, bucket).astype(np.int16)


def edges_us() -> F64:
    """Upper edges of buckets 0 .. 39 in µs, shape (40,)."""
    edges: F64 = FIRST_US * np.exp(np.arange(BEYOND) * _LOG_STEP)
    edges[SETTLED] = HISTORY_US
    return edges


def outgrown(age_us: I64) -> I64:
    """The last bucket all of whose delays are known of a cohort whose youngest call has this age; -1 for none."""
    return np.searchsorted(edges_us(), age_us, side="right").astype(np.int64) - 1


def distribution(within: NDArray[np.number], through: NDArray[np.number]) -> Distribution:
    """Distributions from verdicts counted over the cohorts that have outgrown each bucket.

    Args:
        within: D, shape (..., 41): verdicts or weights in bucket k; the last is not read.
        through: C, shape (..., 41): verdicts up to the end of bucket k, >= D.

    >>> within = np.zeros(DELAY_BUCKETS)
    >>> within[0], within[5], within[20] = 50, 30, 20
    >>> distribution(within, np.cumsum(within)).running[[0, 1, 6, 21]].round(3).tolist()
    [0.0, 0.5, 0.8, 1.0]
    """
    d = np.maximum(within[..., :BEYOND].astype(np.float64), 0.0)
    c = np.maximum(through[..., :BEYOND].astype(np.float64), d)
    with np.errstate(invalid="ignore", divide="ignore"):
        stays = np.where(c > 0, (c - d) / c, 1.0)
        variance = np.where(d > 0, d / (c * (c - d)), 0.0)
    running = np.ones(within.shape, np.float64)
    running[..., :BEYOND] = np.cumprod(stays[..., ::-1], axis=-1)[..., ::-1]
    error = np.zeros(within.shape, np.float64)
    error[..., :BEYOND] = np.sqrt(np.cumsum(variance[..., ::-1], axis=-1)[..., ::-1])
    # No verdict is older than its call, whatever the cohorts show.
    running[..., 0] = 0.0
    spread = np.zeros(within.shape, np.float64)
    some = running > 0
    spread[some] = running[some] * error[some]
    unknown = ~(c[..., SETTLED] > 0)
    running[unknown], spread[unknown] = np.nan, np.nan
    return Distribution(running, spread)


def locate(age_us: I64) -> tuple[I64, F64]:
    """Where ages fall: the bucket, in 0 .. 39, and the fraction of it that lies below, in [0, 1].

    Linear in time within the first bucket, in log time within the others. Ages under 0 fall at the very start, ages
    over `LONGEST_US` at the very end.
    """
    position = np.clip(_position(age_us), 0.0, float(BEYOND))
    bucket = np.minimum(position.astype(np.int64), BEYOND - 1)
    return bucket, position - bucket


def cdf(running: F64, row: I64, age_us: I64) -> F64:
    """Share of verdicts given by an age.

    Args:
        running: Shape (k, 41), of a `Distribution`; its `spread` may be read in the same way.
        row: Shape (n,), which distribution.
        age_us: Shape (n,), µs.

    Returns:
        Shape (n,), in [0, 1], or nan.
    """
    bucket, fraction = locate(age_us)
    low = running[row, bucket]
    return low + fraction * (running[row, bucket + 1] - low)


def _position(delay_us: I64) -> F64:
    """Delay in bucket widths: 0 at 0, 1 at one second, 31 at 72 h, 40 at 126 days."""
    delay = delay_us.astype(np.float64)
    late = np.log(np.maximum(delay, FIRST_US) / FIRST_US) / _LOG_STEP + 1
    return np.where(delay < FIRST_US, delay / FIRST_US, late)
