"""Latency buckets: bounded error, any order, absent and extreme values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.stats import quantile_sketch as sketch

LATENCIES = st.lists(st.floats(min_value=2e-3, max_value=9e11), min_size=1, max_size=200)


@given(LATENCIES)
def test_every_value_is_within_two_percent_of_its_bucket(values: list[float]) -> None:
    ms = np.array(values)
    assert np.all(np.abs(sketch.value_of(sketch.value_bucket(ms)) / ms - 1) <= sketch.RELATIVE_ERROR + 1e-9)


@given(LATENCIES, st.sampled_from([0.01, 0.5, 0.95, 1.0]))
def test_quantiles_are_within_two_percent_of_the_nearest_rank(values: list[float], level: float) -> None:
    bucket, count = np.unique(sketch.value_bucket(np.array(values)), return_counts=True)
    cell, out = sketch.quantiles(np.full(len(bucket), 7), bucket.astype(np.int64), count, [level])
    exact = np.sort(values)[max(int(np.ceil(level * len(values))), 1) - 1]
    assert cell.tolist() == [7]
    assert out[0, 0] == pytest.approx(exact, rel=sketch.RELATIVE_ERROR + 1e-9)


@settings(max_examples=50)
@given(st.lists(LATENCIES, min_size=1, max_size=6))
def test_many_cells_at_once_equal_each_cell_alone(cells: list[list[float]]) -> None:
    rows = [
        (i, int(b), int(n))
        for i, values in enumerate(cells)
        for b, n in zip(*np.unique(sketch.value_bucket(np.array(values)), return_counts=True), strict=True)
    ]
    cell, bucket, count = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    held, together = sketch.quantiles(cell, bucket, count, (0.5, 0.95))
    assert held.tolist() == list(range(len(cells)))
    for i in range(len(cells)):
        mine = cell == i
        alone = sketch.quantiles(cell[mine], bucket[mine], count[mine], (0.5, 0.95))[1]
        assert together[:, i].tolist() == alone[:, 0].tolist()


def test_zero_absent_and_extreme_latencies_have_buckets_of_their_own() -> None:
    bucket = sketch.value_bucket(np.array([0.0, np.nan, 1e-9, 1e-3, 1e12, 1e300]))
    assert bucket.tolist() == [0, -1, 1, 1, sketch.VALUE_BUCKETS - 1, sketch.VALUE_BUCKETS - 1]
    assert sketch.value_of(np.array([0])).tolist() == [0.0]
    assert sketch.VALUE_BUCKETS <= 1 << 10


def test_cells_whose_counts_came_back_to_zero_have_no_quantile() -> None:
    held, out = sketch.quantiles(np.array([1, 2]), np.array([5, 5]), np.array([0, 3]), (0.5,))
    assert held.tolist() == [2]
    assert out.shape == (1, 1)
