"""The size of a change, its cost, and whether it is over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.records import Severity
from models.alerts.severity import severity_of, steady
from models.stats.effect_size import Effect, regained, standardised_effect, surely_regained
from models.stats.intervals import newcombe

counts = st.tuples(st.integers(0, 50), st.integers(1, 500)).map(lambda pair: (min(pair), max(pair)))


def column(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, np.float64)


@given(counts, counts)
def test_of_one_leaf_it_is_newcombes_interval(before: tuple[int, int], since: tuple[int, int]) -> None:
    (f0, n0), (f1, n1) = before, since
    effect = standardised_effect((column(f0), column(n0)), (column(f1), column(n1)))
    assert effect is not None
    low, high = newcombe(n0 - f0, n0, n1 - f1, n1, 2.58)
    assert (effect.low, effect.high) == pytest.approx((float(low), float(high)), abs=1e-9)
    assert effect.low - 1e-9 <= effect.points <= effect.high + 1e-9


@given(st.integers(1, 40), st.integers(1, 40))
def test_traffic_that_moves_to_a_worse_leaf_is_no_change(good: int, bad: int) -> None:
    before = (column(10, 40), column(100, 100))
    since = (column(good, 4 * bad), column(10 * good, 10 * bad))
    effect = standardised_effect(before, since)
    assert effect is not None
    assert effect.points == pytest.approx(0.0, abs=1e-12)


def test_without_trials_on_either_side_there_is_no_effect() -> None:
    none, some = (column(0), column(0)), (column(1), column(10))
    assert standardised_effect(none, some) is None
    assert standardised_effect(some, none) is None
    assert standardised_effect((column(1, 0), column(9, 0)), (column(0, 1), column(0, 9))) is None


def test_a_new_leaf_counts_among_the_outcomes_since() -> None:
    effect = standardised_effect((column(10, 0), column(100, 0)), (column(10, 50), column(100, 100)))
    assert effect is not None
    assert (effect.baseline, effect.current) == pytest.approx((0.9, 0.7))


@pytest.mark.parametrize(
    ("reported", "current", "half", "surely"),
    [(0.8, 0.88, True, True), (0.8, 0.82, False, False), (0.8, 0.86, True, False), (0.95, 0.9, True, True)],
)
def test_a_change_is_over_when_half_of_it_is_gone(
    reported: float,
    current: float,
    half: bool,  # noqa: FBT001
    surely: bool,  # noqa: FBT001
) -> None:
    effect = Effect(0.9, current, current - 0.9 - 0.02, current - 0.9 + 0.02, 0, 100, 0, 100)
    assert regained(effect, reported) is half
    assert surely_regained(effect, reported) is surely


@given(st.floats(-1, 0), st.floats(0, 1e5), st.floats(0, 1), st.floats(1, 10))
def test_a_larger_or_dearer_drop_is_never_less_severe(points: float, cost: float, less: float, dearer: float) -> None:
    order: list[Severity] = ["info", "warning", "critical"]
    assert order.index(severity_of(points, cost)) >= order.index(severity_of(points * less, cost))
    assert order.index(severity_of(points, cost * dearer)) >= order.index(severity_of(points, cost))


@given(*(st.sampled_from(["info", "warning", "critical"]) for _ in range(3)))
def test_severity_at_an_update_is_never_under_the_estimate(
    before: Severity, estimate: Severity, worst: Severity
) -> None:
    order = ["info", "warning", "critical"]
    after = steady(before, estimate, worst)
    assert order.index(after) >= order.index(estimate)
    assert after in {before, estimate, worst}
