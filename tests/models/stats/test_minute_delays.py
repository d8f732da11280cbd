from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.stats.minute_delays import BUCKETS, EDGES, HORIZON, MIDDLES, bucket_of


@given(st.integers(0, 10**6))
def test_a_delay_lies_in_the_bucket_whose_edges_enclose_it(delay: int) -> None:
    bucket = int(bucket_of(np.array([delay]))[0])
    assert EDGES[bucket] <= delay
    assert bucket == BUCKETS - 1 or delay < EDGES[bucket + 1]


def test_buckets_begin_with_single_minutes_and_widen_by_a_quarter_up_to_72_hours() -> None:
    assert EDGES[:9].tolist() == list(range(9))
    assert (np.diff(EDGES) > 0).all()
    assert (EDGES[9:-1] / EDGES[8:-2]).max() <= 1.25
    assert EDGES[-1] == HORIZON == 4320
    assert 35 <= BUCKETS <= 45
    assert MIDDLES[9] == (EDGES[9] + EDGES[10] - 1) / 2
