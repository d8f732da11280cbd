"""Where a change shows: shares of the failures that it costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aftercall.records import Slice
from models.slices import MOST, concentration, slices_of
from models.streams import Group

NAMES: list[Group] = [("t", model, config) for model in "ab" for config in "xyz"]
LEAF = np.repeat(np.arange(6), 2)
SOURCE = ["judge", "user"] * 6
cells = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=12, max_size=12)


def counts(rows: list[tuple[int, int]]) -> tuple[object, ...]:
    failures, successes = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return failures, failures + successes, LEAF, SOURCE


@given(cells, cells)
def test_shares_of_a_dimension_sum_to_one(before: list[tuple[int, int]], since: list[tuple[int, int]]) -> None:
    found = slices_of(NAMES, np.ones(6, np.bool_), counts(before), counts(since))  # type: ignore[arg-type]
    assume(found)
    for dimension in {one["dimension"] for one in found}:
        rows = [one for one in found if one["dimension"] == dimension]
        shares = [one["share"] for one in rows]
        assert shares == sorted(shares, reverse=True)
        assert len(rows) <= MOST
        assert sum(shares) == pytest.approx(1.0, abs=1e-4 * (1 + sum(map(abs, shares))))
        assert sum(one["trials"] for one in rows) == sum(f + s for f, s in since)
    assert all(Slice(**one) for one in found)


def test_the_bad_config_has_all_of_it_and_gets_a_sentence() -> None:
    before = [(10, 90)] * 12
    since = [(10, 90)] * 12
    since[2] = since[3] = (50, 50)
    found = slices_of(NAMES, np.ones(6, np.bool_), counts(before), counts(since))  # type: ignore[arg-type]
    worst = {one["dimension"]: (one["value"], one["share"]) for one in reversed(found)}
    assert worst == {"model": ("a", 1.0), "config": ("y", 1.0), "source": ("judge", 0.5)}
    assert concentration(found) == " 100% of it shows in config 'y'."


def test_outside_the_scope_nothing_counts() -> None:
    before = [(10, 90)] * 12
    since = [(10, 90)] * 10 + [(100, 0)] * 2
    only_a = np.array([True] * 3 + [False] * 3)
    assert slices_of(NAMES, only_a, counts(before), counts(since)) == []  # type: ignore[arg-type]
