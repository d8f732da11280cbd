"""What must hold of sessions in the oracle on any history, so that a slip in it does not become the definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.histories import interleavings
from oracle.order import watermarks
from oracle.reaching import met, seldom
from oracle.records import Call
from oracle.session import Said
from oracle.session_histories import (
    PARTITIONS,
    SessionHistory,
    replayed_sessions,
    session_histories,
)
from oracle.session_replay import SessionOracle

FEW = settings(max_examples=30, deadline=None)
either = st.booleans().flatmap(lambda in_order: session_histories(in_order=in_order))


def final(oracle: SessionOracle) -> dict[str, Any]:
    """The final state, in an order of its own."""
    return {
        "calls": sorted(map(repr, oracle.ledgers.calls_rows())),
        "statements": sorted(map(repr, oracle.ledgers.statements_rows())),
        "verdicts": dict(sorted(oracle.ledgers.newest_verdicts().items())),
        "dead": oracle.dead(),
        "counters": oracle.counters(),
    }


@pytest.mark.slow
@FEW
@given(either)
def test_it_adds_up_after_every_record(history: SessionHistory) -> None:
    oracle = SessionOracle(history.rules)
    order = history.merged()
    before, last = watermarks(order, PARTITIONS)
    for count, (read, watermark) in enumerate(zip(order, before, strict=True), start=1):
        oracle.feed(read.record, watermark)
        check_sums(oracle, count)
    oracle.finish(last)
    check_sums(oracle, len(order))


def check_sums(oracle: SessionOracle, records: int) -> None:
    """One outcome of a session is one record."""
    n = oracle.counters()
    rest = ("calls", "completed", "outcomes", "duplicates", "waiting", "dead_letters")
    assert n["records"] == records == sum(n[name] for name in rest)


@pytest.mark.slow
@FEW
@given(st.data())
def test_the_order_across_partitions_does_not_matter_where_nothing_was_refused_for_when_it_came(
    data: st.DataObject,
) -> None:
    history = data.draw(session_histories())
    one, two = (replayed_sessions(history.rules, data.draw(interleavings(history.reads()))) for _ in range(2))
    # In order within partitions nothing is late for a session but what the join drops.
    assert one.sessions.counts["session_late"] == two.sessions.counts["session_late"] == 0
    if one.dead() == two.dead() and one.dropped == two.dropped:
        assert final(one) == final(two)


@pytest.mark.slow
@FEW
@given(st.data())
def test_the_final_state_depends_on_the_order_within_calls_and_sessions_only(data: st.DataObject) -> None:
    history = data.draw(session_histories())
    rules = replace(history.rules, allowed_lateness_us=10**15, orphan_wait_us=10**15)
    one, two = (replayed_sessions(rules, data.draw(interleavings(history.reads()))) for _ in range(2))
    assert final(one) == final(two)


@pytest.mark.slow
@FEW
@given(session_histories(simple=True))
def test_which_calls_take_part_follows_from_event_times_alone(history: SessionHistory) -> None:
    oracle = replayed_sessions(history.rules, history.merged())
    reached = {(row["outcome_id"], row["call_id"]) for row in oracle.ledgers.statements_rows()}
    records = [read.record for read in history.merged()]
    calls = [record for record in records if isinstance(record, Call)]
    expected = set()
    for said in (record for record in records if isinstance(record, Said)):
        found = [call for call in in_scope(said, calls, history.rules.longest_horizon())
                 if said.at <= call.at + history.rules.horizon_of(call.task_type)]  # fmt: skip
        expected |= {(f"session:{said.outcome.outcome_id}", c.call_id) for c in found[-history.rules.most_reached :]}
    assert {one for one in reached if one[0].startswith("session:")} == expected


def in_scope(said: Said, calls: list[Call], longest: int) -> list[Call]:
    """The calls of the session up to the outcome, and of these the scope, by a way of its own."""
    known = [c for c in calls if c.session_id == said.session_id and c.at <= said.at <= c.at + longest]
    known.sort(key=lambda call: (call.at, call.call_id))
    if said.scope == "descendants":
        below = {c.call_id for c in known} & {said.outcome.call_id}
        while more := {c.call_id for c in known if c.parent_call_id in below} - below:
            below |= more
        return [call for call in known if call.call_id in below]
    return {"last": known[-1:], "root": known[:1], "all": known}[said.scope]


@pytest.mark.slow
@FEW
@given(session_histories())
def test_records_read_twice_change_nothing_but_the_count_of_duplicates(history: SessionHistory) -> None:
    order = history.merged()
    rules = replace(history.rules, orphan_wait_us=10**15, allowed_lateness_us=10**15)
    once = replayed_sessions(rules, order)
    twice = replayed_sessions(rules, [read for read in order for _ in range(2)])
    assert once.ledgers.calls_rows() == twice.ledgers.calls_rows()
    assert once.ledgers.statements_rows() == twice.ledgers.statements_rows()
    for name in ("outcomes", "waiting", "session_cut"):
        assert once.counters()[name] == twice.counters()[name]


@pytest.mark.slow
@FEW
@given(either)
def test_each_call_has_the_records_of_an_id_in_their_order(history: SessionHistory) -> None:
    oracle = replayed_sessions(history.rules, history.merged())
    for held in oracle.ledgers._calls:
        editions: dict[str, list[int]] = {}
        for outcome in held.arrived():
            editions.setdefault(outcome.outcome_id, []).append(outcome.edition)
        assert all(found == list(range(1, len(found) + 1)) for found in editions.values())


@pytest.mark.slow
@FEW
@given(either)
def test_no_statement_of_a_session_is_in_a_call_of_another(history: SessionHistory) -> None:
    sessions: dict[str, set[str]] = {}
    for read in history.merged():
        if isinstance(read.record, Said):
            name = f"session:{read.record.outcome.outcome_id}"
            sessions.setdefault(name, set()).add(read.record.session_id)
    for held in replayed_sessions(history.rules, history.merged()).ledgers._calls:
        for outcome in held.arrived():
            assert held.call.session_id in sessions.get(outcome.outcome_id, {held.call.session_id})


WANTED = (
    *("conflict", "no_verdict", "orphan", "late", "session_late", "session_cut", "dropped", "waiting"),
    *("edition", "taken back"),
)


def test_histories_reach_what_they_are_for() -> None:
    """Each kind of end is met in some of them."""

    def meets(history: SessionHistory) -> set[str]:
        oracle = replayed_sessions(history.rules, history.merged())
        of_sessions = [
            outcome
            for held in oracle.ledgers._calls
            for outcome in held.arrived()
            if outcome.outcome_id.startswith("session:")
        ]
        ends = {
            "dropped": oracle.dropped > 0,
            "waiting": bool(oracle.sessions.waiting()),
            "edition": any(outcome.edition > 1 for outcome in of_sessions),
            "taken back": any(outcome.action == "retract" for outcome in of_sessions),
        }
        counted = {name for name, count in oracle.counters().items() if name.startswith("session_") and count}
        reasons = {one.reason for one in oracle.sessions.refused}
        return reasons | counted | {name for name, there in ends.items() if there}

    found = met(either, WANTED, meets, most=300)
    assert seldom(found, WANTED) == set(), found
