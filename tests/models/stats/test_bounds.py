"""Bounds that hold whatever the missing outcomes would have been."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.stats.bounds import if_answered_unevenly, manski, sensitivity


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_the_rate_of_all_calls_lies_within_the_bounds_whichever_calls_stay_silent(
    calls: list[tuple[bool, bool]],
) -> None:
    successes = sum(good and answered for good, answered in calls)
    failures = sum(not good and answered for good, answered in calls)
    truth = sum(good for good, _ in calls) / len(calls)
    low, high, sure_low, sure_high = manski(successes, failures, len(calls))
    assert sure_low <= low <= truth <= high <= sure_high
    # And they are sharp: the silent may all have failed, or all have succeeded.
    silent = len(calls) - successes - failures
    assert low == pytest.approx(successes / len(calls))
    assert high == pytest.approx((successes + silent) / len(calls))


def test_sure_bounds_hold_at_every_look_while_people_complain_more_than_they_praise() -> None:
    """Feedback after 20 % of successes and 60 % of failures; the truth, .85, is never excluded in 95 % of histories."""
    rng = np.random.default_rng(4)
    good = rng.random((400, 3_000)) < 0.85
    answered = rng.random(good.shape) < np.where(good, 0.2, 0.6)
    looks = np.arange(20, 3_001, 20)
    successes, failures = (np.cumsum(answered & side, axis=1)[:, looks - 1] for side in (good, ~good))
    _, _, low, high = manski(successes, failures, looks)
    assert ((low > 0.85) | (high < 0.85)).any(axis=1).mean() <= 0.05
    answered_rate = successes[:, -1] / (successes[:, -1] + failures[:, -1])
    assert answered_rate.mean() < 0.67, "the rate among those who answered is 20 points off"
    ranges = sensitivity(answered_rate, 3.0)
    assert abs(ranges[1].mean() - 0.85) < 0.005, "and right again where the readiness is known to be 1 to 3"


@given(st.floats(0.001, 0.999), st.floats(0.05, 1), st.floats(0.05, 1))
def test_uneven_answers_are_undone_by_their_ratio(truth: float, after_success: float, after_failure: float) -> None:
    among = truth * after_success / (truth * after_success + (1 - truth) * after_failure)
    assert float(if_answered_unevenly(among, after_success / after_failure)) == pytest.approx(truth)


def test_sensitivity_has_the_rate_inside_and_refuses_to_be_turned_round() -> None:
    low, high = sensitivity(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(low, [0, 1 / 3, 1])
    np.testing.assert_allclose(high, [0, 2 / 3, 1])
    with pytest.raises(ValueError, match=r"gamma must be >= 1; got 0\.5"):
        sensitivity(0.5, 0.5)


def test_without_calls_there_are_no_bounds() -> None:
    assert np.isnan(np.array(manski(0, 0, 0))).all()
