"""P(best) against draws, against closed forms, and at its edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from models.arrays import F64
from models.stats.best_arm import probability_of_best

DRAWS = 400_000
FINE = 2_000
TOLERANCE = 0.002 + 3 * 0.5 / DRAWS**0.5


@pytest.mark.parametrize(
    ("counts", "rates"),
    [
        ([1000, 1000], [0.85, 0.86]),
        ([0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]),
        ([0, 5, 100, 10_000, 100_000], [0.5, 0.8, 0.9, 0.85, 0.86]),
        # Two that hardly differ and are surely known, among many that are not.
        ([1e9, 1e9, *[3] * 40], [0.999_99, 0.999_99, *[1.0] * 40]),
        ([12, 400, 30, 30, 7, 90, 600, 50, 1, 3], [0.9, 0.9, 0.8, 1.0, 1.0, 0.92, 0.93, 0.9, 0.0, 1.0]),
    ],
)
def test_the_grid_agrees_with_draws(counts: list[int], rates: list[float]) -> None:
    trials = np.array(counts, float)
    successes = np.round(trials * np.array(rates))
    draws = np.random.default_rng(5).beta(1 + successes, 1 + trials - successes, size=(DRAWS, len(counts)))
    expected = np.bincount(draws.argmax(axis=1), minlength=len(counts)) / DRAWS
    np.testing.assert_allclose(probability_of_best(successes, trials - successes), expected, atol=TOLERANCE)


def test_costs_shift_the_utility() -> None:
    successes, failures = np.array([900.0, 880.0, 700.0]), np.array([100.0, 120.0, 300.0])
    costs = np.array([0.03, 0.0, 0.01])
    draws = np.random.default_rng(6).beta(1 + successes, 1 + failures, size=(DRAWS, 3)) - costs
    expected = np.bincount(draws.argmax(axis=1), minlength=3) / DRAWS
    found = probability_of_best(successes, failures, costs)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert found[1] > found[0], "the dearer arm must lose its lead"


def test_two_arms_follow_the_closed_form() -> None:
    # P(Beta(a, 1) > uniform) = E[X] = a / (a + 1).
    found = probability_of_best(np.array([3.0, 0.0]), np.array([0.0, 0.0]))
    assert found[0] == pytest.approx(4 / 5, abs=5e-4)


def test_one_arm_is_the_best() -> None:
    assert probability_of_best(np.zeros(1), np.zeros(1)).tolist() == [1.0]


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 0.5)), min_size=2, max_size=6),
)
def test_the_grid_agrees_with_a_fine_one(arms: list[tuple[float, float, float]]) -> None:
    successes, failures, costs = np.array(arms).T
    expected = by_quadrature(successes, failures, costs)
    np.testing.assert_allclose(probability_of_best(successes, failures, costs), expected, atol=0.001)


def by_quadrature(successes: F64, failures: F64, costs: F64) -> F64:
    """P_i as the integral over the quantiles of arm i of the product of the others' distributions.

    The product grows from at most 0 to at most 1, so that middles of n cells err by at most 1 / 2n.
    """
    posteriors = [beta(1 + s, 1 + f) for s, f in zip(successes, failures, strict=True)]
    level = (np.arange(FINE) + 0.5) / FINE
    found = []
    for i, posterior in enumerate(posteriors):
        utility = posterior.ppf(level) - costs[i]
        others = [rival.cdf(utility + costs[j]) for j, rival in enumerate(posteriors) if j != i]
        found.append(np.prod(others, axis=0).mean())
    shares: F64 = np.array(found) / np.sum(found)
    return shares


@pytest.mark.parametrize("alike", [1, 100])
def test_arms_that_cannot_win_cost_no_memory_of_their_square(alike: int) -> None:
    """A config that is a hash or a time makes thousands of arms."""
    rng = np.random.default_rng(3)
    successes, failures = rng.integers(0, 40, 3_000).astype(float), rng.integers(1, 10, 3_000).astype(float)
    successes[:alike], failures[:alike] = 1e5, 0.0
    found = probability_of_best(successes, failures)
    assert found.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found[:alike], 1 / alike, atol=1e-4)
    assert (found[alike:] < 1e-5).all()


def test_alike_arms_are_alike_and_probabilities_sum_to_one() -> None:
    found = probability_of_best(np.full(7, 300.0), np.full(7, 50.0))
    np.testing.assert_allclose(found, 1 / 7, atol=1e-12)


def test_an_arm_that_cannot_win_gets_nothing_but_no_nan() -> None:
    found = probability_of_best(np.array([99_000.0, 0.0]), np.array([1_000.0, 5_000.0]))
    assert found[0] == pytest.approx(1.0, abs=1e-5)
    assert found[1] >= 0
