"""Buckets of whole minutes count how long after its call a trial takes effect.

Minutes 0 to 8 have a bucket each; from there on buckets widen by a quarter up to `HORIZON` = 72 h, and the last one
holds all beyond. Effective minutes, not times, so that what a detector expects of a minute and what it finds there are
counted alike. (`models.stats.delay_distribution` is finer below a minute and is about rates.)
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from models.arrays import F64, I16, I32, I64

HORIZON = 72 * 60
"""Minutes; what comes later lies in the last bucket."""
_GROWTH = 1.25


def _edges() -> list[int]:
    edges = [0]
    while edges[-1] < HORIZON:
        edges.append(min(max(edges[-1] + 1, int(edges[-1] * _GROWTH)), HORIZON))
    return edges


EDGES: I64 = np.array(_edges(), np.int64)
"""First delay of each bucket, minutes: bucket i holds EDGES[i] <= delay < EDGES[i + 1], the last all from 72 h on."""
BUCKETS = len(EDGES)
MIDDLES: F64 = np.array([(low + high - 1) / 2 for low, high in pairwise(_edges())] + [float(HORIZON)])
"""Mean of the whole minutes in each bucket; of the last its beginning."""

_BUCKET: I16 = (np.searchsorted(EDGES, np.arange(HORIZON + 1), side="right") - 1).astype(np.int16)


def bucket_of(delay: I32 | I64) -> I16:
    """Bucket of each delay in minutes, 0 or more, shape (n,).

    >>> import numpy as np
    >>> bucket_of(np.array([0, 8, 9, 10, 4319, 10**6])).tolist() == [0, 8, 8, 9, BUCKETS - 2, BUCKETS - 1]
    True
    """
    return _BUCKET[np.minimum(delay, HORIZON)]
