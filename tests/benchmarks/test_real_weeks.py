"""What was known of the weeks of a recorded history, moment by moment."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.real_weeks import ALL, NAME, estimates, figures, read, summary, weekly

HOUR_S = 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One pull request that is approved after 1 h, closed after 2 and merged after 3; another, never decided."""
    calls = [
        {"call_id": name, "occurred_at": f"2025-01-01T0{i}:00:00Z", "task_type": "fix", "model": "m"}
        for i, name in enumerate("ab")
    ]
    outcomes = [
        {"outcome_id": source, "call_id": "a", "occurred_at": at, "source": source, "success": success}
        for source, at, success in (
            ("review_approved", "2025-01-01T01:00:00Z", True),
            ("pr_closed_unmerged", "2025-01-01T02:00:00Z", False),
            ("pr_merged", "2025-01-01T03:00:00Z", True),
            ("review_changes_requested", "2025-01-01T04:00:00Z", False),
        )
    ]
    for name, records in (("calls", calls), ("outcomes", outcomes)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return tmp_path


def test_a_verdict_is_the_newest_statement_of_the_first_source_that_had_answered_by_then(folder: Path) -> None:
    history = read(folder)
    verdicts = []
    for hour in (0, 1, 2, 3, 5):
        good, slow = history.known(int(history.at[0]) + hour * HOUR_S * 1_000_000)
        assert slow[1] == slow[3] == -1
        assert (good[0], slow[0]) == (good[2], slow[2]), "the same under its task type and under all"
        verdicts.append(None if slow[0] < 0 else (bool(good[0]), int(slow[0]) // (HOUR_S * 1_000_000)))
    assert verdicts == [None, (True, 1), (False, 2), (True, 3), (True, 3)]


@pytest.mark.real
def test_of_real_weeks_the_corrected_rate_is_right_where_what_is_known_is_far_off(real_data: Path) -> None:
    found = estimates(read(real_data / NAME))
    numbers = figures(found)
    assert numbers["naive_bias"] > 0.1
    assert abs(numbers["corrected_bias"]) < 0.03
    assert numbers["corrected_coverage"] > 0.85
    assert numbers["naive_coverage"] < 0.5
    assert numbers["corrected_abs_error"] < numbers["naive_abs_error"] / 2
    assert {one.age for one in found} == {0, 7, 14, 28}
    assert all(0 <= one.final <= 1 for one in found)
    assert len(weekly(found)) == 1 + sum(one.age == 0 and one.group[0] == ALL for one in found)
    for row in summary(found)[1:]:
        assert int(row[2]) >= int(row[-1]) > 0
    assert not any(np.isnan(one.naive[0]) for one in found)
