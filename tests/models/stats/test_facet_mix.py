"""What a changed mix of one facet gives: each facet by itself, of the calls that have it."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.records import SplitPart
from models.alerts.split_text import split_text
from models.stats.facet_mix import FacetCounts, facet_portions

Row = tuple[int, str, str, int, int, int, int]
"""Leaf, facet, value; failures and trials before, and since."""


def parts_of(rows: list[Row], before: list[int], since: list[int], inside: list[bool] | None = None) -> list[SplitPart]:
    leaf, facet, value, *sides = zip(*rows, strict=True)
    f0, n0, f1, n1 = np.array(sides, np.float64)
    counts = FacetCounts(np.array(leaf, np.int64), [*facet], [*value], (f0, n0), (f1, n1))
    scope = np.ones(len(before), np.bool_) if inside is None else np.array(inside)
    found = facet_portions(scope, np.array(before, np.float64), np.array(since, np.float64), counts)
    return [SplitPart(**part.rounded()) for part in found]


SHORT: Row = (0, "tokens_in", "0 to 255", 50, 1000, 20, 400)
LONG: Row = (0, "tokens_in", "4096 to 16383", 30, 100, 180, 600)


def test_more_long_inputs_are_the_mix_by_their_rates_of_before() -> None:
    """5 % of the short ones fail and 30 % of the long ones, before and since: all of the change is mix."""
    (part,) = parts_of([SHORT, LONG], [1100], [1000])
    assert part.points == pytest.approx((80 / 1100) - (200 / 1000), abs=1e-5)
    assert part.high < -0.05
    assert (part.value, part.share_since) == ("4096 to 16383", 0.6)
    assert part.share_before == pytest.approx(1 / 11, abs=1e-5)
    assert split_text([], [part.model_dump()]).endswith(
        "are from a changed mix: 9% of the outcomes were of calls with 4096 to 16383 input tokens, now 60%."
    )


def test_the_same_mix_gives_nothing_whatever_the_rates_do() -> None:
    (part,) = parts_of(
        [(0, "language", "de", 10, 500, 100, 250), (0, "language", "en", 20, 500, 90, 250)], [1000], [500]
    )
    assert part.points == pytest.approx(0, abs=1e-9)
    assert split_text([], [part.model_dump()]) == ""


def test_calls_that_lack_the_facet_are_no_stratum() -> None:
    """Of an outage half of the calls come without tokens and all of these fail: the others are as they were."""
    rows = [(*SHORT[:5], 25, 500), (*LONG[:5], 15, 50)]
    (part,) = parts_of(rows, [1100], [1100])
    assert part.points == pytest.approx(0, abs=1e-9)


def test_the_part_is_of_all_calls_of_the_scope() -> None:
    """Those with the facet are half of them, and so is what their mix gives."""
    (whole,), (half,) = (parts_of([SHORT, LONG], [1100], [count]) for count in (1000, 2000))
    assert half.points == pytest.approx(whole.points / 2, abs=1e-5)
    assert half.low == pytest.approx(whole.low / 2, abs=1e-5)


def test_a_leaf_of_which_too_little_is_known_on_either_side_is_left_out() -> None:
    few: Row = (0, "tokens_in", "0 to 255", 2, 15, 20, 400)
    none: Row = (0, "tokens_in", "4096 to 16383", 0, 0, 180, 600)
    assert parts_of([few, none], [1100], [1000]) == []
    assert parts_of([SHORT, LONG], [20_000], [1000]) == []


def test_strata_with_few_outcomes_are_one() -> None:
    rows: list[Row] = [SHORT, LONG, (0, "tokens_in", "262144 and more", 5, 5, 10, 10)]
    (part,) = parts_of(rows, [1105], [1010])
    assert part.value != "262144 and more"


def test_outcomes_outside_the_scope_say_nothing() -> None:
    rows: list[Row] = [
        SHORT,
        LONG,
        (1, "tokens_in", "0 to 255", 0, 900, 0, 100),
        (1, "tokens_in", "256 to 1023", 0, 100, 0, 900),
    ]
    inside = parts_of(rows, [1100, 1000], [1000, 1000], [True, False])
    assert inside == parts_of([SHORT, LONG], [1100], [1000])


def test_facets_that_move_together_are_not_to_be_added_and_the_clearer_comes_first() -> None:
    rows: list[Row] = [
        (0, "language", "en", 60, 1000, 60, 500),
        (0, "language", "de", 20, 100, 140, 500),
        SHORT,
        LONG,
    ]
    found = parts_of(rows, [1100], [1000])
    assert [part.dimension for part in found] == ["tokens_in", "language"]
    text = split_text([], [part.model_dump() for part in found])
    assert text.startswith(" Of this, at most one of these counts, as they may be one change: -")
    segment = {**found[0].model_dump(), "dimension": "segment", "value": "long"}
    beside = split_text([segment], [found[0].model_dump()])
    assert beside.startswith(" Of this, -")
    assert ". It may be the same change that, of this, -" in beside
