"""The score under the mean of seven nights, and how often that is false on a set."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation import alarms_falsely, falls_under_mean


def test_a_score_more_than_five_per_cent_under_the_mean_alarms() -> None:
    nights = np.array([0.8, 0.8, 0.8])
    assert falls_under_mean(nights, 0.7599, 0.1).alarms
    assert not falls_under_mean(nights, 0.7601, 0.1).alarms
    assert falls_under_mean(nights, 0.7, 0.125)._asdict() == {
        "alarms": True,
        "score": 0.7,
        "mean": pytest.approx(0.8),
        "false_alarms": 0.125,
    }


@pytest.mark.parametrize(("flaky", "low", "high"), [(0.0, 0.0, 0.02), (0.1, 0.015, 0.08), (0.3, 0.08, 0.18)])
def test_fifty_rows_alarm_falsely_as_often_as_eight_nights_of_them_do(flaky: float, low: float, high: float) -> None:
    rng = np.random.default_rng(11)
    failing = np.full(50, 0.003)
    failing[: int(50 * flaky)] = rng.uniform(0.1, 0.7, int(50 * flaky))
    passed = rng.random((21, 50)) >= failing
    stated = alarms_falsely(passed.astype(np.float64), passed, seed=1)
    nights = (rng.random((8, 4000, 50)) >= failing).mean(axis=2)
    true = float((nights[-1] < nights[:-1].mean(axis=0) * 0.95).mean())
    assert low <= stated <= high
    assert abs(stated - true) <= 0.02 + true / 2


def test_graded_scores_vary_within_passes_too() -> None:
    rng = np.random.default_rng(2)
    passed = np.ones((7, 10), np.bool_)
    level = alarms_falsely(np.full((7, 10), 0.85), passed, seed=1)
    wide = alarms_falsely(rng.choice([0.7, 1.0], (7, 10)), passed, seed=1)
    assert wide > level + 0.1


def test_rows_that_were_not_run_in_a_night_are_left_out_of_it() -> None:
    scores = np.array([[1.0, np.nan], [1.0, np.nan], [np.nan, np.nan]])
    assert 0 <= alarms_falsely(scores, scores > 0.5, seed=1) <= 1
