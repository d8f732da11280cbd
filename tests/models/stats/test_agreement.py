"""How far outcomes of one unit agree: what is learned of simulated units, and how sure the bound is."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from models.arrays import I64
from models.stats.agreement import Agreement, effective, for_ratios
from models.stats.shiryaev_roberts import RATIOS


def units(rng: np.random.Generator, count: int, shared: float, failing: float) -> tuple[I64, I64]:
    """Trials and failures of units of 3 to 20 trials, each of which has its unit's verdict with probability `shared`.

    The correlation of two trials is shared^2.
    """
    trials = rng.integers(3, 21, count)
    common = rng.binomial(trials, shared)
    leading = rng.random(count) < failing
    return trials, leading * common + rng.binomial(trials - common, failing)


def learned(trials: I64, failures: I64, groups: int = 1) -> float:
    """The bound from units dealt to groups in turn, which end ten or more a group at a time."""
    agreement = Agreement()
    agreement.grow(groups + 1)
    group = np.arange(len(trials)) % groups
    for begin in range(0, len(trials), 40 * groups):
        part = slice(begin, begin + 40 * groups)
        agreement.end(group[part], trials[part], failures[part], np.full(groups + 1, groups), 0)
    return float(agreement.rho[groups])


def test_trials_of_one_unit_are_worth_one_where_they_agree_and_all_where_they_do_not() -> None:
    assert effective(np.array([0, 1, 2, 12]), 1.0).tolist() == [0, 1, 1, 1]
    assert effective(np.array([0, 1, 2, 12]), 0.0).tolist() == [0, 1, 2, 12]
    assert effective(np.array([12]), 0.25) == pytest.approx(12 / 3.75)


@pytest.mark.parametrize("seen", [0, 9], ids=["no unit", "too few units"])
def test_nothing_is_taken_for_independent_until_it_is_known(seen: int) -> None:
    assert learned(np.full(seen, 5), np.full(seen, 1)) == 1.0


def test_units_without_any_failure_say_nothing() -> None:
    assert learned(np.full(500, 5), np.zeros(500, np.int64)) == 1.0


def test_units_that_always_agree_stay_worth_one_trial() -> None:
    trials, failures = units(np.random.default_rng(1), 2000, 1.0, 0.12)
    assert learned(trials, failures) == 1.0


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("failing", [0.03, 0.12, 0.5])
def test_the_bound_is_above_the_truth_nineteen_times_in_twenty_and_not_far(shared: float, failing: float) -> None:
    rng = np.random.default_rng(2)
    bounds = np.array([learned(*units(rng, 400, shared, failing)) for _ in range(200)])
    assert (bounds < shared**2).mean() <= 0.08
    assert np.median(bounds) - shared**2 < (0.08 if failing > 0.1 else 0.25)


def test_groups_that_differ_do_not_count_as_agreement() -> None:
    rng = np.random.default_rng(3)
    failing = np.tile([0.05, 0.2, 0.5, 0.8], 500)
    trials = rng.integers(3, 21, 2000)
    failures = rng.binomial(trials, failing)
    assert learned(trials, failures, groups=4) < 0.03
    assert learned(trials, failures) > 0.2


def expectation(n: int, share: float, failing: float, ratio: float, rho: float) -> float:
    """Of the likelihood ratio of a unit's n trials as they weigh, if each has the unit's verdict with this probability.

    Of the others each has its own; all fail at the same rate.
    """
    weight = float(effective(np.array(n), rho)) / n
    alone = 1 + failing * (ratio**weight - 1)
    total = sum(
        comb(n, k) * share**k * (1 - share) ** (n - k) * alone ** (n - k) * (1 + failing * (ratio ** (k * weight) - 1))
        for k in range(n + 1)
    )
    return float(total / (1 + (ratio - 1) * failing) ** (weight * n))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9, 1.0])
def test_likelihood_ratios_of_units_are_no_evidence_by_themselves(share: float) -> None:
    """Without a change they are 1 on average at most, for every odds ratio that is tested, as `for_ratios` weighs."""
    rho = float(for_ratios(np.array([share**2]))[0])
    units = [(n, q) for n in (2, 3, 5, 12, 21, 30) for q in (0.01, 0.03, 0.12, 0.3, 0.6)]
    for ratio in RATIOS:
        assert max(expectation(n, share, q, ratio, rho) for n, q in units) < 1.02
    if share == 0.5:
        assert max(expectation(n, share, q, 6.0, share**2) for n, q in units) > 1.2, "so rho itself would not do"
