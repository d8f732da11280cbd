"""Each declared segment of a task type has a list of arms of its own, drawn towards that of all calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import Recommendation, to_json
from aftercall.times import HOUR_US
from models.messages import Closed, Group, SegmentTrials
from models.routing.recommendation import MOST_LISTED
from models.routing.routing import Routing, RoutingSettings
from models.routing.wanted import TaskRouting
from simulated.arms import START, A, B, C, Row, alert, closed, when

LONG_AND_SHORT = TaskRouting(segments=("long", "short"))
HOW = RoutingSettings(every_us=HOUR_US, valid_for_us=HOUR_US, tasks={"triage": LONG_AND_SHORT})
"""Issued every hour, be it new or not."""


class Part(NamedTuple):
    """Outcomes of an arm within a segment, in one minute; segment None: of calls without one."""

    minute: int
    group: Group
    segment: str | None
    successes: int
    failures: int


def message(parts: list[Part], through: int) -> Closed:
    sums: dict[tuple[int, Group], list[int]] = {}
    for part in parts:
        both = sums.setdefault((part.minute, part.group), [0, 0])
        both[0] += part.successes
        both[1] += part.failures
    rows = [Row(minute, group, s, f, s + f) for (minute, group), (s, f) in sums.items()]
    made = closed(rows, through)
    names = sorted({part.segment for part in parts if part.segment is not None})
    table = sorted(
        (part.minute, made.names.index(part.group), names.index(part.segment), part.successes, part.failures)
        for part in parts
        if part.segment is not None
    )
    minute, code, segment, successes, failures = np.array(table, np.int32).reshape(-1, 5).T
    trials = SegmentTrials(code, minute, segment, successes, failures)
    return made._replace(segments=tuple(names), stratified=trials)


def lists(found: Recommendation) -> dict[str | None, dict[str, Any]]:
    return {one.segment: {arm.model: arm for arm in one.arms} for one in found.segments}


def traffic(rng: np.random.Generator, rates: dict[str, dict[Group, float]], each: int, hours: int = 6) -> list[Part]:
    """`each` outcomes of every arm and segment, over some hours."""
    parts = []
    for minute in range(0, hours * 60, 10):
        for segment, of_arms in rates.items():
            for group, rate in of_arms.items():
                n = each // (hours * 6)
                wins = int(rng.binomial(n, rate))
                parts.append(Part(START + minute, group, segment, wins, n - wins))
    return parts


def test_an_arm_that_is_better_on_long_inputs_is_recommended_for_those() -> None:
    rates = {"long": {A: 0.65, B: 0.85, C: 0.60}, "short": {A: 0.95, B: 0.80, C: 0.75}}
    found = Routing(HOW).close(message(traffic(np.random.default_rng(1), rates, 360), START + 360), [])[-1]
    by = lists(found)
    assert list(by) == [None, "long", "short"]
    assert by["long"]["b"].weight > 0.9
    assert by["short"]["a"].weight > 0.9
    assert by["long"]["b"].rate == pytest.approx(0.85, abs=0.05)
    # Older ones weigh less: at 360 outcomes an hour the memory of three arms is some 22 h.
    assert by["long"]["b"].n == pytest.approx(360 * 0.89, abs=10)
    assert by[None]["b"].n == pytest.approx(720 * 0.89, abs=20)
    leader = max(by[None].values(), key=lambda arm: arm.weight).model
    other, name = ("long", "b") if leader == "a" else ("short", "a")
    assert f"best where the segment is {other}: {name} (" in found.reason


def test_a_segment_without_calls_of_its_own_has_the_weights_of_all() -> None:
    rates = {"long": {A: 0.9, B: 0.8, C: 0.7}}
    found = Routing(HOW).close(message(traffic(np.random.default_rng(2), rates, 720), START + 360), [])[-1]
    by = lists(found)
    assert {model: arm.weight for model, arm in by["short"].items()} == {
        model: arm.weight for model, arm in by[None].items()
    }
    assert {arm.n for arm in by["short"].values()} == {0}


def test_without_declared_segments_there_is_the_list_of_all_calls_alone() -> None:
    rates = {"long": {A: 0.65, B: 0.85}, "short": {A: 0.95, B: 0.80}}
    parts = traffic(np.random.default_rng(1), rates, 360)
    plain = Routing(replace(HOW, tasks={})).close(message(parts, START + 360), [])
    assert [list(lists(one)) for one in plain] == [[None]] * len(plain)
    declared = Routing(HOW).close(message(parts, START + 360), [])
    assert [one.segments[0] for one in plain] == [one.segments[0] for one in declared]


def test_what_is_not_declared_counts_for_all_calls_alone() -> None:
    rates = {"long": {A: 0.9, B: 0.8}, "__other__": {A: 0.2, B: 0.8}}
    found = Routing(HOW).close(message(traffic(np.random.default_rng(3), rates, 720), START + 360), [])[-1]
    by = lists(found)
    assert list(by) == [None, "long", "short"]
    assert by[None]["b"].weight > 0.9
    assert by["long"]["a"].rate > by["long"]["b"].rate


@pytest.mark.statistics
def test_segments_that_do_not_differ_have_the_weights_of_all_calls() -> None:
    """In most worlds the same to the last digit; on average by less than arms that are alike move from day to day."""
    rng, equal, moved = np.random.default_rng(4), 0, []
    for _ in range(60):
        truth = {A: 0.85, B: 0.82, C: 0.75}
        parts = traffic(rng, {"long": truth, "short": truth}, 360)
        by = lists(Routing(HOW).close(message(parts, START + 360), [])[-1])
        for segment in ("long", "short"):
            moved.append(sum(abs(arm.weight - by[None][model].weight) for model, arm in by[segment].items()) / 2)
            equal += moved[-1] < 1e-6
    assert equal / 120 > 0.7
    assert np.mean(moved) < 0.06


@pytest.mark.statistics
def test_a_rare_segment_borrows_from_the_others_and_is_not_starved() -> None:
    """With 20 outcomes an arm on long inputs, of arms that are there what they are elsewhere, a list of its own rates
    would lose far more than the drawn one.
    """
    rng, lost, alone = np.random.default_rng(5), [], []
    truth = {A: 0.85, B: 0.80, C: 0.65}
    for _ in range(60):
        short = traffic(rng, {"short": truth}, 720)
        long = [
            Part(START + 5, group, "long", wins := int(rng.binomial(20, p)), 20 - wins) for group, p in truth.items()
        ]
        by = lists(Routing(HOW).close(message([*short, *long], START + 360), [])[-1])
        own = lists(Routing(RoutingSettings(min_evidence=1)).close(message(long, START + 60), [])[-1])[None]
        rates = {group[1]: p for group, p in truth.items()}
        lost.append(sum(arm.weight * (0.85 - rates[model]) for model, arm in by["long"].items()))
        alone.append(sum(arm.weight * (0.85 - rates[model]) for model, arm in own.items()))
    assert np.mean(lost) < 0.6 * np.mean(alone)


def test_a_restart_forgets_what_an_arm_did_in_segments_before() -> None:
    before = {"long": {A: 0.90, B: 0.80}, "short": {A: 0.90, B: 0.80}}
    since = {"long": {A: 0.10, B: 0.80}, "short": {A: 0.90, B: 0.80}}
    rng = np.random.default_rng(6)
    parts = traffic(rng, before, 7200, 20)
    parts += [part._replace(minute=part.minute + 20 * 60) for part in traffic(rng, since, 720, 4)]
    drop = alert(START + 60 * 24 - 1, changed_at=when(START + 60 * 20))
    found = Routing(HOW).close(message(parts, START + 60 * 24), [drop])[-1]
    by = lists(found)
    assert by["long"]["a"].rate < 0.3
    assert by["short"]["a"].rate > 0.7
    assert by["long"]["b"].weight > 0.95
    assert by["short"]["a"].weight > by["long"]["a"].weight


def test_the_record_stays_below_what_brokers_take() -> None:
    names = tuple(f"s{at:02d}" for at in range(64))
    rows = [
        Part(START, ("triage", f"a-model-of-{at:03d}", "a-config-with-a-name"), None, 50 + at % 40, 10)
        for at in range(200)
    ]
    how = RoutingSettings(floor=0.001, tasks={"triage": TaskRouting(segments=names)})
    found = Routing(how).close(message(rows, START + 60), [])[-1]
    assert sum(len(one.arms) for one in found.segments) <= MOST_LISTED
    assert len(to_json(found)) < 1_000_000
    assert [one.segment for one in found.segments] == [None, *names]
    assert len(found.segments[0].arms) == 200
    for one in found.segments:
        assert sum(arm.weight for arm in one.arms) == pytest.approx(1.0, abs=1e-9)
    heaviest = max(found.segments[0].arms, key=lambda arm: arm.weight).model
    assert heaviest in {arm.model for arm in found.segments[1].arms}


minutes = st.integers(START, START + 60 * 30) | st.integers(START + 60, START + 150)
histories = st.lists(
    st.builds(
        Part,
        minutes,
        st.sampled_from([A, B, C, ("refund", "a", "default")]),
        st.sampled_from([None, "long", "short", "__other__"]),
        st.integers(0, 60),
        st.integers(0, 30),
    ),
    max_size=40,
    unique_by=lambda part: part[:3],
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(histories, st.sets(minutes, max_size=12), st.booleans(), st.lists(minutes, max_size=2))
def test_lists_of_segments_do_not_depend_on_how_minutes_are_cut(
    parts: list[Part],
    cuts: set[int],
    resume: bool,  # noqa: FBT001 - drawn by Hypothesis
    drops: list[int],
) -> None:
    end = START + 60 * 32
    alerts = [
        alert(minute, changed_at=when(minute - 90), alert_id=f"{at:032x}") for at, minute in enumerate(sorted(drops))
    ]
    whole = Routing(HOW).close(message(parts, end), alerts)
    routing, pieces, previous = Routing(HOW), list[Recommendation](), 0
    for through in sorted({*cuts, end}):
        part = [one for one in parts if previous <= one.minute < through]
        emitted = [one for one in alerts if when(previous) < one.updated_at <= when(through)]
        pieces += routing.close(message(part, through), emitted)
        if resume:
            routing = Routing.from_state(routing.state(), HOW)
        previous = through
    assert [to_json(one) for one in pieces] == [to_json(one) for one in whole]
