"""Rates in segments are drawn towards those outside by how much segments differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.arrays import F64
from models.stats.segment_shrinkage import Shrunk, in_segments

counts = st.floats(0, 5000, allow_subnormal=False)


def drawn(rng: np.random.Generator, rates: F64, outcomes: float) -> tuple[F64, F64]:
    """Successes and failures by segment and arm, some `outcomes` each."""
    trials = rng.poisson(outcomes, rates.shape)
    wins = rng.binomial(trials, rates).astype(float)
    return wins, trials - wins


def of(wins: F64, losses: F64) -> Shrunk:
    return in_segments(wins.sum(axis=0), losses.sum(axis=0), wins, losses)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 4))
def test_posterior_counts_lie_between_a_segments_own_and_those_of_all(
    data: st.DataObject, segments: int, arms: int
) -> None:
    shape = (segments, arms)
    own_s, own_f = (data.draw(arrays(np.float64, shape, elements=counts)) for _ in range(2))
    more_s, more_f = (data.draw(arrays(np.float64, arms, elements=counts)) for _ in range(2))
    found = in_segments(own_s.sum(axis=0) + more_s, own_f.sum(axis=0) + more_f, own_s, own_f)
    whole = own_s.sum(axis=0) + more_s + own_f.sum(axis=0) + more_f
    worth = found.successes + found.failures
    assert (found.successes >= own_s - 1e-9).all()
    assert (found.failures >= own_f - 1e-9).all()
    assert (worth <= whole * (1 + 1e-9) + 1e-6).all()
    assert 0.0 <= found.rho <= 0.9


def test_an_arm_without_outcomes_in_a_segment_is_there_what_it_is_elsewhere() -> None:
    found = in_segments(np.array([80.0, 30.0]), np.array([20.0, 30.0]), np.zeros((1, 2)), np.zeros((1, 2)))
    assert found.rho == 0.0
    assert found.successes.tolist() == [[80.0, 30.0]]
    assert found.failures.tolist() == [pytest.approx([20.0, 30.0], rel=1e-12)]


@pytest.mark.statistics
def test_where_segments_do_not_differ_they_are_mostly_taken_to_be_alike() -> None:
    rng = np.random.default_rng(18)
    for segments, arms, outcomes in ((2, 2, 200), (3, 5, 20), (3, 5, 2000), (10, 5, 200)):
        found = [of(*drawn(rng, np.tile(rng.uniform(0.6, 0.9, arms), (segments, 1)), outcomes)) for _ in range(200)]
        assert np.mean([one.rho == 0.0 for one in found]) > 0.7
        assert np.mean([one.rho for one in found]) * outcomes < 1.2  # what is borrowed is no less than a cell has


@pytest.mark.statistics
def test_a_segment_that_is_harder_for_all_arms_is_no_difference_between_them() -> None:
    rng = np.random.default_rng(19)
    arms = rng.uniform(-0.5, 2.0, 6)
    logits = np.stack((arms, arms - 1.0, arms))
    found = [of(*drawn(rng, 1 / (1 + np.exp(-logits)), 400)) for _ in range(100)]
    assert np.mean([one.rho == 0.0 for one in found]) > 0.6
    # A third of what an arm does is in the segment itself: it is harder than the rest by all of 1.
    assert np.mean([one.harder[1] for one in found]) == pytest.approx(-1.0, abs=0.15)


@pytest.mark.statistics
@pytest.mark.parametrize(("outcomes", "of_own", "of_all"), [(20, 0.5, 1.05), (80, 0.75, 0.75), (320, 0.95, 0.3)])
def test_the_rate_in_a_segment_is_nearer_to_the_truth_than_its_own_and_than_that_of_all(
    outcomes: float, of_own: float, of_all: float
) -> None:
    """Mean squared error as a share of those; with few outcomes it is that of all calls, with many a segment's own."""
    rng = np.random.default_rng(20)
    errors = []
    for _ in range(200):
        rates = np.clip(rng.uniform(0.6, 0.85, 6) + rng.normal(0, 0.05, (4, 6)), 0.05, 0.98)
        wins, losses = drawn(rng, rates, outcomes)
        found = of(wins, losses)
        own = wins / np.maximum(wins + losses, 1)
        all_calls = wins.sum(axis=0) / (wins + losses).sum(axis=0)
        shrunk_rate = found.successes / (found.successes + found.failures)
        errors.append([np.mean((rate - rates) ** 2) for rate in (shrunk_rate, own, all_calls)])
    mine, own_error, error_of_all = np.mean(errors, axis=0)
    assert mine < of_own * own_error
    assert mine < of_all * error_of_all
