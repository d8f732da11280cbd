"""A change that an alarm selected is drawn towards the rate before it, the more so the fewer outcomes there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.stats.effect_size import standardised_effect
from models.stats.selection import MEAN, selected_change
from models.stats.shiryaev_roberts import RATIOS

shares = st.floats(0.0, 1.0)


@given(shares, st.integers(1, 10**6), shares, st.integers(1, 10**6))
def test_the_rate_lies_between_the_usual_one_and_one_beyond_which_nothing_was_seen(
    before: float, trials_before: int, share: float, trials: int
) -> None:
    events = float(round(max(share, before) * trials))
    found = selected_change(before, float(trials_before), events, float(trials))
    usual = (before * trials_before + 0.5) / (trials_before + 1)
    assert min(usual, events / trials) - 1e-6 <= found.rate <= 1.0
    assert found.low <= found.difference <= found.high
    assert found.low >= -1
    assert found.high <= 1 + before


@pytest.mark.parametrize("more", [0.2, 0.5, 0.9])
def test_more_outcomes_of_the_same_rate_are_drawn_less_and_a_million_not_at_all(more: float) -> None:
    off = [more - selected_change(0.1, 10_000.0, more * n, n).rate for n in (10.0, 100.0, 1000.0, 1_000_000.0)]
    assert off == sorted(off, reverse=True)
    assert off[0] > 0.01
    assert abs(off[-1]) < 1e-4


def test_a_rise_from_14_outcomes_is_not_taken_at_its_word() -> None:
    """12 of 14 succeeded, of which the next 1,186 said 54 %: the interval holds that, and the estimate is nearer."""
    effect = standardised_effect((np.array([713.0]), np.array([1000.0])), (np.array([2.0]), np.array([14.0])), "up")
    assert effect is not None
    assert effect.plain == pytest.approx(0.857, abs=1e-3)
    assert 0.54 < effect.current < 0.78
    assert effect.low <= 0.54 - 0.287 <= effect.high
    assert np.log(RATIOS).mean() == pytest.approx(MEAN) == pytest.approx(0.68, abs=5e-3)


def test_down_and_up_are_mirror_images_and_the_other_way_is_left_alone() -> None:
    before, since = (np.array([100.0]), np.array([1000.0])), (np.array([12.0]), np.array([40.0]))
    down, wrong = (standardised_effect(before, since, way) for way in ("down", "up"))
    plain = standardised_effect(before, since)
    (f0, n0), (f1, n1) = before, since
    up = standardised_effect((n0 - f0, n0), (n1 - f1, n1), "up")
    assert down is not None
    assert up is not None
    assert plain is not None
    assert wrong == plain
    assert (down.points, down.low, down.high) == pytest.approx((-up.points, -up.high, -up.low))
    assert plain.current < down.current < down.baseline
