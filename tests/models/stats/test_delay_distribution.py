"""Delay buckets, and distributions put together from cohorts of many ages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import HOUR_US
from models.stats import delay_distribution as delay
from models.stats.delay_correction import TASK_TYPE_WEIGHT, shrunken

DAY_US = 24 * HOUR_US


def of_cohorts(cohorts: list[tuple[int, list[int]]]) -> tuple[np.ndarray, np.ndarray]:
    """D and C as their definition has them: cohorts of (age, delays known by now)."""
    within, through = np.zeros(delay.DELAY_BUCKETS), np.zeros(delay.DELAY_BUCKETS)
    for bucket, edge in enumerate(delay.edges_us()):
        for age, delays in cohorts:
            if age >= edge:
                buckets = delay.delay_bucket(np.array(delays, np.int64))
                within[bucket] += (buckets == bucket).sum()
                through[bucket] += (buckets <= bucket).sum()
    return within, through


def test_buckets_cover_a_second_to_four_months_and_beyond() -> None:
    edges = delay.edges_us()
    assert len(edges) == delay.BEYOND
    assert edges[delay.SETTLED] == delay.HISTORY_US
    assert edges[-1] == pytest.approx(delay.LONGEST_US)
    just_below, just_above = edges.astype(np.int64) - 3, edges.astype(np.int64) + 3
    assert delay.delay_bucket(just_below).tolist() == list(range(delay.BEYOND))
    assert delay.delay_bucket(just_above).tolist() == list(range(1, delay.DELAY_BUCKETS))
    assert delay.delay_bucket(np.array([-5, 0, delay.HISTORY_US, delay.HISTORY_US + 1])).tolist() == [0, 0, 30, 31]


@given(st.integers(-5, 2 * delay.LONGEST_US))
def test_a_cohort_knows_all_delays_of_the_buckets_it_has_outgrown_and_of_no_other(age: int) -> None:
    last = int(delay.outgrown(np.array([age]))[0])
    edges = [0.0, *delay.edges_us().tolist(), float("inf")]
    assert edges[last + 1] <= max(age, 0) < edges[last + 2]


@given(st.lists(st.integers(0, delay.HISTORY_US), min_size=1, max_size=300), st.integers(0, delay.HISTORY_US))
def test_of_one_cohort_the_distribution_is_its_histogram(delays: list[int], age: int) -> None:
    exact = np.sort(delays)
    within, through = of_cohorts([(delay.LONGEST_US + 1, delays)])
    running, spread = delay.distribution(within[None], through[None])
    share = float(delay.cdf(running, np.array([0]), np.array([age]))[0])
    bucket = int(delay.delay_bucket(np.array([age]))[0])
    below = np.count_nonzero(delay.delay_bucket(exact) < bucket) / len(exact)
    up_to = np.count_nonzero(delay.delay_bucket(exact) <= bucket) / len(exact)
    assert below - 1e-9 <= share <= up_to + 1e-9
    inner = (running[0] > 0) & (running[0] < 1)
    error = np.sqrt((1 - running[0]) / (len(exact) * np.where(inner, running[0], 1.0)))
    np.testing.assert_allclose(spread[0][inner], (running[0] * error)[inner])


COHORT = st.integers(0, 60 * DAY_US).flatmap(
    lambda age: st.tuples(st.just(age), st.lists(st.integers(0, max(age, 1)), max_size=20))
)


@given(st.lists(COHORT, min_size=1, max_size=8))
def test_of_many_cohorts_it_is_the_product_over_the_buckets_from_the_last_down(
    cohorts: list[tuple[int, list[int]]],
) -> None:
    within, through = of_cohorts(cohorts)
    running, _ = delay.distribution(within, through)
    if through[delay.SETTLED] == 0:
        assert np.isnan(running).all()
        return
    wanted = 1.0
    for bucket in reversed(range(delay.BEYOND)):
        wanted *= 1.0 - within[bucket] / through[bucket] if through[bucket] else 1.0
        assert running[bucket] == pytest.approx(0.0 if bucket == 0 else wanted, abs=1e-12)
    assert np.all(np.diff(running) >= -1e-12)


def test_young_cohorts_do_not_make_slow_verdicts_look_rare() -> None:
    """Half of all verdicts take 5 days. 30 daily cohorts, of which the newest five know only the fast half."""
    rng = np.random.default_rng(3)
    cohorts = []
    for day in range(30):
        age = (day + 1) * DAY_US
        delays = np.where(rng.random(400) < 0.5, HOUR_US, 5 * DAY_US)
        cohorts.append((age, delays[delays <= age].tolist()))
    within, through = of_cohorts(cohorts)
    running, _ = delay.distribution(within[None], through[None])
    share = float(delay.cdf(running, np.array([0]), np.array([3 * DAY_US]))[0])
    pooled = sum(len([d for d in delays if d <= 3 * DAY_US]) for _, delays in cohorts)
    assert abs(share - 0.5) < 0.02
    assert pooled / sum(len(delays) for _, delays in cohorts) > 0.53, "which a plain histogram would have given"


@pytest.mark.slow
def test_the_standard_error_is_that_of_repeated_histories() -> None:
    """200 groups, each with its own cohorts: the spread between them is the error that each reports."""
    rng = np.random.default_rng(5)
    found, errors = [], []
    for _ in range(200):
        cohorts = []
        for day in range(1, 12):
            delays = (60 * HOUR_US * np.exp(rng.normal(0, 1, 30))).astype(np.int64)
            cohorts.append((day * DAY_US, delays[delays <= day * DAY_US].tolist()))
        running, spread = delay.distribution(*(part[None] for part in of_cohorts(cohorts)))
        at = (np.array([0]), np.array([DAY_US]))
        share = float(delay.cdf(running, *at)[0])
        found.append(np.log(share))
        errors.append(float(delay.cdf(spread, *at)[0]) / share)
    assert np.std(found) == pytest.approx(np.mean(errors), rel=0.2)


def test_a_group_without_a_history_takes_that_of_its_task_and_keeps_the_doubt_of_few_verdicts() -> None:
    within = np.zeros((3, 2, delay.DELAY_BUCKETS), np.int64)
    within[0, :, 10], within[0, :, 20] = 400, 600
    history = shrunken(within, np.cumsum(within, axis=-1), np.array([0, 0, 1]))
    running, spread = history.distribution
    np.testing.assert_allclose(running[:, 1, 15], 0.4)
    np.testing.assert_allclose(spread[:, 1, 15], 0.4 * np.sqrt(0.6 / (TASK_TYPE_WEIGHT * 0.4)))
    np.testing.assert_allclose(spread[:, 0, 15], 0.4 * np.sqrt(0.6 / ((1000 + TASK_TYPE_WEIGHT) * 0.4)))
    assert np.isnan(running[:, 2]).all(), "another task type gives no history to this one"
    np.testing.assert_array_equal(history.weight, [[1000 + TASK_TYPE_WEIGHT, TASK_TYPE_WEIGHT, 0]] * 2)
