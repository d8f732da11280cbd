from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln, expit

from models.stats.intervals import confidence_sequence, newcombe, wilson


def test_wilson_gives_the_textbook_values() -> None:
    low, high = wilson([0, 8, 10], [10, 10, 10], z=1.959964)
    assert low == pytest.approx([0.0, 0.4901625, 0.7224672], abs=1e-6)
    assert high == pytest.approx([0.2775328, 0.9433178, 1.0], abs=1e-6)


def test_wilson_is_nan_without_trials_and_does_not_warn() -> None:
    low, high = wilson([0, 1], [0, 2])
    assert math.isnan(low[0])
    assert math.isnan(high[0])
    assert 0 < low[1] < 0.5 < high[1] < 1


def test_newcombe_gives_the_values_of_the_paper() -> None:
    # Newcombe 1998, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
    low, high = newcombe([48, 3], [80, 10], [56, 9], [70, 10], z=1.959964)
    assert low == pytest.approx([0.0524, 0.1705], abs=5e-5)
    assert high == pytest.approx([0.3339, 0.8090], abs=5e-5)


def test_newcombe_turns_its_sign_with_the_direction_of_the_change() -> None:
    rise = newcombe(80, 100, 95, 100, z=2.58)
    drop = newcombe(95, 100, 80, 100, z=2.58)
    assert (float(drop[0]), float(drop[1])) == pytest.approx((-float(rise[1]), -float(rise[0])))


@given(st.integers(0, 10_000_000), st.integers(0, 10_000_000), st.sampled_from([0.001, 0.05, 0.5]))
def test_both_ends_of_the_confidence_sequence_solve_its_equation(s: int, f: int, alpha: float) -> None:
    low, high = (float(end) for end in confidence_sequence(s, f, alpha))
    assert 0 <= low < high <= 1
    assert low <= (s + 0.5) / (s + f + 1) <= high

    def mixture_ratio(p: float) -> float:
        return float(betaln(s + 0.5, f + 0.5) - betaln(0.5, 0.5)) - s * math.log(p) - f * math.log1p(-p)

    for end, trivial in ((low, s == 0), (high, f == 0)):
        if trivial:
            assert end in {0.0, 1.0}
        elif 1e-300 < end < 1 - 1e-9:
            slack = 1e-6 + 1e-9 * (s + f) / min(end, 1 - end)
            assert mixture_ratio(end) == pytest.approx(-math.log(alpha), abs=slack)


def test_the_confidence_sequence_is_symmetric_and_whole_without_trials() -> None:
    assert [float(end) for end in confidence_sequence(0, 0)] == [0.0, 1.0]
    low, high = confidence_sequence(30, 70)
    mirrored_low, mirrored_high = confidence_sequence(70, 30)
    assert float(low) == pytest.approx(1 - float(mirrored_high))
    assert float(high) == pytest.approx(1 - float(mirrored_low))


def test_the_confidence_sequence_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(1)
    s, f = rng.integers(0, 5000, 300), rng.integers(0, 300, 300)
    low, high = confidence_sequence(s, f)
    alone = np.array([confidence_sequence(s[i : i + 1], f[i : i + 1]) for i in range(300)])[:, :, 0]
    assert (alone[:, 0] == low).all()
    assert (alone[:, 1] == high).all()


def test_an_end_is_what_all_steps_of_newton_s_method_lead_to_to_the_last_bit() -> None:
    """Each root leaves off where its steps repeat, as 48 of them would have left it: what is stored stays the same."""
    rng = np.random.default_rng(3)
    s, f = np.exp(rng.uniform(-2, 12, (2, 500)))
    level = -np.log(0.05) - betaln(s + 0.5, f + 0.5) + betaln(0.5, 0.5)
    odds = -np.log(np.expm1(np.clip(level / s, 1e-12, 700.0)))
    for _ in range(48):
        value = s * np.logaddexp(0.0, -odds) + f * np.logaddexp(0.0, odds) - level
        slope = (s + f) * expit(odds) - s
        odds = odds - np.where(slope < 0, value / np.where(slope < 0, slope, -1.0), 0.0)
    assert (confidence_sequence(s, f)[0] == expit(odds)).all()


def test_the_confidence_sequence_accepts_discounted_counts() -> None:
    low, high = confidence_sequence([1e-9, 0.3, 1e-3], [5.5, 1e-7, 1e6])
    assert (low >= 0).all()
    assert (low < high).all()
    assert (high <= 1).all()


def test_the_confidence_sequence_refuses_an_alpha_that_is_no_probability() -> None:
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\); got 0"):
        confidence_sequence(1, 1, alpha=0)


@pytest.mark.long
@pytest.mark.statistics
@pytest.mark.slow
def test_under_peeking_the_sequence_keeps_its_promise_and_wilson_does_not() -> None:
    rng = np.random.default_rng(7)
    paths, length, p = 1000, 10_000, 0.85
    sequence_failed = np.zeros(paths, np.bool_)
    wilson_failed = np.zeros(paths, np.bool_)
    s = np.zeros(paths)
    for n in range(1, length + 1):
        s += rng.random(paths) < p
        # Reading every trial at first and every tenth later catches nearly all crossings.
        if n > 200 and n % 10:
            continue
        low, high = confidence_sequence(s, n - s)
        sequence_failed |= (p < low) | (p > high)
        low, high = wilson(s, n)
        wilson_failed |= (p < low) | (p > high)
    assert sequence_failed.mean() <= 0.05
    assert wilson_failed.mean() >= 0.4
