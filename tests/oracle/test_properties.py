"""What must hold of the oracle on any history, so that a slip in it does not become the definition."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.histories import DAY, History, histories, interleavings, replayed
from oracle.ledger import decide, standing
from oracle.names import spelled
from oracle.order import Read, partitions_of, watermarks
from oracle.records import MINUTE_US, NEVER, Call, Rules, parse
from oracle.replay import Oracle
from oracle.tables import GRAIN_US

FEW = settings(max_examples=60, deadline=None)
either = st.booleans().flatmap(lambda in_order: histories(sorted_files=in_order))


def patient(rules: Rules) -> Rules:
    """Rules under which nothing is too old, an orphan or late by its arrival, and no call closes within a history."""
    return replace(rules, allowed_lateness_us=3650 * DAY, orphan_wait_us=3650 * DAY)


def by_call(history: History) -> list[list[Read]]:
    """One partition per call, in reading order, as where producers key both topics by its id."""
    partitions: dict[str, list[Read]] = {}
    for read in history.order():
        partitions.setdefault(spelled(read.record, history.rules).call_id, []).append(read)
    return [
        [Read(index, line, read.record) for line, read in enumerate(reads)]
        for index, reads in enumerate(partitions.values())
    ]


def final(oracle: Oracle) -> dict[str, Any]:
    """The final state of reference section 2, in an order of its own."""
    return {
        "calls": sorted(map(repr, oracle.calls_rows())),
        "statements": sorted(map(repr, oracle.statements_rows())),
        "rates": [oracle.rates_rows(grain) for grain in GRAIN_US],
        "verdicts": dict(sorted(oracle.newest_verdicts().items())),
        "dead": sorted(map(repr, oracle.dead())),
        "counters": oracle.counters(),
    }


@pytest.mark.slow
@FEW
@given(either)
def test_it_adds_up_after_every_record(history: History) -> None:
    oracle = Oracle(history.rules)
    order = history.order(merged=True)
    before, last = watermarks(order, len(history.files))
    for count, (read, watermark) in enumerate(zip(order, before, strict=True), start=1):
        oracle.feed(read.record, watermark)
        assert oracle.counters()["records"] == count
        check_sums(oracle)
    oracle.finish(last)
    check_sums(oracle)


def check_sums(oracle: Oracle) -> None:
    """The sums of reference section 4, and the rates against the calls."""
    n = oracle.counters()
    became = ("calls", "completed", "outcomes", "duplicates", "waiting", "dead_letters")
    assert n["records"] == sum(n[name] for name in became)
    assert n["calls"] == n["pending"] + n["successes"] + n["failures"] + n["expired"]
    assert n["outcomes"] == len(oracle.statements_rows()) == sum(row["statements"] for row in oracle.calls_rows())
    for grain in GRAIN_US:
        for name in ("calls", "pending", "successes", "failures", "expired"):
            assert sum(row[name] for row in oracle.rates_rows(grain)) == n[name]


@pytest.mark.slow
@FEW
@given(histories())
def test_merging_sorted_files_is_the_same_as_sorting_their_records(history: History) -> None:
    assert history.order(merged=True) == history.order()


@pytest.mark.slow
@FEW
@given(either)
def test_the_watermark_never_falls_and_is_never_ahead_of_all_that_was_read(history: History) -> None:
    order = history.order(merged=True)
    before, last = watermarks(order, len(history.files))
    assert all(one <= two for one, two in pairwise([*before, last]))
    for index, watermark in enumerate(before):
        assert watermark <= max((read.record.at for read in order[:index]), default=NEVER)
    assert last == max(read.record.at for read in order)


@pytest.mark.slow
@FEW
@given(st.data())
def test_the_final_state_depends_on_the_order_within_calls_only(data: st.DataObject) -> None:
    history = data.draw(histories())
    partitions = by_call(history)
    rules = patient(history.rules)
    one, two = (replayed(rules, data.draw(interleavings(partitions)), len(partitions)) for _ in range(2))
    far_ahead = NEVER + 2 * 2**63 - 1
    for _ in range(2):
        assert final(one) == final(two)
        one.finish(far_ahead)
        two.finish(far_ahead)
    assert one.counters()["pending"] == 0


@pytest.mark.slow
@FEW
@given(st.data())
def test_order_across_partitions_does_not_matter_unless_something_was_refused_for_when_it_came(
    data: st.DataObject,
) -> None:
    # Under the drawn rules calls close amid the history; by its arrival late, or an orphan, is what is neither when
    # everything waits for everything.
    history = data.draw(histories())
    partitions = by_call(history)
    calm = replayed(patient(history.rules), [read for reads in partitions for read in reads], len(partitions))
    expected = sorted(map(repr, calm.dead()))
    one, two = (replayed(history.rules, data.draw(interleavings(partitions)), len(partitions)) for _ in range(2))
    if all(sorted(map(repr, oracle.dead())) == expected for oracle in (one, two)):
        assert final(one) == final(two)


@pytest.mark.slow
@FEW
@given(st.data())
def test_a_verdict_does_not_depend_on_the_order_in_which_statements_arrived(data: st.DataObject) -> None:
    oracle = replayed(*plain(data.draw(histories())))
    for held in oracle._calls:
        statements = held.statements()
        shuffled = data.draw(st.permutations(statements))
        assert decide(held.call, shuffled, held.rules) == decide(held.call, statements, held.rules)
        assert standing(shuffled) == standing(statements)


def plain(history: History) -> tuple[Rules, list[Read], int]:
    """The arguments of `replayed` for a history under patient rules."""
    return patient(history.rules), history.order(), len(history.files)


@pytest.mark.slow
@FEW
@given(histories())
def test_records_read_twice_change_nothing_but_the_count_of_duplicates(history: History) -> None:
    rules, order, partitions = plain(history)
    once = replayed(rules, order, partitions)
    twice = replayed(rules, [read for read in order for _ in range(2)], partitions)
    assert once.calls_rows() == twice.calls_rows()
    assert once.statements_rows() == twice.statements_rows()
    assert once.trials() == twice.trials()
    assert twice.counters()["records"] == 2 * once.counters()["records"]
    assert twice.counters()["outcomes"] == once.counters()["outcomes"]


@pytest.mark.slow
@FEW
@given(either)
def test_what_happened_in_a_closed_minute_never_changes(history: History) -> None:
    order = history.order(merged=True)
    before, _ = watermarks(order, len(history.files))
    end = history.oracle(merged=True).trials()
    oracle = Oracle(history.rules)
    for read, watermark in zip(order, before, strict=True):
        oracle.feed(read.record, watermark)
        through = watermark // MINUTE_US
        assert closed(oracle, through) == {
            (group, minute): counts
            for group, minutes in end.items()
            for minute, counts in minutes.items()
            if minute < through
        }


def closed(oracle: Oracle, through: int) -> dict[tuple[tuple[str, str, str], int], tuple[int, int]]:
    """Trials per group and minute before `through`."""
    return {
        (group, minute): counts
        for group, minutes in oracle.trials().items()
        for minute, counts in minutes.items()
        if minute < through
    }


@pytest.mark.slow
@FEW
@given(either)
def test_a_call_that_ends_decided_was_a_trial(history: History) -> None:
    oracle = history.oracle(merged=True)
    trials = sum(sum(counts) for minutes in oracle.trials(late=True).values() for counts in minutes.values())
    assert trials >= oracle.counters()["successes"] + oracle.counters()["failures"]


@pytest.mark.slow
@FEW
@given(either)
def test_histories_hold_valid_lines_with_few_calls(history: History) -> None:
    reads = [read for partition in partitions_of(history.files) for read in partition]
    assert 1 <= len(reads) <= 80
    assert all(b"\n" not in line for file in history.files for line in file.lines)
    assert any(isinstance(read.record, Call) for read in reads)
    assert all(parse(file.kind, line) for file in history.files for line in file.lines)
