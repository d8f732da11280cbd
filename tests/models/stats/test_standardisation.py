"""A change of a rate splits into parts of the mix and one within, which sum to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.stats.effect_size import standardised_effect
from models.stats.standardisation import Cells, Split, _both, split, stands_alone

ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=8, max_size=8)
LEAF = np.repeat(np.arange(4), 2)
MODEL, CONFIG, SEGMENT = LEAF // 2, LEAF % 2, np.tile(np.arange(2), 4)


def cells(before: list[tuple[int, int]], since: list[tuple[int, int]]) -> Cells:
    (f0, s0), (f1, s1) = (np.array(rows, np.float64).T for rows in (before, since))
    return Cells(f0, f0 + s0, f1, f1 + s1)


def total(found: Split) -> float:
    return sum(mix.part.points for mix in found.mixes) + found.within.points


@given(ROWS, ROWS)
def test_parts_sum_to_the_change(before: list[tuple[int, int]], since: list[tuple[int, int]]) -> None:
    counts = cells(before, since)
    found = split(counts, LEAF, [MODEL, CONFIG, SEGMENT])
    sums = [np.bincount(LEAF, part).astype(np.float64) for part in counts]
    effect = standardised_effect((sums[0], sums[1]), (sums[2], sums[3]))
    assert (found is None) == (effect is None)
    if found is None or effect is None:
        return
    plain = counts.f0.sum() / counts.n0.sum() - counts.f1.sum() / counts.n1.sum()
    assert total(found) == pytest.approx(plain, abs=1e-12)
    # The two of leaves are what the change in the alert's headline leaves out.
    assert found.mixes[2].part.points + found.within.points == pytest.approx(effect.points, abs=1e-12)
    for mix in found.mixes:
        assert mix.gain.sum() == pytest.approx(mix.part.points, abs=1e-12)
        assert mix.before.sum() == pytest.approx(1.0)
        assert mix.part.low <= mix.part.points <= mix.part.high


@given(ROWS, st.integers(2, 5))
def test_where_the_mix_is_the_same_nothing_is_mix(before: list[tuple[int, int]], times: int) -> None:
    f0, s0 = np.array(before, np.float64).T
    found = split(
        Cells(f0, f0 + s0, np.minimum(times * (f0 + s0), 3 * f0), times * (f0 + s0)), LEAF, [MODEL, CONFIG, SEGMENT]
    )
    if found is not None:
        assert [mix.part.points for mix in found.mixes] == pytest.approx([0.0] * 3, abs=1e-12)


def test_simpson_every_segment_improves_and_the_whole_falls() -> None:
    """Of 1,000 easy ones 90 % and of 1,000 hard ones 50 %; then 92 % of 200 and 52 % of 1,800."""
    counts = Cells(*(np.array(pair, np.float64) for pair in ((100, 500), (1000, 1000), (16, 864), (200, 1800))))
    found = split(counts, np.zeros(2, np.int64), [np.arange(2)])
    assert found is not None
    (mix,), within = found.mixes, found.within
    assert mix.part.points == pytest.approx(-0.16)
    assert within.points == pytest.approx(0.02)
    assert mix.part.high < 0
    assert mix.gain.tolist() == pytest.approx([-0.08, -0.08])


def test_a_segment_that_is_new_in_a_leaf_is_mix_and_a_new_leaf_is_not() -> None:
    counts = Cells(*(np.array(pair, np.float64) for pair in ((50, 0), (500, 0), (50, 250), (500, 500))))
    segment = split(counts, np.zeros(2, np.int64), [np.zeros(2, np.int64), np.arange(2)])
    assert segment is not None
    assert (segment.mixes[1].part.points, segment.within.points) == pytest.approx((-0.2, 0.0))
    leaf = split(counts, np.arange(2), [np.arange(2), np.zeros(2, np.int64)])
    assert leaf is not None
    assert (leaf.mixes[0].part.points, leaf.within.points) == pytest.approx((0.0, -0.2))


def test_cells_with_few_trials_do_not_stand_by_themselves() -> None:
    counts = Cells(*(np.array(column, np.float64) for column in ((0, 0, 0), (500, 19, 0), (0, 0, 0), (500, 500, 20))))
    assert stands_alone(counts, np.zeros(3, np.int64)).tolist() == [True, False, True]


@pytest.mark.statistics
def test_intervals_cover_what_is_true() -> None:
    """Two leaves of two segments; mixes and rates move. 99 % intervals, 2,000 draws: at least 98 % cover."""
    rng = np.random.default_rng(20)
    leaf, segment = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    mix0, mix1 = np.array([0.4, 0.1, 0.3, 0.2]), np.array([0.2, 0.3, 0.2, 0.3])
    rate0, rate1 = np.array([0.95, 0.7, 0.9, 0.6]), np.array([0.9, 0.65, 0.9, 0.55])
    big = 10.0**9
    exact = Cells(*(big * part for part in (mix0 * (1 - rate0), mix0, mix1 * (1 - rate1), mix1)))
    truth = split(exact, leaf, [leaf, segment])
    assert truth is not None
    wanted = [mix.part.points for mix in truth.mixes] + [truth.within.points]
    covered = np.zeros(3)
    for _ in range(2000):
        trials = rng.multinomial(2000, mix0), rng.multinomial(600, mix1)
        failures = (rng.binomial(n, 1 - rate) for n, rate in zip(trials, (rate0, rate1), strict=True))
        (f0, f1), (n0, n1) = (tuple(column.astype(np.float64) for column in pair) for pair in (failures, trials))
        drawn = Cells(f0, n0, f1, n1)
        found = split(drawn, leaf, [leaf, segment])
        assert found is not None
        parts = [*(mix.part for mix in found.mixes), found.within]
        covered += [part.low <= true <= part.high for part, true in zip(parts, wanted, strict=True)]
    assert (covered / 2000 >= 0.98).all(), covered


def test_places_of_pairs_are_in_their_order() -> None:
    rng = np.random.default_rng(4)
    for size, most in ((0, 1), (1, 1), (300, 7), (300, 10_000)):
        of, values = rng.integers(0, most, (2, size))
        _, expected = np.unique(np.stack((of, values)), axis=1, return_inverse=True)
        assert _both(of, values).tolist() == expected.ravel().tolist()
