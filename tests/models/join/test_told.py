"""What two records of one id have in common, and what the second fills."""

from __future__ import annotations

import pytest

from models.join.told import BITS, KNOWN, Told, differing, filled_by

GROUP = ("t", "m", "c")
DAY_US = 86_400_000_000


def told(*fields: str, names: int = 1, hints: int = 0, segment: int = 0, session: int = 0, error: int = 0) -> Told:
    return Told(KNOWN | sum(BITS[name] for name in fields) | hints << 16, names, segment, session, error)


@pytest.mark.parametrize(
    ("first", "other", "named"),
    [
        (told(), told("cost_usd"), None),
        (told(segment=3), told(), "segment"),
        (told("error", error=1), told("error", error=2), "error"),
        (told("error", error=1), told(), None),
        (told(), told("error", error=2), None),
        (told("session_id", session=1), told("session_id", session=2), "session_id"),
        (told("session_id", session=1), told(), None),
        (told("error", error=1), told("error", error=2, segment=4), "segment"),
    ],
)
def test_the_first_field_that_differs_is_named(first: Told, other: Told, named: str | None) -> None:
    assert differing(first, other, 0, (GROUP, GROUP)) == named


@pytest.mark.parametrize(
    ("group", "hints", "named"),
    [
        (("x", "y", "c"), 0, "task_type"),
        (("t", "y", "z"), 0, "model"),
        (("t", "m", "z"), 0, "config"),
        (GROUP, 1 << 11, "task_type"),
        (GROUP, 1 << 5, "model"),
        (GROUP, 1, "config"),
        (GROUP, 0, "model"),
    ],
)
def test_which_name_differs_is_seen_through_aliases_too(group: tuple[str, str, str], hints: int, named: str) -> None:
    assert differing(told(), told(names=2, hints=hints), 0, (GROUP, group)) == named


def test_records_of_one_call_are_at_most_a_day_apart() -> None:
    for apart in (DAY_US, -DAY_US):
        assert differing(told(), told(), apart, (GROUP, GROUP)) is None
        assert differing(told(), told(), apart + (1 if apart > 0 else -1), (GROUP, GROUP)) == "occurred_at"


def test_a_field_is_filled_once_and_the_time_between_is_the_latency_where_none_is_told() -> None:
    latency, cost = BITS["latency_ms"], BITS["cost_usd"]
    assert filled_by(told(), told("cost_usd"), 0) == cost
    assert filled_by(told("cost_usd"), told("cost_usd"), 0) == 0
    assert filled_by(told(), told(), -1) == latency
    assert filled_by(told("latency_ms"), told(), 1) == 0
    assert filled_by(told(), told("latency_ms"), 1) == latency
    both = told().and_of(told("session_id", "error", session=5, error=6))
    assert (both.session, both.error) == (5, 6)
    assert both.and_of(told("session_id", "error", session=7, error=8)) == both
