"""Intervals hold as often as they say where calls come in conversations, from detector and rates to `insights`."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection.sessions import Talk
from benchmarks.detection.shared import held, named, of_span, watched

pytestmark = [pytest.mark.statistics, pytest.mark.slow]


@pytest.mark.parametrize("shared", [1.0, 0.7, 0.5])
def test_intervals_hold_where_conversations_agree(shared: float) -> None:
    """72 groups, and two standard errors of so many around .93 to .97."""
    talk = Talk("", 15, shared, live=True)
    seen = watched(talk, 12, 10, np.random.default_rng(int(10 * shared)))
    for span in ("24h", "7d"):
        assert held(of_span(seen.counted, span), "rate") < 0.75
        for kind in ("rate", "corrected"):
            assert held(of_span(seen.allowed, span), kind) > 0.87
    assert named(seen.allowed) == 0


def test_outcomes_in_full_would_name_models_that_have_not_changed() -> None:
    seen = watched(Talk("", 15, 1.0, live=True), 12, 10, np.random.default_rng(3))
    assert named(seen.counted) > 0.1
    assert named(seen.allowed) == 0


def test_where_each_call_has_its_own_verdict_intervals_are_hardly_wider() -> None:
    seen = watched(Talk("", 15, 0.0, live=True), 6, 10, np.random.default_rng(4))
    width, wider = (table["rate_high"] - table["rate_low"] for table in (seen.counted, seen.allowed))
    assert 1 <= float(np.median(wider / width)) < 1.15
