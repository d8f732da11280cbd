from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.arrays import F64
from models.stats.change_point import change_index
from models.stats.shiryaev_roberts import RATIOS, ShiryaevRoberts


def assert_equal_states(found: ShiryaevRoberts, expected: ShiryaevRoberts) -> None:
    states = [{**state, **(state["dispersion"] or {})} for state in (found.state(), expected.state())]
    for name, value in states[1].items():
        if isinstance(value, np.ndarray):
            assert states[0][name].tobytes() == value.tobytes(), name


class Scalar:
    """The formula, one group and one direction at a time, minute by minute, all trials independent."""

    def __init__(self, min_trials: int, margin: float) -> None:
        self.r = [0.0] * 8
        self.events = self.trials = 0.0
        self.min_trials, self.margin = min_trials, margin

    def minute(self, e: int, n: int) -> float:
        q = min((0.5 + self.events + e / 2) / (1 + self.trials + n / 2) + self.margin, 1.0)
        for j, ratio in enumerate(RATIOS):
            power = e * math.log(ratio) - n * math.log(1 + (ratio - 1) * q)
            active = self.trials >= self.min_trials
            self.r[j] = min((self.r[j] + 1 / 10_080) * math.exp(power), 1e15) if active else 0.0
        self.events += e
        self.trials += n
        return sum(self.r) / 8


@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_minutes_left_out_count_as_if_they_had_been_passed(margin: float) -> None:
    rng = np.random.default_rng(3)
    group = ShiryaevRoberts(1, min_trials=30, dispersion=False)
    down, up = Scalar(30, margin), Scalar(30, margin)
    compared = 0
    for minute in range(1, 3000):
        n = int(rng.poisson(0.2))
        f = int(rng.binomial(n, 0.1 if minute < 2000 else 0.5))
        expected = down.minute(f, n), up.minute(n - f, n)
        if not n:
            continue
        got = group.update(np.array([0]), np.array([n - f]), np.array([f]), minute, margin)
        assert got[0][0] == pytest.approx(expected[0], rel=1e-9)
        assert got[1][0] == pytest.approx(expected[1], rel=1e-9)
        compared += 1
    assert compared > 400
    assert expected[0] > 1e3


def test_odds_shift_what_is_expected_and_not_what_is_learned() -> None:
    """Where failures arrive twice as fast for an hour, their share is expected, and learned as what it will come to."""
    plain, corrected = ShiryaevRoberts(1, dispersion=False), ShiryaevRoberts(1, dispersion=False)
    for group in (plain, corrected):
        group.update(np.array([0]), np.array([9000]), np.array([1000]), 0)
    for minute in range(1, 61):
        blind, _ = plain.update(np.array([0]), np.array([90]), np.array([20]), minute)
        aware, rise = corrected.update(np.array([0]), np.array([90]), np.array([20]), minute, odds=2.0)
    assert blind[0] > 1e6
    assert aware[0] < 1
    assert rise[0] < 1
    assert (corrected.failures[0], corrected.trials[0]) == (1000 + 60 * 10, 10_000 + 60 * 100)


def test_the_result_of_a_group_does_not_depend_on_who_is_updated_with_it() -> None:
    rng = np.random.default_rng(4)
    count, minutes = 37, 60
    n = rng.poisson(rng.uniform(0.5, 300, count), (minutes, count))
    f = rng.binomial(n, rng.uniform(0.01, 0.9, count))
    together, alone, halves = (ShiryaevRoberts(count, min_trials=5) for _ in range(3))
    for minute in range(minutes):
        rows = np.arange(count)
        s = n[minute] - f[minute]
        means = np.stack(together.update(rows, s, f[minute], minute))
        shuffled = rng.permutation(count)
        for part in np.array_split(shuffled, 3):
            half = np.stack(halves.update(part, s[part], f[minute][part], minute))
            assert (half == means[:, part]).all()
        for row in rows:
            one = slice(row, row + 1)
            single = np.stack(alone.update(rows[one], s[one], f[minute][one], minute))
            assert (single[:, 0] == means[:, row]).all()
    for other in (alone, halves):
        assert other.r.tobytes() == together.r.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 3, 8, 61])
@pytest.mark.parametrize("dispersion", [True, False])
def test_nor_on_how_rows_are_split_and_lie_in_memory(
    monkeypatch: pytest.MonkeyPatch,
    together: int,
    dispersion: bool,  # noqa: FBT001
) -> None:
    """Slices and scattered rows, whole vectors and their tails, columns of either order; over midnights."""
    rng = np.random.default_rng(together)
    count = 133
    whole, parts = (ShiryaevRoberts(count, min_trials=5, dispersion=dispersion) for _ in range(2))
    parts.r, parts.today = np.ascontiguousarray(parts.r), np.ascontiguousarray(parts.today)
    rate, busy = rng.uniform(0.01, 0.9, count), rng.uniform(0.5, 3000, count)
    change = np.where(np.arange(count) % 2, 0.3, 1.0)
    for minute in range(1_440_000, 1_440_000 + 3 * 1440, 55):
        # All rows, a range that begins anywhere, or some here and there.
        chosen = (np.full(count, True), np.arange(count) >= minute % 50, rng.random(count) < 0.6)[minute % 3]
        rows = np.flatnonzero(chosen)
        n = rng.poisson(busy[rows])
        f = rng.binomial(n, (rate * change if minute >= 1_440_000 + 3000 else rate)[rows])
        odds = rng.uniform(0.9, 1.1, len(rows)) if minute % 2 else np.ones(len(rows))
        means = np.stack(whole.update(rows, n - f, f, minute, 0.01, odds))
        with monkeypatch.context() as patch:
            patch.setattr("models.stats.shiryaev_roberts._TOGETHER", together)
            minutes, margins = np.full(len(rows), minute), np.full(len(rows), 0.01)
            factors: float | F64 = odds if minute % 2 else 1.0
            again = np.stack(parts.update(rows, n - f, f, minutes, margins, factors))
        assert again.tobytes() == means.tobytes()
    assert (whole.r.max(axis=(1, 2)) > 1e3).sum() > 10
    assert_equal_states(parts, whole)


@pytest.mark.parametrize("dispersion", [True, False])
def test_a_stored_state_goes_on_to_the_last_bit(dispersion: bool) -> None:  # noqa: FBT001
    """Over two midnights, with an alarm and new groups on the way."""
    rng = np.random.default_rng(8)
    whole = ShiryaevRoberts(5, min_trials=7, dispersion=dispersion)
    parts = whole
    for minute in range(1_440_000, 1_440_000 + 3 * 1440, 45):
        rows = np.flatnonzero(rng.random(len(whole)) < 0.7)
        n = rng.poisson(9.0, len(rows))
        f = rng.binomial(n, 0.2)
        parts = ShiryaevRoberts.from_state(pickle.loads(pickle.dumps(parts.state())), min_trials=7)
        for group in (whole, parts):
            group.update(rows, n - f, f, minute)
            if minute == 1_441_800:
                group.reset(2, 3.0, 11.0)
                group.grow(7)
        assert_equal_states(parts, whole)
    assert (whole.r.max(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize("dispersion", [True, False])
def test_every_attribute_is_stored_but_the_setting(dispersion: bool) -> None:  # noqa: FBT001
    group = ShiryaevRoberts(2, dispersion=dispersion)
    group.update(np.array([0, 1]), np.array([8, 9]), np.array([1, 2]), 1_440_000)
    again = ShiryaevRoberts.from_state(group.state())
    assert {"min_trials", *group.state()} == vars(group).keys() == vars(again).keys()


def test_drops_and_rises_are_found_at_pinned_minutes() -> None:
    """Three groups of 5 trials a minute: a drop, a rise and no change at minute 2,000."""
    rng = np.random.default_rng(99)
    group = ShiryaevRoberts(3, dispersion=False)
    found: dict[tuple[int, str], int] = {}
    for minute in range(4000):
        rate = [0.1, 0.3, 0.1] if minute < 2000 else [0.2, 0.2, 0.1]
        f = rng.binomial(5, rate)
        means = group.update(np.arange(3), 5 - f, f, minute)
        for name, mean in zip(("down", "up"), means, strict=True):
            for row in np.flatnonzero(mean >= 1000).tolist():
                found.setdefault((row, name), minute)
    assert found == {(0, "down"): 2069, (1, "up"): 2070}


def test_a_group_is_not_tested_before_it_has_learned_min_trials() -> None:
    group = ShiryaevRoberts(1, min_trials=30)
    rows = np.array([0])
    for minute, expected_active in enumerate([False, False, False, True]):
        down, _ = group.update(rows, np.array([0]), np.array([10]), minute)
        assert bool(down[0] > 0) is expected_active


def test_a_long_run_of_failures_stays_finite() -> None:
    group = ShiryaevRoberts(1, dispersion=False)
    rows = np.array([0])
    group.update(rows, np.array([1_000_000]), np.array([0]), 0)
    for minute in range(1, 50):
        down, up = group.update(rows, np.array([0]), np.array([100_000]), minute)
        assert 0 <= up[0] < 1
        assert 1e9 < down[0] <= 1e15
    group.reset(0, 10.0, 20.0)
    down, _ = group.update(rows, np.array([1]), np.array([1]), 60)
    assert down[0] == 0.0


def test_min_trials_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="min_trials must be >= 1; got 0"):
        ShiryaevRoberts(min_trials=0)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30),
    st.integers(0, 50),
    st.integers(0, 50),
    st.booleans(),
)
@settings(max_examples=200)
def test_the_change_is_the_split_of_greatest_likelihood(
    hours: list[tuple[int, int]],
    failures: int,
    successes: int,
    worse: bool,  # noqa: FBT001
) -> None:
    f = np.array([hour[0] for hour in hours], np.float64)
    n = f + [hour[1] for hour in hours]

    def likelihood(events: float, trials: float) -> float:
        return sum(x * math.log(x / trials) for x in (events, trials - events) if x > 0)

    best, score = None, -math.inf
    for k in range(len(hours)):
        f0, n0 = failures + f[:k].sum(), failures + successes + n[:k].sum()
        f1, n1 = f[k:].sum(), n[k:].sum()
        if not (n0 and n1) or f1 * n0 == f0 * n1 or bool(f1 * n0 > f0 * n1) is not worse:
            continue
        here = likelihood(f0, n0) + likelihood(f1, n1)
        if here > score + 1e-7:
            best, score = k, here
    found = change_index(f, n, failures, failures + successes, worse=worse)
    if best is None:
        assert found is None
        return
    assert found is not None
    f1, n1 = f[found:].sum(), n[found:].sum()
    f0, n0 = failures + f.sum() - f1, failures + successes + n.sum() - n1
    assert likelihood(f0, n0) + likelihood(f1, n1) == pytest.approx(score, abs=1e-6)


def test_a_change_is_placed_at_its_hour() -> None:
    f = np.array([1.0, 1, 1, 5, 5, 5])
    n = np.full(6, 10.0)
    assert change_index(f, n, 10, 100, worse=True) == 3
    assert change_index(n - f, n, 90, 100, worse=False) == 3
    assert change_index(f[:3], n[:3], 0, 0, worse=True) is None
    assert change_index(f[:0], n[:0], 10, 100, worse=True) is None
