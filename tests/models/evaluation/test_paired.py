"""Variants on the rows of one suite: intervals hold together, and 'cannot tell' is an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.evaluation.paired import paired_differences


@given(arrays(np.float64, st.tuples(st.integers(2, 4), st.integers(2, 30)), elements=st.floats(0, 1)))
def test_every_pair_is_compared_and_swapping_two_variants_turns_the_sign(scores: np.ndarray) -> None:
    found = paired_differences(scores)
    assert [(pair.first, pair.second) for pair in found] == [
        (first, second) for first in range(len(scores)) for second in range(first + 1, len(scores))
    ]
    for pair, turned in zip(found, reversed(paired_differences(scores[::-1])), strict=True):
        if (pair.first, pair.second) == (len(scores) - 1 - turned.second, len(scores) - 1 - turned.first):
            assert pair.low == pytest.approx(-turned.high)
            assert pair.high == pytest.approx(-turned.low)
        assert -1 <= pair.low <= pair.high <= 1
        assert (pair.state == "cannot_tell") == (pair.low <= 0 <= pair.high)
        assert (pair.rows_more == 0) == (pair.state != "cannot_tell")


@pytest.mark.parametrize("rows", [50, 200])
def test_equal_variants_are_told_apart_in_at_most_one_comparison_of_twenty(rows: int) -> None:
    rng = np.random.default_rng(rows)
    wrong = 0
    for _ in range(400):
        hard = rng.beta(4, 1, rows)
        scores = (rng.random((4, rows)) < hard).astype(np.float64)
        wrong += any(pair.state != "cannot_tell" for pair in paired_differences(scores))
    assert wrong <= 400 * 0.05 + 8  # two standard errors of the share


def test_intervals_are_wider_with_more_variants() -> None:
    rng = np.random.default_rng(1)
    scores = (rng.random((6, 80)) < 0.8).astype(np.float64)
    two, six = paired_differences(scores[:2])[0], paired_differences(scores)[0]
    assert six.high - six.low > 1.2 * (two.high - two.low)


def test_the_rows_that_it_asks_for_do_tell() -> None:
    only_first, only_second, both = [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]
    scores = np.array([*[only_first] * 5, *[only_second] * 9, *[both] * 46]).T
    (pair,) = paired_differences(scores)
    assert pair.state == "cannot_tell"
    assert pair.rows_more is not None
    times = -(-(60 + pair.rows_more) // 60)
    assert times > 2
    assert paired_differences(np.tile(scores, times))[0].state == "better"
    assert paired_differences(np.tile(scores, times - 2))[0].state == "cannot_tell"


def test_without_a_difference_no_number_of_rows_is_named() -> None:
    (pair,) = paired_differences(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
    assert (pair.state, pair.rows_more, pair.rows) == ("cannot_tell", None, 3)
    assert pair.rows_for_points > 100


def test_rows_that_one_variant_lacks_are_left_out_and_a_pair_needs_two() -> None:
    scores = np.array([[1.0, np.nan, 1.0], [1.0, 1.0, 0.0], [np.nan, np.nan, 1.0]])
    assert [(pair.first, pair.second, pair.rows) for pair in paired_differences(scores)] == [(0, 1, 2)]
