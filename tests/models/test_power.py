"""How long a drop takes to be noticed, against figures that were measured before there was code."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.power import LONGEST_DAYS, power
from models.shiryaev_roberts import ShiryaevRoberts

MEASURED = {
    0.95: {30: 19, 50: 11, 100: 5.2, 300: 1.8, 1000: 0.7},
    0.9: {30: 44, 50: 18, 100: 9.3, 300: 3.0, 1000: 1.0},
    0.85: {50: 29, 100: 12, 300: 3.8, 1000: 1.3},
    0.6: {100: 25, 300: 6.8, 1000: 2.2},
}
"""Success rate -> trials a day -> median days until a drop of 5 points is noticed; A = 1000, four weeks of baseline."""


@pytest.mark.parametrize("rate", MEASURED)
def test_days_are_those_of_the_prototype_within_a_fifth(rate: float) -> None:
    for per_day, days in MEASURED[rate].items():
        found = power(28 * per_day * rate, 28 * per_day * (1 - rate), per_day, 1000.0, correlation=0.0)
        assert found.days == pytest.approx(days, rel=0.2), (rate, per_day)
        assert 0 <= found.within_week <= 1


def test_where_traffic_is_too_thin_there_is_no_time_at_all() -> None:
    assert power(504, 336, 30, 1000.0).days == math.inf
    assert power(504, 336, 30, 1000.0, correlation=0.0).within_week < 0.05
    assert power(0, 0, 0, 1000.0) == (math.inf, 0.0)
    assert power(10, 2, 0.1, 1000.0).days > LONGEST_DAYS


def test_more_of_anything_that_helps_makes_it_sooner() -> None:
    plain = power(2520, 280, 100, 1000.0)
    assert power(2520, 280, 300, 1000.0).days < plain.days
    assert power(25_200, 2_800, 100, 1000.0).days < plain.days
    assert power(2520, 280, 100, 1000.0, drop=0.1).days < plain.days
    assert power(2520, 280, 100, 100.0).days < plain.days
    assert power(2520, 280, 100, 1000.0, correlation=0.01).days > plain.days
    assert power(2520, 280, 100, 1000.0, margin=0.01).days > plain.days


def test_equal_questions_get_equal_answers_and_drops_end_at_nothing() -> None:
    assert power(900, 100, 50, 1000.0) == power(900, 100, 50, 1000.0)
    assert power(3, 97, 50, 1000.0, drop=0.5).days >= 0


def test_the_shipped_detector_notices_when_power_says_it_would() -> None:
    """300 groups at 200 trials a day, a success rate of .9, hourly batches through the detector itself."""
    rng = np.random.default_rng(6)
    groups, per_hour = 300, 200 / 24
    detector = ShiryaevRoberts(groups)
    rows = np.arange(groups)
    found = np.full(groups, math.inf)
    for hour in range(24 * 35 + 24 * 40):
        since = hour - 24 * 35
        trials = rng.poisson(per_hour, groups)
        failures = rng.binomial(trials, 0.1 if since < 0 else 0.15)
        mean, _ = detector.update(rows, trials - failures, failures, hour * 60)
        found = np.where(np.isinf(found) & (mean >= 1000.0), -1.0 if since < 0 else (since + 1) / 24, found)
        if not np.isinf(found).any():
            break
    fair = np.sort(found[found >= 0])
    said = power(35 * 180, 35 * 20, 200, 1000.0)
    assert said.days == pytest.approx(fair[len(fair) // 2], rel=0.25)
    assert said.within_week == pytest.approx((fair <= 7).mean(), abs=0.15)
