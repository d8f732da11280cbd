"""Trials by segment are read in the windows of their leaf, however messages are cut and across restarts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts.leaf_trials import LeafTrials
from models.messages import NO_VALUES, Closed, Group, SegmentTrials, TrialDeltas

START = 30_000 * 1440
NAMES: list[Group] = [("t", "a", "x"), ("t", "b", "x")]
SEGMENTS = ("long", "short")


def messages(rows: list[tuple[int, int, int, int]], cuts: list[int]) -> list[Closed]:
    """Of (minute, group, segment or 2 for none, success), with the last minute at 10,000."""
    bounds = sorted({0, 10_000, *cuts})
    return [message(rows, begin, end) for begin, end in pairwise(bounds)]


def message(rows: list[tuple[int, int, int, int]], begin: int, end: int) -> Closed:
    inside = sorted(row for row in rows if begin <= row[0] < end)
    minute, code, segment, good = np.array(inside, np.int32).reshape(-1, 4).T
    none = 0 * code
    trials = TrialDeltas(code, START + minute, good, 1 - good, none, none, none)
    some = segment < 2
    parts = (code, START + minute, segment, good, 1 - good)
    stratified = SegmentTrials(*(column[some].astype(np.int32) for column in parts))
    return Closed(START + end, NAMES, trials, NO_VALUES, segments=SEGMENTS, stratified=stratified)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 9_999), st.integers(0, 1), st.integers(0, 2), st.integers(0, 1)),
        min_size=40,
        max_size=80,
    ),
    st.lists(st.integers(1, 9_999), max_size=4),
)
def test_what_is_read_is_what_was_in_the_window(rows: list[tuple[int, int, int, int]], cuts: list[int]) -> None:
    whole, cut = LeafTrials(), LeafTrials()
    for store, closed in ((whole, messages(rows, [])), (cut, messages(rows, cuts))):
        for one in closed:
            store.add(one, one.through - 10_000, one.through)
    cut = LeafTrials(cut.state())
    inside = np.ones(len(whole.leaves.names), np.bool_)
    levels = np.full(len(inside), START, np.int64)
    changed, now = START + 8_000 // 60 * 60, START + 10_000
    found = whole.split(inside, now, levels, changed, changed)
    assert cut.split(inside, now, levels, changed, changed) == found
    before = [good for minute, _, _, good in rows if minute < 7_980]
    since = [good for minute, _, _, good in rows if minute >= 7_980]
    if found:
        points = sum(since) / len(since) - sum(before) / len(before)
        assert abs(sum(one.points for one in found) - points) < 1e-4
