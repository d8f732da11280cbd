"""Where a change shows: shares of the failures that it costs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aftercall.records import Slice
from aftercall.vocabulary import OTHER
from models.alerts.sentences import concentration
from models.alerts.slices import MOST_VALUES, Counts, ErrorCounts, slices_of
from models.messages import Group

NAMES: list[Group] = [("t", model, config) for model in "ab" for config in "xyz"]
LEAF = np.repeat(np.arange(6), 2)
SOURCE = ["judge", "user"] * 6
WITH_CALL = ["judge", "call"] * 6
ERRORS = [(leaf, error) for leaf in range(6) for error in ("refused", "timeout", OTHER)]
cell = st.one_of(st.just((0, 0)), st.tuples(st.integers(0, 30), st.integers(0, 60)))
cells = st.lists(cell, min_size=12, max_size=12)


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
        assert len(rows) <= MOST_VALUES
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
    assert concentration(found) == " Config 'y' accounts for 100% of the change."


def test_a_source_that_only_reports_failures_can_explain_them() -> None:
    """Reopened tickets go from 1 % of the trials of model a to 16 %; b has a few failures more by its judge."""
    names: list[Group] = [("t", "a", "x"), ("t", "b", "x")]
    leaf, source = np.array([0, 0, 1, 1]), ["judge", "reopened"] * 2
    before = np.array([495.0, 50, 297, 30]), np.array([4950.0, 50, 2970, 30]), leaf, source
    since = np.array([84.0, 160, 32, 3]), np.array([840.0, 160, 297, 3]), leaf, source
    found = slices_of(names, np.ones(2, np.bool_), before, since)
    share = {one["value"]: one["share"] for one in found}
    assert share["reopened"] > 0.9
    assert share["a"] > 0.9
    assert "'a'" in concentration(found) or "'reopened'" in concentration(found)


def test_outside_the_scope_nothing_counts() -> None:
    before = [(10, 90)] * 12
    since = [(10, 90)] * 10 + [(100, 0)] * 2
    only_a = np.array([True] * 3 + [False] * 3)
    assert slices_of(NAMES, only_a, counts(before), counts(since)) == []  # type: ignore[arg-type]


def with_call(rows: list[tuple[int, int]]) -> Counts:
    failures, successes = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return failures, failures + successes, LEAF, WITH_CALL


def failed(rows: list[list[int]]) -> ErrorCounts:
    """Failures by (before, since) per pair of `ERRORS`."""
    before, since = np.array(rows, np.float64).T
    return ErrorCounts(before, since, np.array([leaf for leaf, _ in ERRORS]), [error for _, error in ERRORS])


def excess(f0: int, n0: int, f1: int, n1: int, usual: Fraction) -> Fraction:
    return f1 - n1 * (Fraction(f0, n0) if n0 else usual)


def plain_shares(
    inside: list[bool], before: list[tuple[int, int]], since: list[tuple[int, int]], errors: list[list[int]]
) -> dict[tuple[str, str], Fraction] | None:
    """Share of each source and error, leaf by leaf, in fractions; None where nothing has changed or is known."""
    rows = [
        (leaf, source, f0, f0 + s0, f1, f1 + s1)
        for leaf, source, (f0, s0), (f1, s1) in zip(LEAF.tolist(), WITH_CALL, before, since, strict=True)
        if inside[leaf]
    ]
    n0 = {leaf: sum(row[3] for row in rows if row[0] == leaf) for leaf in range(6)}
    n1 = {leaf: sum(row[5] for row in rows if row[0] == leaf) for leaf in range(6)}
    whole = sum(n0.values())
    if not whole:
        return None
    found: dict[tuple[str, str], Fraction] = {}
    escaped = {row[1] for row in rows if row[2] < row[3] or row[4] < row[5]}
    for leaf, source, f0, m0, f1, m1 in rows:
        if source not in escaped:  # always a failure, so held against all trials of the leaf
            usual = Fraction(sum(row[2] for row in rows if row[1] == source), whole)
            one = excess(f0, n0[leaf], f1, n1[leaf], usual) if m0 + m1 else Fraction(0)
        else:
            one = excess(f0, m0, f1, m1, Fraction(sum(row[2] for row in rows), whole))
        found["source", source] = found.get(("source", source), Fraction(0)) + one
    total = sum(found.values())
    for (leaf, error), (f0, f1) in zip(ERRORS, errors, strict=True):
        if inside[leaf] and f0 + f1:
            mine = sum(e[0] for (at, text), e in zip(ERRORS, errors, strict=True) if text == error and inside[at])
            one = excess(f0, n0[leaf], f1, n1[leaf], Fraction(mine, whole))
            found["error", error] = found.get(("error", error), Fraction(0)) + one
    return {key: one / total for key, one in found.items()} if total else None


@given(
    st.lists(st.booleans(), min_size=6, max_size=6),
    cells,
    cells,
    st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=len(ERRORS), max_size=len(ERRORS)),
)
def test_shares_of_sources_and_errors_are_those_of_fractions(
    inside: list[bool], before: list[tuple[int, int]], since: list[tuple[int, int]], errors: list[list[int]]
) -> None:
    """Rows of calls' own errors are failures only; errors count whichever source decided."""
    before, since = (
        [(f, 0 if source == "call" else ok) for (f, ok), source in zip(rows, WITH_CALL, strict=True)]
        for rows in (before, since)
    )
    wanted = plain_shares(inside, before, since, errors)
    found = slices_of(NAMES, np.array(inside), with_call(before), with_call(since), failed(errors))
    assume(wanted is not None and abs(max(wanted.values(), key=abs)) < 1e6)
    assert wanted is not None
    got = {(one["dimension"], one["value"]): one["share"] for one in found}
    for key, share in wanted.items():
        if key[0] == "error" or {("source", "call"), ("source", "judge")} <= got.keys():
            assert got[key] == pytest.approx(float(share), rel=1e-3, abs=1e-9)
    assert {key[1] for key in got if key[0] == "error"} == {key[1] for key in wanted if key[0] == "error"}


def test_an_error_that_comes_up_is_named_with_its_share_and_the_rate_at_which_calls_escape_it() -> None:
    """In one config 40 of 100 time out, so that 60 are judged; refusals come as they always did."""
    before = [(8, 88), (4, 0)] * 6
    since = [(8, 88), (4, 0)] * 6
    since[4], since[5] = (5, 55), (40, 0)
    errors = [[4, 4], [0, 0], [0, 0]] * 6
    errors[6:9] = [[4, 4], [0, 36], [0, 0]]
    found = slices_of(NAMES, np.ones(6, np.bool_), with_call(before), with_call(since), failed(errors))
    top = {one["dimension"]: one for one in reversed(found)}
    assert top["error"] == {
        "dimension": "error",
        "value": "timeout",
        "baseline": 1.0,
        "current": 0.94,
        "trials": 600,
        "share": 1.0,
    }
    assert [(one["value"], one["share"]) for one in found if one["dimension"] == "error"][1:] == [("refused", 0.0)]
    assert (top["config"]["value"], top["config"]["share"]) == ("z", 1.0)
    assert (top["source"]["value"], top["source"]["share"]) == ("call", 1.0)
    assert concentration(found) == " Error 'timeout' accounts for 100% of the change."
    assert all(Slice(**one) for one in found)


def test_many_errors_that_are_one_name_explain_nothing() -> None:
    rows = [{"dimension": "error", "value": OTHER, "trials": 9, "share": 0.9}]
    assert concentration(rows) == ""
    rows += [{"dimension": "error", "value": "timeout", "trials": 9, "share": 0.79}]
    assert concentration(rows) == ""
    rows[1]["share"] = 0.8
    assert concentration(rows) == " Error 'timeout' accounts for 80% of the change."
