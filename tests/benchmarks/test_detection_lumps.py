"""Outcomes that are delivered together are all delivered, later, and once."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection.lumps import LUMPS, Lumps, lumped, table
from benchmarks.detection.promise import Batch


@pytest.mark.parametrize("lumps", LUMPS, ids=lambda each: each.name)
def test_each_outcome_comes_once_and_not_before_its_hour(lumps: Lumps) -> None:
    hours, rows = 24 * 22, np.arange(2)
    traffic = [Batch(hour * 60, rows, np.array([2, 1]), np.array([1, 0])) for hour in range(hours)]
    come = list(lumped(iter(traffic), lumps, 2, np.random.default_rng(1)))
    sent = np.zeros(hours)
    for batch in come:
        sent[batch.minute // 60] += batch.successes.sum() + batch.failures.sum()
    assert (np.cumsum(sent) <= 4 * np.arange(1, hours + 1)).all()
    left = 4 * hours - sent.sum()
    assert 0 <= left <= 4 * 24 * 2 * max(lumps.days, 1)
    assert len(come) == (hours if not lumps.days else (hours // 24 - 1) // lumps.days)


@pytest.mark.slow
def test_a_nightly_judge_keeps_the_promise_and_is_found_with_a_delivery() -> None:
    rows = {row["stream"]: row for row in table(100, 3)}
    assert rows["nightly judge"]["ratio"] <= 1
    assert rows["nightly judge"]["delay_h"] in {26.0, 50.0}
