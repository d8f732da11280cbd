"""A change in an alert's scope, split into parts of its mix and one within: what the record and its sentence have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.records import SplitPart
from models.alerts.split_text import split_text
from models.messages import Group
from models.stats.traffic_mix import Portion, SegmentCounts, portions

NAMES: list[Group] = [("t", "a", "x"), ("t", "a", "y"), ("t", "b", "x"), ("u", "b", "x")]
INSIDE = np.array([True, True, True, False])


def counts(*rows: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    failures, trials = np.array(rows, np.float64).T
    return failures, trials


def parts_of(*arguments: Any) -> list[dict[str, Any]]:
    """As a record has them."""
    found: list[Portion] = portions(*arguments)
    return [part.rounded() for part in found]


def test_more_of_the_worse_config_is_mix_and_the_rest_is_within() -> None:
    before = counts((45, 900), (30, 100), (100, 1000), (0, 1000))
    since = counts((60, 600), (140, 400), (150, 1000), (900, 1000))
    found = parts_of(NAMES, INSIDE, before, since)
    assert all(SplitPart(**one) for one in found)
    by = {one["dimension"]: one for one in found}
    assert list(by) == ["model", "config", "within"]
    assert by["model"]["points"] == 0
    assert by["config"]["points"] == pytest.approx(0.5 * 0.3 * (0.7 - 0.95))
    assert (by["config"]["value"], by["config"]["share_since"]) == ("y", pytest.approx(0.2))
    assert sum(one["points"] for one in found) == pytest.approx(175 / 2000 - 350 / 2000)
    sentence = split_text(found)
    assert sentence.startswith(" Beside this, -3.8 points (")
    assert sentence.endswith("are from a changed mix: 5% of the outcomes were of config 'y', now 20%.")


def test_a_scope_of_one_leaf_has_no_split() -> None:
    before = counts((45, 900), (30, 100), (100, 1000), (0, 1000))
    assert parts_of(NAMES, np.array([False, False, False, True]), before, before) == []


def test_without_outcomes_before_there_is_no_split() -> None:
    nothing, some = counts((0, 0), (0, 0), (0, 0), (0, 0)), counts((1, 2), (1, 2), (1, 2), (1, 2))
    assert parts_of(NAMES, INSIDE, nothing, some) == []
    assert parts_of(NAMES, INSIDE, some, nothing) == []


def of_segments(before: list[tuple[int, int]], since: list[tuple[int, int]]) -> SegmentCounts:
    """Of the first leaf: short ones, long ones, and those of a kind with few."""
    return SegmentCounts(np.zeros(3, np.int64), ["short", "long", "rare"], counts(*before), counts(*since))


def test_more_of_the_harder_segment_is_mix_and_part_of_the_headline() -> None:
    """Of the 100 before without a segment 10 fail, as since; of short ones always 5 %, of long ones 30 %."""
    only = np.array([True, False, False, False])
    before, since = counts((100, 910), *[(0, 0)] * 3), counts((110, 610), *[(0, 0)] * 3)
    found = parts_of(
        NAMES, only, before, since, of_segments([(30, 600), (60, 200), (0, 10)], [(10, 200), (90, 300), (0, 10)])
    )
    mix, within = found
    assert (mix["dimension"], mix["value"], within["dimension"]) == ("segment", "long", "within")
    assert mix["points"] + within["points"] == pytest.approx(100 / 910 - 110 / 610, abs=1e-5)
    assert mix["high"] < 0
    assert within["low"] < 0 < within["high"]
    assert (mix["share_before"], mix["share_since"]) == pytest.approx((200 / 910, 300 / 610), abs=1e-5)
    assert split_text(found).startswith(" Of this, ")
    assert split_text(found).endswith("22% of the outcomes were of segment 'long', now 49%.")
    assert all(SplitPart(**one) for one in found)


def test_a_leaf_whose_calls_had_no_segments_before_is_not_split_by_them() -> None:
    only = np.array([True, False, False, False])
    before, since = counts((70, 910), *[(0, 0)] * 3), counts((110, 610), *[(0, 0)] * 3)
    nothing = [(0, 0), (0, 0), (0, 0)]
    assert parts_of(NAMES, only, before, since, of_segments(nothing, [(10, 200), (90, 300), (0, 10)])) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=12, max_size=12))
def test_parts_sum_to_the_change_with_segments_too(rows: list[tuple[int, int]]) -> None:
    own = [(failures, failures + good) for failures, good in rows]
    leaf = np.array([0, 0, 2])
    sides = [counts(*own[at : at + 3]) for at in (0, 3)]
    # The leaves have calls without a segment, too.
    whole = []
    for at, side in zip((6, 9), sides, strict=True):
        f, n = counts(*own[at : at + 3], (0, 0))
        whole.append((f + np.bincount(leaf, side[0], 4).astype(float), n + np.bincount(leaf, side[1], 4).astype(float)))
    strata = SegmentCounts(leaf, ["short", "long", "short"], sides[0], sides[1])
    found = parts_of(NAMES, INSIDE, whole[0], whole[1], strata)
    if found:
        (f0, n0), (f1, n1) = ((side[0][:3].sum(), side[1][:3].sum()) for side in whole)
        assert sum(one["points"] for one in found) == pytest.approx(f0 / n0 - f1 / n1, abs=1e-5)
