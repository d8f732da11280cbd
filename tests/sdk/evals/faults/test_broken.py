"""A broken result has less, is older, or says otherwise; the result itself stays as it was."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.evals.faults.broken import broken

KINDS = ("empty", "partial", "stale", "contradict")
RESULTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12) | st.dates().map(str),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=6), parts, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("kind", "result", "changed"),
    [
        ("empty", [1, 2], []),
        ("empty", "three offers", ""),
        ("empty", {"name": "Ann"}, {}),
        ("empty", {"data": {"items": [1], "total": 1}, "page": 3}, {"data": {"items": [], "total": 0}, "page": 3}),
        ("empty", 7, None),
        ("partial", [1, 2, 3, 4], [1, 2]),
        ("partial", [{"a": 1, "b": 2}], [{"a": 1}]),
        ("partial", {"items": [1, 2], "total": 2}, {"items": [1], "total": 2, "partial": True}),
        ("partial", {"a": 1, "b": 2}, {"a": 1, "partial": True}),
        ("partial", "one two", "one"),
        ("stale", {"at": "2026-11-30T08:00:00Z"}, {"at": "2025-10-26T08:00:00Z", "stale": True}),
        ("stale", "policy of 2026-11-30", "policy of 2025-10-26"),
        ("stale", [{"v": 1}], [{"v": 1, "stale": True}]),
        ("contradict", {"id": 4, "paid": True}, {"id": 4, "paid": False}),
        ("contradict", {"order_id": 4, "status": "open"}, {"order_id": 4, "status": "not open"}),
        ("contradict", [{"price": 5}], [{"price": 5}, {"price": 11}]),
        ("contradict", "open", "open Correction: the opposite of this is the case."),
    ],
)
def test_results_of_each_shape(kind: str, result: Any, changed: Any) -> None:
    assert broken(kind, result) == changed


@pytest.mark.parametrize(
    ("kind", "result"), [("partial", []), ("partial", 5), ("stale", 5), ("empty", []), ("stale", "x")]
)
def test_where_there_is_nothing_to_break_the_result_stays(kind: str, result: Any) -> None:
    assert broken(kind, result) == result


@given(st.sampled_from(KINDS), RESULTS)
def test_the_result_itself_is_never_changed_and_what_comes_is_json(kind: str, result: Any) -> None:
    before = copy.deepcopy(result)
    changed = broken(kind, result)
    assert result == before
    json.dumps(changed)


@given(st.sampled_from(KINDS), RESULTS)
def test_a_text_that_is_json_is_broken_as_that(kind: str, result: Any) -> None:
    if isinstance(result, list | dict):
        assert json.loads(broken(kind, json.dumps(result))) == broken(kind, result)


def test_what_is_nested_without_end_is_left() -> None:
    deep = "[" * 900 + "]" * 900
    for kind in KINDS:
        assert isinstance(broken(kind, deep), str)
    assert broken("partial", "[" * 10**6) != ""
