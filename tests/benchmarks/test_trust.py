"""Intervals of trust hold the score of the true rates about as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.trust import SITUATIONS, measured

pytestmark = pytest.mark.statistics
BY_NAME = {situation.name: situation for situation in SITUATIONS}


@pytest.mark.parametrize("name", ["bad calls fail in several", "the same, dimensions missing"])
def test_intervals_hold_where_calls_fail_in_several_dimensions_and_in_conversations(name: str) -> None:
    found = measured(BY_NAME[name], runs=4)
    # 96 groups and 48 task types: three standard errors below .95; without correlations or dispersion it is under .85.
    assert np.mean(found.groups) > 0.885
    assert np.mean(found.wholes) > 0.855
    # An interval that is too wide holds always: with the greatest correlations it is 1.5 times as wide.
    assert np.mean(found.widths) < {"bad calls fail in several": 4.0, "the same, dimensions missing": 8.5}[name]
