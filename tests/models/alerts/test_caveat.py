"""Where no promise can be made: small baselines, and days that differ."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alerts.caveat import (
    baseline_too_small,
    caveat,
    days_differ_too_much,
    divergence,
    is_weekend,
    new_kind_of_day,
)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_divergence_is_the_expected_log_likelihood_ratio(p: float, q: float) -> None:
    expected = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert divergence(p, q) == pytest.approx(expected, abs=1e-9)


def test_divergence_at_the_edges() -> None:
    assert divergence(0.5, 0.0) == math.inf
    assert divergence(0.0, 0.0) == 0.0
    assert divergence(0.0, 0.5) == pytest.approx(math.log(2))


@given(st.integers(1, 10**6), st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(2, 1e5))
def test_more_baseline_never_supports_less(trials: int, rate: float, changed: float, threshold: float) -> None:
    if not baseline_too_small(trials, rate, changed, threshold):
        assert not baseline_too_small(2 * trials, rate, changed, threshold)


def test_a_thousand_outcomes_cannot_show_a_change_of_two_points() -> None:
    """The lesson of the reference figures: 1,000 history events cannot support a 2-point promise, 10,000 can."""
    assert baseline_too_small(1000, 0.9, 0.88, 10_000.0)
    assert not baseline_too_small(10_000, 0.9, 0.88, 10_000.0)


def judged(correlation: float, days: int = 21, per_day: int = 2000, streams: int = 400) -> float:
    """Share of streams whose days are found to differ too much; their rates are Beta of this correlation."""
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(streams):
        rates = np.full(days, 0.1)
        if correlation:
            size = 1 / correlation - 1
            rates = rng.beta(0.1 * size, 0.9 * size, days)
        found += days_differ_too_much(rng.binomial(per_day, rates).astype(np.float64), np.full(days, float(per_day)))
    return found / streams


def test_strong_day_effects_are_noticed_and_weak_ones_pass() -> None:
    assert judged(0.0) == 0.0
    assert judged(0.002) < 0.05
    assert judged(0.02) > 0.9


def test_a_few_days_are_not_judged() -> None:
    days = np.array([0.0, 500.0, 0.0, 500.0])
    assert not days_differ_too_much(days, np.full(4, 1000.0))


def test_the_sentence_names_the_reason() -> None:
    short = caveat(rate=0.9, changed=0.85, trials=50, threshold=2000)
    assert short is not None
    assert "50 outcomes before the change are too few" in short
    wild = np.array([0.0, 900.0] * 7)
    days = caveat(rate=0.5, changed=0.1, trials=10_000, threshold=2000, days=(wild, np.full(14, 1000.0)))
    assert days is not None
    assert "days of this group differ" in days
    assert caveat(rate=0.9, changed=0.5, trials=10_000, threshold=2000, days=(np.zeros(0), np.zeros(0))) is None


@given(st.integers(0, 40_000))
def test_weekends_are_those_of_the_calendar(day: int) -> None:
    assert is_weekend(day) == ((date(1970, 1, 1) + timedelta(days=day)).weekday() >= 5)


def test_a_kind_of_day_is_new_where_no_day_before_was_one() -> None:
    monday = 4
    assert new_kind_of_day({monday, monday + 4}, {monday + 5}) == "weekend"
    assert new_kind_of_day({monday + 5, monday + 6}, {monday + 7}) == "working day"
    assert new_kind_of_day({monday, monday + 6}, {monday + 12}) is None
    assert new_kind_of_day({monday}, {monday + 5, monday + 7}) is None
    assert new_kind_of_day({monday}, {monday + 1}) is None
    assert new_kind_of_day(set(), {monday + 5}) is None
    reason = caveat(rate=0.9, changed=0.5, trials=10_000, threshold=2000, new_kind="weekend")
    assert reason is not None
    assert "began on a weekend" in reason
