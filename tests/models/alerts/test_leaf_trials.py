"""Counts of the last weeks: the same however they came, and what a plain sum gives."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts.leaf_trials import LeafTrials
from models.columns.minute_rows import BASELINE_HOURS, BY_MINUTE_HOURS
from models.messages import Closed
from simulated.trials import DAY, START, Trials, simulate, with_sources

END = 16 * DAY


def plain(closed: Closed, now: int, begin: int, end: int) -> dict[object, list[int]]:
    """Failures and trials by name, row by row."""
    found: dict[object, list[int]] = {name: [0, 0] for name in closed.names}
    t = closed.trials
    for code, minute, ok, bad in zip(t.code, t.minute, t.trial_successes, t.trial_failures, strict=True):
        hour = int(minute) // 60
        coarse = hour < now // 60 - BY_MINUTE_HOURS
        first, last = (hour * 60, hour * 60 + 60) if coarse else (int(minute), int(minute) + 1)
        if first >= begin and last <= end and hour > now // 60 - BASELINE_HOURS and minute < now:
            found[closed.names[code]][0] += int(bad)
            found[closed.names[code]][1] += int(ok + bad)
    return found


@st.composite
def streams(draw: st.DrawFn) -> Trials:
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, min_size=1))
    rates = {(name, "m", "v"): [(0, 0.8)] for name in names}
    return simulate(rates, END, every=draw(st.sampled_from([7, 61, 400])), per_day=200.0, seed=draw(st.integers(0, 9)))


@given(
    streams(),
    st.lists(st.integers(1, END - 1), max_size=6),
    st.integers(DAY, END),
    st.integers(0, END),
    st.integers(0, END),
    st.sampled_from([0, 16_384]),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_counts_are_the_plain_sums_however_the_minutes_came(
    calls: Trials,
    cuts: list[int],
    now: int,
    begin: int,
    end: int,
    slack: int,
    restore: bool,  # noqa: FBT001
) -> None:
    begin, end = sorted((min(begin, now), min(end, now)))
    kept = LeafTrials()
    with patch("models.columns.minute_rows._SLACK", slack):
        for start, until in pairwise(sorted({0, now, *(cut for cut in cuts if cut < now)})):
            kept.add(calls.between(start, until), START + start, START + until)
            if restore:
                kept = LeafTrials(kept.state())
    f, n = kept.between(START + now, START + begin, START + end)
    expected = plain(calls.between(0, now), START + now, START + begin, START + end)
    assert {name: [int(f[at]), int(n[at])] for at, name in enumerate(kept.leaves.names)} == {
        name: expected[name] for name in kept.leaves.names
    }
    first = {name: START + int(calls.minute[calls.group == at].min()) for at, name in enumerate(calls.names)}
    assert kept.first == [first[name] for name in kept.leaves.names]


def test_slices_add_up_to_their_leaves() -> None:
    calls = simulate({("a", "m", "v"): [(0, 0.8)], ("b", "m", "v"): [(0, 0.5)]}, 2 * DAY)
    closed = with_sources(calls.between(0, 2 * DAY), ("judge", "user"), {"judge": (0.3, 0.7)})
    kept = LeafTrials()
    kept.add(closed, START, START + 2 * DAY)
    now = START + 2 * DAY
    f, n, leaf, source = kept.by_slice(now, START, now)
    assert set(source) == {"judge", "user"}
    whole = LeafTrials()
    whole.add(calls.between(0, 2 * DAY), START, START + 2 * DAY)
    sums = [np.bincount(leaf, column, 2) for column in (f, n)]
    assert [list(column) for column in sums] == [list(column) for column in whole.between(now, START, now)]
