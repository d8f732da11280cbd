"""Two arms held against each other once: exact where trials are independent, and no false certainty where days vary."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from models.stats.two_samples import ArmHours, compared, design_effect, worse_by_chance


def hourly(hours: range | list[int], failures: float, trials: float) -> ArmHours:
    """As many in each hour."""
    count = len(hours)
    return ArmHours(np.array(hours), np.full(count, failures), np.full(count, trials))


def test_p_values_of_whole_counts_are_those_of_fishers_exact_test() -> None:
    rng = np.random.default_rng(1)
    n0, n1 = rng.integers(1, 3000, (2, 60)).astype(float)
    f0, f1 = (rng.binomial(n.astype(int), rng.beta(1, 3, 60)).astype(float) for n in (n0, n1))
    found = worse_by_chance((f0, f1), (n0, n1))
    for *counts, p in zip(f0, n0, f1, n1, found, strict=True):
        a, b, c, d = (int(count) for count in counts)
        exact = fisher_exact([[c, d - c], [a, b - a]], alternative="greater")[1]
        assert p == pytest.approx(exact, rel=1e-6, abs=1e-25)


def test_where_none_of_the_one_or_all_of_the_other_fail_nothing_can_be_worse() -> None:
    assert worse_by_chance((np.array([5.0, 10.0]), np.array([0.0, 3.0])), (np.array([10.0] * 2),) * 2).tolist() == [
        1,
        1,
    ]


def test_what_both_arms_have_seen_together_cancels_and_a_day_of_its_own_counts_as_one_day() -> None:
    assert design_effect(hourly([0, 1], 1, 50), hourly([0, 1], 1, 9), 0.005, 0.005) == pytest.approx(1.0)
    # Two days far apart, a thousand trials each: worth 1 / (1 / 1000 + rho) apiece, but for hours and quarters.
    apart = design_effect(hourly([0], 100, 1000), hourly([100], 100, 1000), 0.005, 0.0)
    assert apart == pytest.approx(1 + 1000 * 0.005)
    ten_days = design_effect(hourly(list(range(0, 240, 24)), 10, 100), hourly([300], 100, 1000), 0.005, 0.0)
    assert ten_days == pytest.approx(1 + 0.005 * (1 + 10 * 0.1**2) / (2 / 1000))


def test_an_arm_beside_the_other_is_held_against_the_same_days_where_days_vary() -> None:
    before = ArmHours(np.array([0, 24, 48]), np.array([10.0, 90.0, 30.0]), np.array([500.0, 500.0, 500.0]))
    beside = hourly([24], 36, 200)
    steady, varying = (compared(before, beside, rho, 0.0) for rho in (0.00003, 0.02))
    assert steady is not None
    assert varying is not None
    assert steady.before == (130, 1500)
    assert varying.before == (90, 500), "a day on which the other failed as often is no evidence"
    assert steady.worse < 0.001
    assert varying.worse > 0.4


def test_nothing_is_compared_with_an_arm_without_trials() -> None:
    none = hourly([], 0, 0)
    assert compared(none, hourly([1], 1, 9), 0.005, 0.005) is None
    assert compared(hourly([1], 1, 9), none, 0.005, 0.005) is None


@pytest.mark.parametrize(("day", "hour"), [(0.0, 0.0), (0.005, 0.0), (0.0, 0.005)])
def test_arms_without_a_change_are_called_worse_or_better_no_more_often_than_p_values_say(
    day: float, hour: float
) -> None:
    """One look each after a day or so, at 10 %, where the arm replaced the other at some hour."""
    rng, alarms, looks = np.random.default_rng(5), 0, 400
    for _ in range(looks):
        hours = np.arange(24 * 8)
        p = 0.15 + np.sqrt(0.15 * 0.85) * (
            np.sqrt(day) * rng.standard_normal(8)[hours // 24] + np.sqrt(hour) * rng.standard_normal(len(hours))
        )
        begin, n = int(rng.integers(100, 150)), rng.poisson(25, len(hours)).astype(float)
        f = rng.binomial(n.astype(int), np.clip(p, 0, 1)).astype(float)
        end = begin + int(rng.integers(6, 36))
        rho = max(day, hour, 0.00003)
        both = ArmHours(hours[:begin], f[:begin], n[:begin]), ArmHours(hours[begin:end], f[begin:end], n[begin:end])
        found = compared(*both, rho, rho)
        assert found is not None
        alarms += found.worse <= 0.05 or found.better <= 0.05
    assert alarms <= 0.1 * looks + 2 * np.sqrt(0.1 * looks)
