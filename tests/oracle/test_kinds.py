"""What must hold of the oracle on histories of edited, cleared, signed, required, completed and tried records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.histories import DAY, History, histories, interleavings, replayed
from oracle.kinds import KINDS
from oracle.ledger import standing
from oracle.names import spelled
from oracle.order import Read, watermarks
from oracle.reaching import met, seldom
from oracle.records import MINUTE_US, Call, Outcome
from oracle.replay import Oracle
from oracle.tables import GRAIN_US

FEW = settings(max_examples=30, deadline=None)
either = st.booleans().flatmap(lambda in_order: histories(sorted_files=in_order, kinds=KINDS))


def final(oracle: Oracle) -> dict[str, Any]:
    """All that leaves, in an order of its own."""
    return {
        "calls": sorted(map(repr, oracle.calls_rows())),
        "statements": sorted(map(repr, oracle.statements_rows())),
        "rates": [oracle.rates_rows(grain) for grain in GRAIN_US],
        "source rates": [oracle.source_rates_rows(grain) for grain in GRAIN_US],
        "verdicts": dict(sorted(oracle.newest_verdicts().items())),
        "values": sorted((*key[:1], *key[2:]) for key in oracle.values(late=True).elements()),
        "dead": sorted(map(repr, zip(oracle.dead(), oracle.named(), strict=True))),
        "counters": oracle.counters(),
    }


def by_call_and_topic(history: History) -> list[list[Read]]:
    """One partition per call id and topic, in reading order: calls and outcomes come from two topics."""
    partitions: dict[tuple[str, bool], list[Read]] = defaultdict(list)
    for read in history.order():
        call_id = spelled(read.record, history.rules).call_id
        partitions[call_id, isinstance(read.record, Call)].append(read)
    return [
        [Read(index, line, read.record) for line, read in enumerate(reads)]
        for index, reads in enumerate(partitions.values())
    ]


def check_sums(oracle: Oracle) -> None:
    """Each record became one thing; each call and attempt has one verdict."""
    n = oracle.counters()
    became = ("calls", "completed", "outcomes", "duplicates", "waiting", "dead_letters")
    assert n["records"] == sum(n[name] for name in became)
    verdicts = ("pending", "successes", "failures", "expired")
    assert n["calls"] + n["attempts"] == sum(n[name] for name in verdicts) == len(oracle.calls_rows())
    assert n["outcomes"] == len(oracle.statements_rows()) == sum(row["statements"] for row in oracle.calls_rows())
    for grain in GRAIN_US:
        rows = oracle.rates_rows(grain)
        assert sum(row["calls"] for row in rows) == n["calls"] + n["attempts"]
        for name in verdicts:
            assert sum(row[name] for row in rows) == n[name]


@pytest.mark.slow
@FEW
@given(either)
def test_it_adds_up_after_every_record(history: History) -> None:
    oracle = Oracle(history.rules)
    order = history.order(merged=True)
    before, last = watermarks(order, len(history.files))
    for read, watermark in zip(order, before, strict=True):
        oracle.feed(read.record, watermark)
        check_sums(oracle)
    oracle.finish(last)
    check_sums(oracle)


@pytest.mark.slow
@FEW
@given(st.data())
def test_the_final_state_does_not_depend_on_how_calls_and_outcomes_interleave(data: st.DataObject) -> None:
    """Where nothing closes or gives up waiting, and no statement lies beyond its call's horizon."""
    history = data.draw(histories(kinds=KINDS))
    partitions = by_call_and_topic(history)
    ages = replace(history.rules, horizon_us=3650 * DAY, allowed_lateness_us=3650 * DAY, orphan_wait_us=3650 * DAY)
    rules = replace(ages, task_horizon_us={})
    one, two = (replayed(rules, data.draw(interleavings(partitions)), len(partitions)) for _ in range(2))
    assert final(one) == final(two)
    for oracle in (one, two):
        oracle.finish(2**62)
    assert final(one) == final(two)
    assert one.counters()["pending"] == 0


@pytest.mark.slow
@FEW
@given(either)
def test_records_read_twice_change_nothing_but_the_counts_of_what_is_refused_or_repeated(history: History) -> None:
    order, partitions = history.order(), len(history.files)
    rules = replace(history.rules, allowed_lateness_us=3650 * DAY, orphan_wait_us=3650 * DAY)
    once = replayed(rules, order, partitions)
    twice = replayed(rules, [read for read in order for _ in range(2)], partitions)
    for name in ("calls_rows", "statements_rows", "trials", "newest_verdicts", "responses"):
        assert getattr(once, name)() == getattr(twice, name)()
    assert twice.counters()["completed"] == once.counters()["completed"]


@pytest.mark.slow
@FEW
@given(either)
def test_what_happened_in_a_closed_minute_never_changes(history: History) -> None:
    order = history.order(merged=True)
    before, _ = watermarks(order, len(history.files))
    end = history.oracle(merged=True)
    oracle = Oracle(history.rules)
    for read, watermark in zip(order, before, strict=True):
        oracle.feed(read.record, watermark)
        through = watermark // MINUTE_US
        assert closed(oracle, through) == closed(end, through)


def closed(oracle: Oracle, through: int) -> tuple[dict[Any, Any], ...]:
    """Trials, values, and answers with their scores, of the minutes before `through`."""
    trials = {
        (group, minute): counts
        for group, minutes in oracle.trials().items()
        for minute, counts in minutes.items()
        if minute < through
    }
    answers = {
        (name, *key): count
        for name, counted in oracle.responses().items()
        for key, count in counted.items()
        if key[1] < through
    }
    return trials, answers, {key: count for key, count in oracle.values().items() if key[1] < through}


@pytest.mark.slow
@FEW
@given(either)
def test_the_newest_record_of_a_call_says_what_its_row_says(history: History) -> None:
    oracle = history.oracle(merged=True)
    rows = [row for row in oracle.calls_rows() if not row["attempt"]]
    ids = Counter(row["call_id"] for row in rows)
    for row in rows:
        record = oracle.newest_verdicts().get(row["call_id"])
        if ids[row["call_id"]] == 1 and (record is not None or row["verdict"] != "pending"):
            assert record is not None
            names = {"verdict": "verdict", "score": "score", "source": "verdict_source", "decided_at": "verdict_at"}
            assert {name: record[name] for name in names} == {name: row[names[name]] for name in names}


@pytest.mark.slow
@FEW
@given(either)
def test_each_id_has_one_edition_per_distinct_record_and_only_the_newest_may_stand(history: History) -> None:
    oracle = history.oracle(merged=True)
    for held in oracle._calls:
        by_id: dict[str, list[Outcome]] = defaultdict(list)
        for outcome in held.arrived():
            by_id[outcome.outcome_id].append(outcome)
        for editions in by_id.values():
            assert [one.edition for one in editions] == list(range(1, len(editions) + 1))
            assert len({one.deciding() for one in editions}) == len(editions)
            assert len(editions) == 1 or editions[0].source in held.rules.revises
            assert len({(one.source, one.author) for one in editions}) == 1
            newest = max(editions, key=lambda one: (one.at, one.edition))
            stands = [one for one in editions if one in standing(held.arrived(), held.rules)]
            assert stands in ([], [newest])


@pytest.mark.slow
@FEW
@given(either)
def test_a_call_that_ends_decided_was_a_trial_and_so_was_each_attempt(history: History) -> None:
    oracle = history.oracle(merged=True)
    trials = sum(sum(counts) for minutes in oracle.trials(late=True).values() for counts in minutes.values())
    assert trials >= oracle.counters()["successes"] + oracle.counters()["failures"]
    failures: Counter[Any] = Counter()
    for held in oracle._calls:
        failures.update(held.group_of(attempt) for attempt, _, _ in held.tried)
    for group, count in failures.items():
        assert sum(bad for _, bad in oracle.trials(late=True)[group].values()) >= count


@pytest.mark.slow
@FEW
@given(either)
def test_detectors_take_each_value_of_each_row_once(history: History) -> None:
    oracle = history.oracle(merged=True)
    rows: Counter[Any] = Counter()
    for row in oracle.calls_rows():
        group = (row["task_type"], row["model"], row["config"])
        for metric in ("latency_ms", "cost_usd", "tokens"):
            if row[metric] is not None:
                rows[group, row["occurred_at"], row["call_id"], row["attempt"], metric, row[metric]] += 1
    assert Counter((group, *rest) for group, _, *rest in oracle.values(late=True).elements()) == rows


@pytest.mark.slow
@FEW
@given(either)
def test_silence_decides_only_where_nothing_stands_and_nothing_is_required(history: History) -> None:
    for held in history.oracle(merged=True)._calls:
        if held.verdict().source == "silence":
            assert standing(held.arrived(), held.rules) == []
            assert held.rules.required(held.call.task_type) == ()


# What is drawn reaches the rules.

CORNERS: dict[str, Callable[[Oracle], bool]] = {
    "two editions": lambda o: any(r["edition"] == 2 for r in o.statements_rows()),
    "an edition that counts": lambda o: any(r["edition"] > 1 and r["stands"] for r in o.statements_rows()),
    "an older edition that came later": lambda o: any(
        a["edition"] > b["edition"] for a, b in pairwise(o.statements_rows()) if a["outcome_id"] == b["outcome_id"]
    ),
    "cleared": lambda o: any(r["edition"] > 1 and r["action"] == "retract" for r in o.statements_rows()),
    "unseen clearing": lambda o: ("no_verdict", "outcome_id") in refused(o),
    "clearing without the setting": lambda o: ("no_verdict", "same_id") in refused(o),
    "edit by another person": lambda o: ("conflict", "author") in refused(o),
    "abstention": lambda o: any(r["stands"] and r["success"] is None for r in o.statements_rows()),
    "only abstentions": lambda o: any(
        h.verdict().verdict == "expired" and standing(h.arrived(), h.rules) for h in o._calls
    ),
    "two people": lambda o: any(len({(s.source, s.author) for s in h.arrived()}) > 1 for h in o._calls),
    "complete": lambda o: any(
        h.rules.required(h.call.task_type) and h.verdict().verdict == "success" for h in o._calls
    ),
    "incomplete": lambda o: any(
        h.rules.required(h.call.task_type) and h.verdict().verdict == "expired" for h in o._calls
    ),
    "completed": lambda o: o.counters()["completed"] > 0,
    "late error": lambda o: any(h.error_minute not in {None, h.minute} for h in o._calls),
    "error and session": lambda o: ("conflict", "session_id") in refused(o),
    "too far apart": lambda o: ("conflict", "occurred_at") in refused(o),
    "attempts": lambda o: o.counters()["attempts"] > 0,
    "attempts that came later": lambda o: any(t.minute != h.minute for h in o._calls for t in h.tried),
    "combined": lambda o: any(h.rules.combine.get(h.verdict().source or "", "newest") != "newest" for h in o._calls),
    "divided": lambda o: any(
        0 < (r["score"] or 0) < 1 and r["verdict_source"] in o.rules.combine for r in o.calls_rows()
    ),
}


def refused(oracle: Oracle) -> set[tuple[str, str | None]]:
    """Reason and named field."""
    return {(dead.reason, field) for dead, field in zip(oracle.dead(), oracle.named(), strict=True)}


@pytest.mark.long
@pytest.mark.slow
def test_the_histories_reach_every_corner() -> None:
    def meets(history: History) -> list[str]:
        oracle = history.oracle(merged=True)
        return [name for name, there in CORNERS.items() if there(oracle)]

    found = met(either, CORNERS, meets, most=500)
    assert seldom(found, CORNERS) == set(), found
