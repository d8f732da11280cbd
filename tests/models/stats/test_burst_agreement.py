"""Bursts that agree are kept apart from those that do not, at any rate, and from a rate that moves."""

from __future__ import annotations

import numpy as np
import pytest

from models.stats.burst_agreement import ALLOWED, BurstAgreement, Bursts


def drawn(
    rng: np.random.Generator, count: int, size: int, shared: float, rate: float | np.ndarray = 0.12
) -> BurstAgreement:
    """One kind after so many bursts, of whose outcomes a part has one verdict."""
    rates = np.broadcast_to(rate, count)
    one = (rng.random(count) < rates)[:, None]
    own = rng.random((count, size)) < rates[:, None]
    failures = np.where(rng.random((count, size)) < shared, one, own).sum(axis=1)
    agreement, trials = BurstAgreement(), np.full(count - 1, size)
    agreement.grow(1)
    agreement.add(Bursts(np.zeros(count - 1, np.int64), (failures[:-1], failures[1:]), (trials, trials)))
    agreement.begin_day(0)
    return agreement


def test_before_anything_is_known_bursts_may_be_one_opinion_and_are_not_known_to_be() -> None:
    agreement = BurstAgreement()
    agreement.grow(2)
    assert agreement.doubt.tolist() == [1 - ALLOWED] * 2
    assert agreement.rho.tolist() == agreement.likely.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("size", [3, 10, 500])
def test_independent_bursts_are_taken_to_agree_in_fewer_than_one_of_a_thousand_kinds(size: int) -> None:
    rng = np.random.default_rng(1)
    assert not any(drawn(rng, 40, size, 0.0, rng.uniform(0.02, 0.6)).rho[0] for _ in range(1000))


@pytest.mark.parametrize(("size", "shared", "count"), [(30, 1.0, 60), (30, 0.5, 60), (5, 1.0, 60), (5, 0.7, 200)])
def test_bursts_that_agree_are_never_taken_for_independent_and_known_by_a_bound_that_is_mostly_above_the_truth(
    size: int, shared: float, count: int
) -> None:
    rng = np.random.default_rng(2)
    kinds = [drawn(rng, count, size, shared) for _ in range(200)]
    rhos = np.array([(kind.rho[0], kind.doubt[0]) for kind in kinds])
    assert (rhos[:, 0] > 0).mean() > 0.5
    assert (rhos.sum(axis=1) >= shared**2 / 4).mean() > 0.98
    known = rhos[rhos[:, 0] > 0, 0]
    assert (known >= shared**2).mean() > 0.9
    assert np.median(known) < shared**2 + 0.3


def test_a_rate_that_moves_at_once_or_day_by_day_is_no_agreement() -> None:
    rng = np.random.default_rng(3)
    moved = np.repeat((0.1, 0.3), 20)
    wanders = 0.12 + 0.04 * np.sin(np.arange(400) / 20)
    outage = np.where(np.arange(40) == 20, 1.0, 0.05)
    for rates in (moved, wanders, outage):
        assert not any(drawn(rng, len(rates), 60, 0.0, rates).rho[0] for _ in range(100))


def test_a_judge_of_many_is_known_to_be_independent_after_two_weeks() -> None:
    rng = np.random.default_rng(4)
    known = [drawn(rng, 14, 500, 0.0).doubt[0] * 499 < 1 for _ in range(200)]
    assert np.mean(known) > 0.95


def test_what_was_learned_fades_and_outlives_a_restart() -> None:
    agreement = drawn(np.random.default_rng(5), 60, 30, 1.0)
    again = BurstAgreement({name: column.copy() for name, column in agreement.state().items()})
    assert again.rho.tolist() == agreement.rho.tolist()
    assert again.rho[0] > 0.9
    again.begin_day(400)
    assert again.rho.tolist() == [0.0]
    assert again.doubt[0] > 0.9
