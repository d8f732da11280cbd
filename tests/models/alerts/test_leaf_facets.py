"""Trials by facet are read in the slots of their leaf, however messages are cut, rows are merged, and over restarts."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.facets import LANGUAGE_AT, TOKENS_AT, facet_values, language_code
from models.alerts.leaf_facets import MOST_OF_FACET, LeafFacets
from models.alerts.scope import Leaves
from models.columns.minute_rows import BASELINE_HOURS, BY_HOUR_HOURS, BY_MINUTE_HOURS, SLOT
from models.messages import NO_TRIALS, NO_VALUES, Closed, Group
from models.side_messages import FacetTrials

START = 30_000 * 1440
LENGTH = 18 * 1440
NAMES: list[Group] = [("t", "a", "x"), ("t", "b", "x")]
FACETS = (1 << TOKENS_AT, 5 << TOKENS_AT | 2, 3, language_code("de") << LANGUAGE_AT | 1 << TOKENS_AT)

Row = tuple[int, int, int, int]
"""Minute, group, facets and success."""
ROWS = st.lists(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(0, 1), st.sampled_from(FACETS), st.integers(0, 1)),
    min_size=30,
    max_size=90,
)


def message(rows: list[Row], begin: int, end: int) -> Closed:
    counts = Counter(row for row in rows if begin <= row[0] < end)
    inside = sorted((minute, code, facets, good, count) for (minute, code, facets, good), count in counts.items())
    minute, code, facets, good, count = np.array(inside, np.int64).reshape(-1, 5).T
    part = FacetTrials(
        code.astype(np.int32),
        (START + minute).astype(np.int32),
        facets.astype(np.uint32),
        good.astype(np.int8),
        count.astype(np.int32),
    )
    return Closed(START + end, NAMES, NO_TRIALS, NO_VALUES, facets=part)


def filled(rows: list[Row], cuts: list[int], slack: int) -> LeafFacets:
    found = LeafFacets()
    with patch("models.columns.minute_rows._SLACK", slack):
        for begin, end in pairwise(sorted({0, LENGTH, *cuts})):
            found.add(message(rows, begin, end), START + begin, START + end, Leaves(NAMES))
            found = LeafFacets(found.state())
    return found


def slot(minute: int, now: int) -> tuple[int, int]:
    """Begin and end of the time with which a minute is kept at another."""
    ago = now // 60 - minute // 60
    day_ago = (now // 60 - BY_HOUR_HOURS) // 24 - minute // 1440
    width = SLOT if ago <= BY_MINUTE_HOURS else 60 if day_ago <= 0 else 1440
    return minute // width * width, minute // width * width + width


@settings(max_examples=40)
@given(
    ROWS,
    st.lists(st.integers(1, LENGTH - 1), max_size=3),
    st.sampled_from([0, 20, 10_000]),
    st.integers(0, 30 * 60),
    st.integers(0, 16 * 1440),
)
def test_what_is_read_is_what_was_in_the_slots(
    rows: list[Row], cuts: list[int], slack: int, since: int, levels: int
) -> None:
    store, now = filled(rows, cuts, slack), START + LENGTH
    windows = ((START + levels, START + LENGTH - since), (START + LENGTH - since, now))
    for begin, end in windows:
        wanted = Counter[tuple[int, str, str, str]]()
        for minute, leaf, facets, good in rows:
            first, last = slot(START + minute, now)
            if first >= begin and (last <= end or end == now) and first // 60 > now // 60 - BASELINE_HOURS:
                for facet, value in facet_values(facets).items():
                    wanted[leaf, facet, value, "n"] += 1
                    wanted[leaf, facet, value, "f"] += 1 - good
        found = store.counts(*(store.between(now, np.full(2, begin), end) for _ in "12"))
        keys = zip(found.leaf.tolist(), found.facet, found.value, *found.before, strict=True)
        read = {(*key, name): n for *key, f, n_ in keys for name, n in (("f", f), ("n", n_))}
        assert +Counter(read) == +wanted
    whole = filled(rows, [], slack)
    assert list(whole.state()["codes"]) == list(store.state()["codes"])


def test_further_values_of_a_facet_are_one() -> None:
    codes = [language_code(f"a{letter}") << LANGUAGE_AT for letter in "abcdefghijkl"]
    store = filled([(minute, 0, code, 1) for minute, code in enumerate(codes)], [], 0)
    keys = store.state()["codes"]
    assert [value for _, _, value in keys] == [*(f"a{letter}" for letter in "abcdefgh"), "other"]
    assert len(keys) == MOST_OF_FACET + 1
    _, trials = store.between(START + LENGTH, np.zeros(2, np.int64), START + LENGTH)
    assert trials.sum() == 0, "which are older than a baseline reaches"


def test_the_first_slot_is_whole() -> None:
    store, now = LeafFacets(), START + LENGTH
    for ago, width in ((60, SLOT), (20 * 60, 60), (100 * 60, 1440)):
        for at in range(now - ago, now - ago + 3):
            first = store.first(at, now)
            assert first % width == 0
            assert at <= first < at + width
