"""What two records of one id have in common, and what the second fills."""

from __future__ import annotations

import pytest

from models.join.contents import BITS, KNOWN, UNKNOWN_NAME, Contents, differing, filled_by, names_digest

GROUP = ("t", "m", "c")
DAY_US = 86_400_000_000


def contents(
    *fields: str, names: int = 1, hints: int = 0, segment: int = 0, session: int = 0, error: int = 0
) -> Contents:
    return Contents(KNOWN | sum(BITS[name] for name in fields) | hints << 16, names, segment, session, error)


@pytest.mark.parametrize(
    ("first", "other", "named"),
    [
        (contents(), contents("cost_usd"), None),
        (contents(segment=3), contents(), "segment"),
        (contents("error", error=1), contents("error", error=2), "error"),
        (contents("error", error=1), contents(), None),
        (contents(), contents("error", error=2), None),
        (contents("session_id", session=1), contents("session_id", session=2), "session_id"),
        (contents("session_id", session=1), contents(), None),
        (contents("error", error=1), contents("error", error=2, segment=4), "segment"),
    ],
)
def test_the_first_field_that_differs_is_named(first: Contents, other: Contents, named: str | None) -> None:
    assert differing(first, other, 0, (GROUP, GROUP)) == named


@pytest.mark.parametrize(
    ("group", "hints", "named"),
    [
        (("x", "y", "c"), 0, "task_type"),
        (("t", "y", "z"), 1, "model"),
        (("t", "m", "z"), 0, "config"),
    ],
)
def test_names_that_no_alias_changed_are_compared_themselves(
    group: tuple[str, str, str], hints: int, named: str
) -> None:
    first, other = contents(names=names_digest(GROUP)), contents(names=names_digest(group), hints=hints)
    assert differing(first, other, 0, (GROUP, group)) == named


@pytest.mark.parametrize(
    ("group", "hints", "named"),
    [
        (GROUP, 1 << 11, "task_type"),
        (GROUP, 1 << 5, "model"),
        (GROUP, 1, "config"),
        (("t", "y", "c"), 1, "config"),  # an alias of the model has come since
        (("t", "y", "c"), 0, "model"),
        (GROUP, 0, UNKNOWN_NAME),
    ],
)
def test_which_name_differs_is_seen_through_aliases_too(group: tuple[str, str, str], hints: int, named: str) -> None:
    assert differing(contents(), contents(names=2, hints=hints), 0, (GROUP, group)) == named
    first = contents(names=names_digest(GROUP))
    assert differing(first, contents(names=2, hints=hints), 0, (GROUP, group)) == named


def test_records_of_one_call_are_at_most_a_day_apart() -> None:
    for apart in (DAY_US, -DAY_US):
        assert differing(contents(), contents(), apart, (GROUP, GROUP)) is None
        assert differing(contents(), contents(), apart + (1 if apart > 0 else -1), (GROUP, GROUP)) == "occurred_at"


def test_a_field_is_filled_once_and_the_time_between_is_the_latency_where_none_is_told() -> None:
    latency, cost = BITS["latency_ms"], BITS["cost_usd"]
    assert filled_by(contents(), contents("cost_usd"), 0) == cost
    assert filled_by(contents("cost_usd"), contents("cost_usd"), 0) == 0
    assert filled_by(contents(), contents(), -1) == latency
    assert filled_by(contents("latency_ms"), contents(), 1) == 0
    assert filled_by(contents(), contents("latency_ms"), 1) == latency
    both = contents().and_of(contents("session_id", "error", session=5, error=6))
    assert (both.session, both.error) == (5, 6)
    assert both.and_of(contents("session_id", "error", session=7, error=8)) == both
