from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.arrays import F64, I64
from models.drift.trial_history import FINE_HOURS, KEEP_HOURS, TrialHistory, buckets


def bucketed(history: TrialHistory, watch: int, now: int, since: int) -> tuple[list[float], ...]:
    return tuple(column.tolist() for column in buckets(*history.of(watch), now, since))


def column(values: list[int]) -> F64:
    return np.array(values, np.float64)


def minutes(values: list[int]) -> I64:
    return np.array(values, np.int64)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.integers(0, 5)), min_size=5, max_size=30),
        max_size=6,
    ),
    st.integers(0, 1000),
    st.integers(0, 400),
    st.sampled_from([0, 1, 200 * 60]),
)
def test_buckets_do_not_depend_on_when_rows_were_merged(
    parts: list[list[tuple[int, int, int]]], later: int, since: int, scale: int
) -> None:
    lazy, eager = TrialHistory(), TrialHistory()
    now = 0
    for number, part in enumerate(parts):
        begin = number * (400 + scale)
        rows = sorted((begin + minute, watch, trials) for watch, minute, trials in part)
        if not rows:
            continue
        now = rows[-1][0]
        added = (
            minutes([row[1] for row in rows]),
            minutes([row[0] for row in rows]),
            column([row[2] // 2 for row in rows]),
            column([row[2] for row in rows]),
        )
        lazy.add(*added)
        with patch("models.drift.trial_history._SLACK", 0):
            eager.add(*added)
        eager = TrialHistory(eager.state())
    for watch in range(3):
        assert bucketed(lazy, watch, now + later, since) == bucketed(eager, watch, now + later, since)


def test_recent_trials_are_bucketed_by_the_minute_and_older_ones_by_the_hour() -> None:
    hour = 1000
    at = minutes([60 * hour + 5, 60 * hour + 7, 60 * (hour + 1) + 5, 60 * (hour + 1) + 7])
    moments, failures, trials = buckets(at, column([1, 2, 3, 4]), column([5, 6, 7, 8]), 60 * (hour + 1 + FINE_HOURS), 0)
    assert moments.tolist() == [60 * hour, 60 * (hour + 1) + 5, 60 * (hour + 1) + 7]
    assert failures.tolist() == [3, 3, 4]
    assert trials.tolist() == [11, 7, 8]


def test_trials_of_more_than_four_weeks_ago_take_no_memory() -> None:
    history = TrialHistory()
    with patch("models.drift.trial_history._SLACK", 0):
        for hour in range(3 * KEEP_HOURS):
            history.add(minutes([0, 1]), minutes([60 * hour] * 2), column([1, 0]), column([2, 2]))
    assert sum(part.shape[1] for part in history.state()) <= 3 * KEEP_HOURS
    now = 60 * (3 * KEEP_HOURS - 1)
    assert bucketed(history, 0, now, 0)[0][0] == now - 60 * (KEEP_HOURS - 1)
    assert len(bucketed(history, 0, now, 0)[0]) == KEEP_HOURS
