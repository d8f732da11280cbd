"""Intervals and power of rates where outcomes share conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from aftercall.times import HOUR_US
from benchmarks.coverage import apply_calls
from models.messages import AnyGroup
from models.rates import RateCells
from models.rates.effects import of_windows
from models.stats.intervals import wilson
from models.stats.noticing import noticing

HERE = ("chat", "atlas", "v1")
OTHER = ("chat", "brill", "v1")
SHARED: Mapping[AnyGroup, float] = {HERE: 8.0}
START = 500_000 * HOUR_US
HOURS = 24 * 8


@pytest.fixture(scope="module")
def cells() -> RateCells:
    """Eight days of two groups at 100 calls an hour each, of which half have a verdict, ten minutes later."""
    rng, made = np.random.default_rng(1), RateCells()
    count = HOURS * 200
    at = START + np.sort(rng.integers(0, HOURS * HOUR_US, count))
    late = np.where(rng.random(count) < 0.5, HOUR_US // 6, -1)
    late[at + HOUR_US // 6 >= START + HOURS * HOUR_US] = -1
    apply_calls(made, [HERE, OTHER], rng.integers(0, 2, count), at, rng.random(count) < 0.9, late)
    made.advance(START + HOURS * HOUR_US, int(at[-1]))
    return made


def of(cells: RateCells, effects: Mapping[AnyGroup, float], group: tuple[str, ...] = HERE) -> dict[str, dict[str, Any]]:
    """Rows of `current_rates` by span."""
    _, current = cells.frozen().tables(START + HOURS * HOUR_US, live=True, effects=effects)
    mine = np.flatnonzero(current["model"] == group[1])
    return {current["span"][at]: {name: column[at] for name, column in current.items()} for at in mine}


def test_without_shared_conversations_all_is_what_it_was(cells: RateCells) -> None:
    plain, ones = (of(cells, effects) for effects in ({}, {HERE: 1.0, ("chat", None, None): 1.0}))
    assert plain.keys() == ones.keys() == {"1h", "24h", "48h", "7d"}
    for span, row in plain.items():
        assert repr(row) == repr(ones[span])  # nan are equal
        low, high = wilson(row["successes"], row["resolved"])
        assert (row["rate_low"], row["rate_high"], row["design_effect"]) == (low, high, 1.0)


def test_intervals_are_those_of_as_many_independent_outcomes_and_rates_are_what_they_are(cells: RateCells) -> None:
    plain, shared = (of(cells, effects) for effects in ({}, {HERE: 8.0, ("chat", None, None): 9.0}))
    for span, row in shared.items():
        before = plain[span]
        assert (row["rate"], row["corrected_rate"]) == (before["rate"], before["corrected_rate"])
        assert (row["design_effect"], row["task_design_effect"]) == (8.0, 9.0)
        low, high = wilson(row["successes"] / 8, row["resolved"] / 8)
        assert (row["rate_low"], row["rate_high"]) == (low, high)
        assert row["corrected_low"] < before["corrected_low"]
        assert row["corrected_high"] > before["corrected_high"]
    assert of(cells, SHARED, OTHER)["7d"]["rate_low"] == of(cells, {}, OTHER)["7d"]["rate_low"]


def test_a_drop_takes_as_long_to_notice_as_with_so_many_independent_outcomes(cells: RateCells) -> None:
    plain, shared = (of(cells, effects)["7d"] for effects in ({}, dict.fromkeys(SHARED, 4.0)))
    assert shared["outcomes_per_day"] == plain["outcomes_per_day"]
    assert shared["power_days"] > 1.5 * plain["power_days"]
    assert shared["power_within_week"] < plain["power_within_week"]
    good, bad = np.array([2_700]), np.array([300])
    one, other = noticing(good, bad, np.array([400.0])), noticing(good / 4, bad / 4, np.array([100.0]))
    assert other.days[0] > 2 * one.days[0]


def test_outcomes_of_a_window_are_one_at_least_whatever_they_share() -> None:
    assert of_windows(np.array([20.0, 20.0, 20.0, 1.0]), np.array([0, 5, 40, 3])).tolist() == [1.0, 5.0, 20.0, 1.0]


def test_hours_days_and_segments_are_widened_too(cells: RateCells) -> None:
    plain, shared = (
        cells.frozen().tables(START + HOURS * HOUR_US, live=True, effects=effects)[0] for effects in ({}, SHARED)
    )
    here = (plain["model"] == "atlas") & (plain["resolved"] > 1)
    width, wider = (table["rate_high"] - table["rate_low"] for table in (plain, shared))
    assert (wider[here] > width[here]).all()
    assert np.array_equal(wider[~here], width[~here], equal_nan=True)
