"""What an alert first estimates is nearer to the truth than the outcomes that raised it, and its interval holds."""

from __future__ import annotations

import pytest

from benchmarks.detection.headline import Change, render, row


@pytest.mark.slow
@pytest.mark.statistics
@pytest.mark.parametrize("change", [Change(0.9, 0.7, 100), Change(0.287, 0.54, 100)])
def test_a_first_estimate_exaggerates_less_than_its_outcomes_and_its_interval_holds(change: Change) -> None:
    found = row(change, 60, number=3)
    assert found["alarms"] > 50
    assert 1 <= found["shipped_ratio"] < found["plain_ratio"] - 0.02
    assert found["shipped_early"] < found["plain_early"] - 0.05
    assert found["shipped_rms"] < 0.95 * found["plain_rms"]
    assert found["shipped_covered"] >= 0.95
    assert f"| {change.before:g} to {change.after:g} | 100 |" in render([found])
