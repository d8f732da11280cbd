"""Correlations of many groups are learned together, each group's own as far as groups differ."""

from __future__ import annotations

import numpy as np
import pytest

from models.arrays import F64
from models.stats.correlations import CAUTION, LEAST_RHO, MOST_RHO, PRIOR_RHO, correlations

DF, SIZE = 7.0, 1000.0
"""Of ten days with 1,000 trials each."""


def seen(rho: F64, seed: int = 1) -> tuple[F64, F64, F64]:
    """Dispersions that groups with these correlations show, their degrees of freedom and sizes."""
    shown = np.random.default_rng(seed).chisquare(DF, len(rho)) / DF * (1 + SIZE * rho)
    return shown, np.full(len(rho), DF), np.full(len(rho), SIZE)


@pytest.mark.parametrize("rho", [0.0003, 0.002, 0.005])
def test_where_groups_are_alike_all_have_the_same(rho: float) -> None:
    found, everyone = correlations(*seen(np.full(400, rho)))
    assert everyone / CAUTION == pytest.approx(rho, rel=0.2)
    low, high = np.quantile(found, (0.05, 0.95)) / CAUTION
    assert 0.6 * rho < low < high < 1.5 * rho


def test_where_no_group_varies_none_is_taken_to_vary_by_chance() -> None:
    found, everyone = correlations(*seen(np.zeros(400)))
    assert max(everyone, np.quantile(found, 0.95)) < 0.00015
    # A group on its own cannot know it so soon.
    shown, df, size = seen(np.zeros(40))
    alone = [correlations(shown[at : at + 1], df[:1], size[:1])[0][0] for at in range(40)]
    assert np.median(alone) > 0.0002


def test_where_groups_differ_each_has_its_own() -> None:
    steady, unsteady = np.full(200, 0.0001), np.full(200, 0.01)
    found, _ = correlations(*seen(np.concatenate((steady, unsteady))))
    assert np.median(found[:200]) < 0.0005
    assert 0.005 < np.median(found[200:]) < 0.015


def test_a_group_without_days_has_what_everyone_has_and_tells_nothing() -> None:
    shown, df, size = seen(np.full(30, 0.002))
    _, wanted = correlations(shown, df, size)
    found, everyone = correlations(np.append(shown, 1.0), np.append(df, 0.0), np.append(size, 1.0))
    assert found[-1] == everyone == pytest.approx(wanted, rel=1e-9)
    unknown, prior = correlations(np.ones(1), np.zeros(1), np.ones(1))
    assert unknown[0] == prior == pytest.approx(CAUTION * PRIOR_RHO, rel=0.02)


def test_what_is_another_groups_as_well_counts_once() -> None:
    shown, df, size = seen(np.full(1, 0.0), seed=4)
    once, _ = correlations(shown, df, size)
    shown, df, size = (np.repeat(column, 3) for column in (shown, df, size))
    apart, _ = correlations(shown, df, size, np.array([2]))
    assert apart == pytest.approx(np.repeat(once, 3))
    assert correlations(shown, df, size)[0][0] != pytest.approx(once[0], rel=0.05)


def test_correlations_stay_within_the_grid() -> None:
    shown = np.array([0.0, 1e9, 1.0, 1.0])
    found, _ = correlations(shown, np.array([200.0, 200.0, 1e6, 0.1]), np.array([1e6, 1e6, 1.0, 1.0]))
    assert np.isfinite(found).all()
    assert (found >= LEAST_RHO * (1 - 1e-9)).all()
    assert (found <= MOST_RHO * (1 + 1e-9)).all()


def test_more_groups_than_are_learned_from_change_no_group_of_another_block() -> None:
    """Groups are updated by blocks, and learned from 2,048 at most: the busiest."""
    rho = np.random.default_rng(3).choice([0.0003, 0.008], 9000)
    shown, df, size = seen(rho)
    found, everyone = correlations(shown, df, size)
    again, same = correlations(shown[::-1], df[::-1], size[::-1])
    assert everyone == pytest.approx(same, rel=0.05)
    assert found == pytest.approx(again[::-1], rel=0.25)
