"""What must hold of the oracle on histories of edited, cleared, signed, required, completed and tried records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oracle.held import Held
from oracle.histories import DAY, History, histories, interleavings, replayed
from oracle.kinds import ABSTAIN, HOW, KINDS
from oracle.ledger import combined, decide, opinion, place, says, standing
from oracle.order import Read, watermarks
from oracle.records import MINUTE_US, Call, Outcome, Rules
from oracle.replay import Oracle
from oracle.tables import GRAIN_US

FEW = settings(max_examples=60, deadline=None)
either = st.booleans().flatmap(lambda in_order: histories(sorted_files=in_order, kinds=KINDS))
SOURCES = sorted(ABSTAIN)
CALL = Call("c", 0)


def final(oracle: Oracle) -> dict[str, Any]:
    """All that leaves, in an order of its own."""
    return {
        "calls": sorted(map(repr, oracle.calls_rows())),
        "statements": sorted(map(repr, oracle.statements_rows())),
        "rates": [oracle.rates_rows(grain) for grain in GRAIN_US],
        "source rates": [oracle.source_rates_rows(grain) for grain in GRAIN_US],
        "verdicts": dict(sorted(oracle.newest_verdicts().items())),
        "dead": sorted(map(repr, zip(oracle.dead(), oracle.named(), strict=True))),
        "counters": oracle.counters(),
    }


def by_call_and_topic(history: History) -> list[list[Read]]:
    """One partition per call id and topic, in reading order: calls and outcomes come from two topics."""
    partitions: dict[tuple[str, bool], list[Read]] = defaultdict(list)
    for read in history.order():
        partitions[read.record.call_id, isinstance(read.record, Call)].append(read)
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


def closed(oracle: Oracle, through: int) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Trials, and answers with their scores, of the minutes before `through`."""
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
    return trials, answers


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
    trials = sum(sum(counts) for minutes in oracle.trials().values() for counts in minutes.values())
    assert trials >= oracle.counters()["successes"] + oracle.counters()["failures"]
    failures: Counter[Any] = Counter()
    for held in oracle._calls:
        failures.update(held.group_of(attempt) for attempt, _, _ in held.tried)
    for group, count in failures.items():
        assert sum(bad for _, bad in oracle.trials()[group].values()) >= count


@pytest.mark.slow
@FEW
@given(either)
def test_silence_decides_only_where_nothing_stands_and_nothing_is_required(history: History) -> None:
    for held in history.oracle(merged=True)._calls:
        if held.verdict().source == "silence":
            assert standing(held.arrived(), held.rules) == []
            assert held.rules.required(held.call.task_type) == ()


# One ledger, drawn densely: few ids, sources and people, and few instants.


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[Rules, list[Outcome], Call]:
    """Rules and a ledger that they admit, in the order of arrival."""
    sources = st.sampled_from(SOURCES[:3])
    rules = Rules(
        precedence=tuple(draw(st.lists(sources, unique=True, max_size=2))),
        pass_at={"judge": 0.5},
        fail_at={"toxicity": 0.3},
        revises=draw(st.frozensets(sources)),
        abstain={name: ABSTAIN[name] for name in sorted(draw(st.sets(sources)))},
        combine=draw(st.dictionaries(sources, st.sampled_from(HOW))),
        require=tuple(draw(st.lists(sources, unique=True, max_size=2))),
        completes=True,
    )
    call = Call("c", 0, error=draw(st.sampled_from([None, None, "timeout"])))
    held = Held(call, 0, replace(rules, horizon_us=1000))
    oracle = Oracle(held.rules)
    oracle._calls.append(held)
    for _ in range(draw(st.integers(0, 9))):
        outcome = Outcome(
            draw(st.sampled_from("abcde")),
            "c",
            draw(st.integers(0, 4)),
            draw(sources),
            author=draw(st.sampled_from([None, "ann", "bob"])),
        )
        said = draw(
            st.sampled_from(
                [{"success": True}, {"success": False}, {"score": 0.0}, {"score": 0.3}, {"score": 0.5}, {"score": 1.0}]
            )
        )
        retracts = [{"action": "retract"}, {"action": "retract", "retracts": draw(st.sampled_from("abc"))}, {}]
        fields: dict[str, Any] = draw(st.sampled_from([said, said, said, said, draw(st.sampled_from(retracts))]))
        oracle.feed(replace(outcome, **fields), 0)
    return rules, held.arrived(), call


@pytest.mark.slow
@given(ledgers(), st.randoms())
def test_a_verdict_is_a_function_of_the_set_of_statements(
    drawn: tuple[Rules, list[Outcome], Call], shuffle: Any
) -> None:
    rules, ledger, call = drawn
    shuffled = list(ledger)
    shuffle.shuffle(shuffled)
    assert decide(call, shuffled, rules) == decide(call, ledger, rules)
    assert standing(shuffled, rules) == standing(ledger, rules)


@pytest.mark.slow
@given(ledgers())
def test_an_older_edition_decides_nothing(drawn: tuple[Rules, list[Outcome], Call]) -> None:
    """But since when a combined source says what it says: that reads the ledger from its beginning."""
    rules, ledger, call = drawn
    newest = [
        one
        for one in ledger
        if all((o.at, o.edition) <= (one.at, one.edition) for o in ledger if o.outcome_id == one.outcome_id)
    ]
    # A retraction that was its id's first record withdraws what its voice said, whatever became of its id.
    kept = [one for one in ledger if one in newest or (one.action == "retract" and one.edition == 1)]
    with_all, without = decide(call, ledger, rules), decide(call, kept, rules)
    assert with_all._replace(decided_at=None) == without._replace(decided_at=None)
    assert standing(ledger, rules) == standing(kept, rules)


@pytest.mark.slow
@given(ledgers())
def test_votes_are_combined_as_counted_by_hand(drawn: tuple[Rules, list[Outcome], Call]) -> None:
    rules, ledger, _ = drawn
    for source in SOURCES:
        votes = [s for s in standing(ledger, rules) if s.source == source]
        assert len({s.author for s in votes}) == len(votes)
        good = [s for s in votes if says(s, rules) is True]
        bad = [s for s in votes if says(s, rules) is False]
        for how in HOW:
            found = opinion(source, ledger, replace(rules, combine={source: how}))
            expected = by_hand(how, source, good, bad, rules)
            assert (None if found is None else found.success) == expected
            if found is not None:
                agree = (good if found.success else bad) or [*good, *bad]
                assert found.statement == max(agree, key=place)
                assert how == "newest" or found.score == len(good) / (len(good) + len(bad))


def by_hand(how: str, source: str, good: list[Outcome], bad: list[Outcome], rules: Rules) -> bool | None:
    """What these votes come to."""
    if not good and not bad:
        return None
    if how == "newest":
        return max([*good, *bad], key=place) in good
    if how == "majority":
        return None if len(good) == len(bad) else len(good) > len(bad)
    if how in {"all", "any"}:
        return not bad if how == "all" else bool(good)
    ends = (1, 0) if source not in rules.fail_at else (0, 1)
    scores = [Fraction(s.score) if s.score is not None else Fraction(ends[s in bad]) for s in [*good, *bad]]
    whole, number = sum(scores), len(scores)
    low, high = rules.abstain.get(source, (1, 0))
    if number * Fraction(low) <= whole <= number * Fraction(high):
        return None
    if source in rules.fail_at:
        return whole < number * Fraction(rules.fail_at[source])
    return whole >= number * Fraction(rules.pass_at.get(source, 0.7))


@pytest.mark.slow
@given(ledgers())
def test_an_opinion_holds_from_its_moment_on_and_not_just_before(drawn: tuple[Rules, list[Outcome], Call]) -> None:
    rules, ledger, _ = drawn
    ledger = sorted(ledger, key=place)
    for source in SOURCES:
        found = opinion(source, ledger, rules)
        if found is None or rules.combine.get(source, "newest") == "newest":
            continue
        read = [(s.at, combined(source, ledger[: i + 1], rules)) for i, s in enumerate(ledger)]
        changes = [at for (_, before), (at, now) in pairwise([(0, None), *read]) if now is not before]
        assert found.decided_at == changes[-1]
        assert read[-1][1] is found.success


@pytest.mark.slow
@given(ledgers())
def test_required_sources_decide_as_they_are_meant_to(drawn: tuple[Rules, list[Outcome], Call]) -> None:
    rules, ledger, call = drawn
    verdict = decide(call, ledger, rules)
    required = {source: opinion(source, ledger, rules) for source in rules.require}
    rest = decide(
        replace(call, error=None), [s for s in ledger if s.source not in required], replace(rules, require=())
    )
    if any(one is not None and not one.success for one in required.values()):
        assert verdict.verdict == "failure"
        assert verdict.source in required
    elif rest.verdict == "failure":
        assert verdict == rest
    elif required and None in required.values():
        assert verdict.verdict == ("pending" if call.error is None else "failure")
    elif required:
        moments = [one.decided_at for one in required.values() if one is not None]
        assert verdict.verdict == "success"
        assert verdict.decided_at == max([*moments, *([] if rest.decided_at is None else [rest.decided_at])])
        assert verdict.source == rest.source if rest.source else verdict.source in required


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
    found: Counter[str] = Counter()

    @settings(max_examples=300, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(either)
    def look(history: History) -> None:
        oracle = history.oracle(merged=True)
        found.update(name for name, there in CORNERS.items() if there(oracle))

    look()
    assert {name for name in CORNERS if found[name] < 3} == set(), found
