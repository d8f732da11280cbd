"""Counts by the time of the call: what they hold depends on what came, and on when they are read."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import DAY_US, HOUR_US, QUARTER_US
from models import plain
from models.routing.dated_counts import WIDTHS, Bins, DatedCounts

NOW = 1_964_000 * QUARTER_US
Row = tuple[int, int, int, int, int]
rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40 * 96), st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 9)),
    max_size=30,
)


def add(counts: DatedCounts, some: list[Row]) -> None:
    """Rows of (arm, age in quarters of an hour, successes, failures, calls)."""
    arm, age, *columns = (np.array(column, np.int64) for column in zip(*some, strict=True))
    counts.add(arm, NOW // QUARTER_US - 1 - age, tuple(columns))


def listed(bins: Bins) -> list[tuple[int, ...]]:
    return sorted(zip(*(column.tolist() for column in bins), strict=True))


@given(rows, st.lists(st.integers(0, 30), max_size=4), st.tuples(st.integers(0, 2), st.integers(0, 3000)))
def test_counts_depend_neither_on_the_order_nor_on_when_they_were_read_before(
    some: list[Row], cuts: list[int], restart: tuple[int, int]
) -> None:
    whole, cut = DatedCounts(), DatedCounts()
    arm, back = restart
    if some:
        add(whole, some)
    whole.restart(arm, NOW - back * QUARTER_US, NOW)
    previous = 0
    for i, end in enumerate([*sorted(cuts), len(some)]):
        if some[previous:end]:
            add(cut, some[previous:end])
        previous = max(previous, end)
        cut.bins(NOW - (4 - i) * HOUR_US)
        cut = DatedCounts.from_state(plain.unpack(plain.pack(cut.state(NOW - (4 - i) * HOUR_US))))
    cut.restart(arm, NOW - back * QUARTER_US, NOW)
    for later in (NOW, NOW + 3 * DAY_US):
        assert listed(cut.bins(later)) == listed(whole.bins(later))


def test_bins_widen_with_age_and_lose_nothing_until_they_are_forgotten() -> None:
    counts = DatedCounts()
    add(counts, [(0, age, 2, 1, 4) for age in range(27 * 96)])
    found = counts.bins(NOW)
    assert (found.successes.sum(), found.failures.sum(), found.calls.sum()) == (2 * 27 * 96, 27 * 96, 4 * 27 * 96)
    age = NOW - found.start
    for (oldest, width), width_of in zip(WIDTHS, (age <= DAY_US, age <= 4 * DAY_US, age <= 28 * DAY_US), strict=True):
        assert oldest > 0
        assert ((found.end - found.start)[width_of] <= width * QUARTER_US).all()
    assert len(found.arm) < 300
    assert not len(counts.bins(NOW + 30 * DAY_US).arm)


def test_after_a_restart_what_comes_of_earlier_calls_does_not_count_even_later() -> None:
    counts = DatedCounts()
    add(counts, [(0, 20, 5, 0, 5), (0, 3, 0, 7, 7), (1, 20, 1, 1, 2)])
    counts.restart(0, NOW - 10 * QUARTER_US, NOW)
    add(counts, [(0, 12, 9, 9, 0), (0, 9, 1, 0, 0), (1, 12, 3, 0, 0)])
    found = counts.bins(NOW)
    assert found.successes[found.arm == 0].sum() == 1
    assert found.failures[found.arm == 0].sum() == 7
    assert found.successes[found.arm == 1].sum() == 4


def test_a_quarter_of_an_hour_in_which_the_change_lies_does_not_count() -> None:
    counts = DatedCounts()
    add(counts, [(0, 1, 5, 0, 5), (0, 0, 0, 7, 7)])
    counts.restart(0, NOW - 2 * QUARTER_US + 1, NOW)
    assert counts.bins(NOW).calls.tolist() == [7]
    assert counts.began(0) == NOW - QUARTER_US
