"""Estimates of a policy from what another has logged: exact cases, and coverage with a known truth."""

import numpy as np
import pytest

from models.evaluation.off_policy import Logged, judge
from models.stats.arrived import arrived

RATES = np.array([0.85, 0.75, 0.6])


def drawn(rng: np.random.Generator, n: int, answered: tuple[float, float] = (0.6, 0.6)) -> Logged:
    """Units of three calls; each unit has a level of its own, and the weights change 50 times."""
    units = n // 3
    weights = rng.dirichlet([4, 2, 2], 50) * 0.85 + 0.05
    mine = weights[np.arange(units) * 50 // units]
    arm = (rng.random(units)[:, None] > mine.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    p = mine[np.arange(units), arm]
    level = rng.choice([-0.1, 0.1], units)
    arm, p, level, unit = (np.repeat(values, 3) for values in (arm, p, level, np.arange(units)))
    y = (rng.random(len(arm)) < RATES[arm] + level).astype(float)
    silent = rng.random(len(arm)) >= np.where(y > 0, answered[1], answered[0])
    return Logged(arm, p, np.where(silent, np.nan, y), np.ones(len(arm)), unit)


def test_the_policy_that_was_followed_has_its_plain_rate() -> None:
    logged = drawn(np.random.default_rng(1), 900)
    plain = np.nanmean(logged.verdict)
    judged = judge(logged, None, 3)
    assert [judged.ips.rate, judged.snips.rate, judged.dr.rate] == pytest.approx([plain] * 3, abs=1e-12)


def test_by_hand() -> None:
    logged = Logged(np.array([0, 0, 1]), np.array([0.5, 0.25, 0.5]), np.array([1.0, 0, 1]), np.ones(3), np.arange(3))
    judged = judge(logged, np.array([1.0, 0.0]), 2)
    assert judged.ips.rate == pytest.approx(2 / 3)  # (2 + 0 + 0) / 3
    assert judged.snips.rate == pytest.approx(2 / 6)
    assert judged.dr.rate == pytest.approx(0.5 + (2 * 0.5 - 4 * 0.5) / 3)
    assert judged.effective == pytest.approx(36 / 20)
    assert judged.mean_weight == pytest.approx(2)


def test_an_arm_without_calls_is_named_and_nothing_is_claimed_of_it() -> None:
    logged = drawn(np.random.default_rng(2), 900)
    judged = judge(logged, np.array([0.5, 0, 0, 0.5]), 4)
    assert (judged.missing, judged.uncovered) == ([3], 0.5)
    assert np.isnan(judged.dr.rate)
    assert judged.bounds[1] - judged.bounds[0] > 0.5


@pytest.mark.parametrize("propensity", [0.0, 1.5, np.nan])
def test_propensities_are_over_0_and_at_most_1(propensity: float) -> None:
    logged = Logged(np.array([0]), np.array([propensity]), np.ones(1), np.ones(1), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="propensities"):
        judge(logged, None, 1)


def test_intervals_of_95_percent_cover_so_often() -> None:
    policy, runs = np.array([0.1, 0.2, 0.7]), 600
    truth = float(policy @ RATES)
    rng = np.random.default_rng(3)
    found = [judge(drawn(rng, 1_500), policy, 3) for _ in range(runs)]
    for name in ("ips", "snips", "dr"):
        covered = np.mean([getattr(one, name).low <= truth <= getattr(one, name).high for one in found])
        assert 0.92 <= covered <= 0.98, (name, covered)


def test_bounds_hold_where_silence_depends_on_the_verdict() -> None:
    policy = np.array([0.1, 0.2, 0.7])
    truth, rng = float(policy @ RATES), np.random.default_rng(4)
    found = [judge(drawn(rng, 1_500, (0.8, 0.4)), policy, 3) for _ in range(200)]
    assert np.mean([one.bounds[0] <= truth <= one.bounds[1] for one in found]) >= 0.95
    assert np.mean([one.snips.low <= truth <= one.snips.high for one in found]) < 0.5  # no estimate mends this


def test_verdicts_that_are_out_are_made_up_for() -> None:
    rng, n, hour = np.random.default_rng(5), 200_000, 3_600_000_000
    age = (rng.random(n) * 100 * hour).astype(np.int64)
    y = (rng.random(n) < 0.8).astype(float)
    late = (np.where(y > 0, 10, 0.2) * hour * rng.lognormal(0, 0.8, n)).astype(np.int64)
    seen = np.where(late <= age, y, np.nan)
    failing, succeeding = arrived(age, late, seen)
    enough = np.minimum(failing, succeeding) >= 0.2
    share = np.where(seen == 1, succeeding, failing)[enough]
    logged = Logged(
        np.zeros(enough.sum(), np.int64), np.ones(enough.sum()), seen[enough], share, np.arange(enough.sum())
    )
    assert judge(logged, None, 1).snips.rate == pytest.approx(0.8, abs=0.006)
    assert abs(np.nanmean(seen[enough]) - 0.8) > 0.01
