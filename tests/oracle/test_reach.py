"""The histories reach every corner they are meant to reach: a comparison that never meets a rule proves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from oracle.histories import History, histories
from oracle.ledger import standing
from oracle.reaching import met, seldom
from oracle.replay import Oracle


def sources(oracle: Oracle) -> set[str | None]:
    return {row["verdict_source"] for row in oracle.calls_rows()}


def refused(oracle: Oracle, reason: str, *, call: bool) -> bool:
    return any(dead.reason == reason and (dead.outcome_id is None) == call for dead in oracle.dead())


def trials(oracle: Oracle) -> int:
    return sum(sum(counts) for minutes in oracle.trials(late=True).values() for counts in minutes.values())


CORNERS: dict[str, Callable[[Oracle], bool]] = {
    "late": lambda o: refused(o, "late", call=False),
    "orphan": lambda o: refused(o, "orphan", call=False),
    "conflict of a call": lambda o: refused(o, "conflict", call=True),
    "conflict of an outcome": lambda o: refused(o, "conflict", call=False),
    "duplicate": lambda o: o.counters()["duplicates"] > 0,
    "waiting at the end": lambda o: o.counters()["waiting"] > 0,
    "silence": lambda o: "silence" in sources(o),
    "error": lambda o: "call" in sources(o),
    "expired after words": lambda o: any(r["verdict"] == "expired" and r["statements"] for r in o.calls_rows()),
    "revised twice": lambda o: any(r["revisions"] > 1 for r in o.calls_rows()),
    "score only": lambda o: any(s.success is None for held in o._calls for s in standing(held.statements())),
    "withdrawn": lambda o: any(r["action"] == "assert" and not r["stands"] for r in o.statements_rows()),
    "two trials of a call": lambda o: trials(o) > o.counters()["calls"],
}


def assert_reached(strategy: st.SearchStrategy[History], corners: dict[str, Callable[[Oracle], bool]]) -> None:
    """Each corner is met in some of the histories."""

    def meets(history: History) -> list[str]:
        oracle = history.oracle(merged=True)
        return [name for name, there in corners.items() if there(oracle)]

    found = met(strategy, corners, meets, most=300)
    assert seldom(found, corners) == set(), found


@pytest.mark.long
@pytest.mark.slow
def test_histories_of_sorted_files_reach_every_corner() -> None:
    assert_reached(histories(), CORNERS)


@pytest.mark.slow
@pytest.mark.long
def test_histories_of_unsorted_files_reach_every_corner_and_calls_that_are_too_old() -> None:
    corners = {**CORNERS, "too old": lambda o: refused(o, "too_old", call=True)}
    assert_reached(histories(sorted_files=False), corners)
