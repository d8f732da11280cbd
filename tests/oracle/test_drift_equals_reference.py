"""The detector of success rates raises the alarms of the slow reference, however its minutes come together."""

from __future__ import annotations

import math
import pickle
import random
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aftercall.times import DAY_US, HOUR_US, MINUTE_US
from models.alarms.alarm import Alarm
from models.alarms.digits import significant
from models.drift.settings import DriftSettings
from models.drift.success_rate.detector import SuccessRateDetector
from models.drift.success_rate.suspicions import Suspicions
from models.messages import (
    NO_VALUES,
    AnyGroup,
    Closed,
    Deployed,
    Group,
    Restart,
    SliceTrials,
    TrialDelays,
    TrialDeltas,
    UnitTrials,
)
from models.stats.agreement import Agreement
from models.stats.minute_delays import bucket_of
from oracle.drift import Facts, Found, ReferenceDrift
from oracle.known import UNIT, KnownFound
from oracle.suspicions import suspected

DAY = 1440
START = 20_000 * DAY + 600
DAYS = 10
EAGER = DriftSettings(
    # A low threshold, and a margin for some: more happens in ten days than in a year of the defaults.
    false_alarms_per_1000_groups_per_week=100.0,
    warmup_us=24 * HOUR_US,
    warmup_by_task={"at once": 0, "soon": 90 * 60_000_000},
    margin=0.01,
    margin_above_per_day=100.0,
    new_normal_after_us=2 * DAY_US,
)

Minutes = Mapping[int, Mapping[Group, Facts]]


class Traffic(NamedTuple):
    """What happened, by minute and group; withdrawals are no trials, but rows all the same."""

    facts: Minutes
    withdrawn: frozenset[tuple[int, Group]]
    marks: tuple[Deployed, ...]


def traffic(seed: int) -> Traffic:
    """Ten days of three task types: day cycles, delays by verdict, revisions; rates move, a config comes later.

    Of one task type some calls are of conversations, which agree more or less; some talk for days.
    """
    draw = random.Random(seed)
    facts: dict[int, dict[Group, Facts]] = {}
    withdrawn: set[tuple[int, Group]] = set()

    def of(minute: int, group: Group) -> Facts:
        return facts.setdefault(minute, {}).setdefault(group, Facts())

    def say(minute: int, group: Group, success: bool, delay: int, unit: int | None) -> None:  # noqa: FBT001
        of(minute, group).trials.append((success, delay))
        if unit is not None:
            of(minute, group).of_units.append((unit, success))

    talks, agree = draw.choice((("at once",), ("by tomorrow", "soon"))), draw.uniform(0.3, 1.0)
    verdicts: dict[tuple[Group, int], bool] = {}
    for task in ("by tomorrow", "at once", "soon"):
        fast, slow = draw.uniform(2, 60), draw.uniform(60, 500)
        for model, config in (("m-1", "v1"), ("m-1", "v2"), ("m-2", "v1")):
            group = (task, model, config)
            begins = draw.uniform(3, 7) if config == "v2" else draw.uniform(0, 0.3)
            rate, moves = draw.uniform(0.6, 0.95), draw.uniform(4, 9)
            moved = min(max(rate + draw.choice((-0.35, -0.15, 0.0, 0.3)), 0.02), 0.98)
            per_day = draw.choice((40, 120, 250))
            for _ in range(int(per_day * (DAYS - begins))):
                day = draw.uniform(begins, DAYS)
                day = math.floor(day) + (day % 1) ** draw.choice((1.0, 2.0)) if int(day) > begins else day
                minute = START + int(day * DAY)
                of(minute, group).calls += 1
                if draw.random() < 0.2:
                    continue  # never answered
                success = draw.random() < (rate if day < moves else moved)
                talking = task in talks and draw.random() < 0.5
                unit = draw.randrange(per_day) + 1000 * draw.choice((0, int(day))) if talking else None
                if unit is not None and draw.random() < agree:
                    success = verdicts.setdefault((group, unit), success)
                delay = int(draw.lognormvariate(math.log(slow if success else fast), 1.5))
                say(minute + delay, group, success, delay, unit)
                if draw.random() < 0.05:
                    delay += draw.randrange(1, 2000)
                    say(minute + delay, group, not success, delay, unit)
                if draw.random() < 0.02:
                    withdrawn.add((minute + delay + 7, group))
    in_bursts(random.Random(seed), say, facts)
    end = START + DAYS * DAY
    kept = {minute: facts[minute] for minute in sorted(facts) if minute < end}
    return Traffic(kept, frozenset(one for one in withdrawn if one[0] < end), marks(draw))


def in_bursts(draw: random.Random, say: Any, facts: Mapping[int, Mapping[Group, Facts]]) -> None:
    """A reviewer's batches, which agree, and a judge's, which do not; both speak one by one as well. Some in units."""
    for model in ("m-1", "m-2"):
        group, agree = ("at once", model, "batches"), draw.uniform(0.6, 1.0)
        for source in ("judge", "review"):
            for _ in range(draw.choice((40, 120))):
                minute, rate = START + draw.randrange(DAYS * DAY), draw.uniform(0.5, 0.9)
                opinion = draw.random() < rate
                unit = draw.choice((None,) * 9 + (7,))
                for _ in range(draw.choice((1, 2, 3, 8, 25, 60))):
                    shares = source == "review" and draw.random() < agree
                    success = opinion if shares else draw.random() < rate
                    say(minute, group, success, 0, unit)
                    facts[minute][group].said.append((source, success))


def marks(draw: random.Random) -> tuple[Deployed, ...]:
    """A dozen deployments, some of all task types, and a scorer, which is none."""
    minutes = sorted(START + draw.randrange(DAYS * DAY) for _ in range(12))
    tasks = [draw.choice(("by tomorrow", "at once", "soon", "*")) for _ in minutes]
    made = [Deployed(at, at * MINUTE_US, f"d-{at}", task, None) for at, task in zip(minutes, tasks, strict=True)]
    return (*made[:6], made[6]._replace(source="judge"), *made[7:])


def message(history: Traffic, begin: int, end: int) -> Closed:
    """What `groups` sends when minutes < `end` have closed, after those < `begin`."""
    both: dict[tuple[int, Group], Facts] = {
        (minute, group): facts
        for minute in range(begin, end)
        for group, facts in history.facts.get(minute, {}).items()
    }  # fmt: skip
    for one in history.withdrawn:
        if begin <= one[0] < end:
            both.setdefault(one, Facts())
    names = sorted({group for _, group in both})
    rows, lags, of_units, of_sources = [], [], list[tuple[int, int, int, int, int]](), list[tuple[int, ...]]()
    for (minute, group), facts in sorted(both.items()):
        code = names.index(group)
        successes = sum(success for success, _ in facts.trials)
        failures = len(facts.trials) - successes
        gone = (minute, group) in history.withdrawn
        rows.append((code, minute, successes, failures, successes - gone, failures, facts.calls))
        lags += [(code, minute, int(success), delay) for success, delay in facts.trials]
        heard = sorted(Counter(facts.said).items())
        of_sources += [(minute, code, int(source == "review"), int(success), n) for (source, success), n in heard]
        counted = sorted(Counter(facts.of_units).items())
        of_units += [(code, minute, *said, count) for said, count in counted]
    columns = np.array(rows, np.int32).reshape(-1, 7).T
    codes, minutes, success, delay = np.array(lags, np.int32).reshape(-1, 4).T
    order = np.lexsort((delay, success, codes, minutes))
    delays = TrialDelays(
        codes[order],
        minutes[order],
        success[order].astype(np.int8),
        bucket_of(delay[order]),
        np.ones(len(order), np.int32),
    )
    whose, at, unit, said, count = np.array(of_units, np.int64).reshape(-1, 5).T
    units = UnitTrials(
        whose.astype(np.int32),
        at.astype(np.int32),
        unit.astype(np.uint64),
        said.astype(np.int8),
        count.astype(np.int32),
    )
    closed = Closed(end, names, TrialDeltas(*columns), NO_VALUES, ("judge", "review"), delays, units=units)
    deployed = tuple(one for one in history.marks if begin <= one.minute < end)
    return closed._replace(marks=deployed, slices=slices_of(of_sources))


def slices_of(rows: list[tuple[int, ...]]) -> SliceTrials:
    """Of (minute, group, source, success, count), in this order."""
    minutes, codes, source, success, count = np.array(sorted(rows), np.int32).reshape(-1, 5).T
    return SliceTrials(codes, minutes, source, success.astype(np.int8), count)


@lru_cache
def reference(seed: int) -> tuple[list[Found], ReferenceDrift]:
    """What the reference finds, and how it stands in the end."""
    detector = ReferenceDrift(EAGER)
    history = traffic(seed)
    for one in history.marks:
        if one.source is None:
            detector.known.mark(one.minute, one.task_type, one.mark_id)
    found = [alarm for minute, facts in history.facts.items() for alarm in detector.minute(minute, facts)]
    return found, detector


Listed = tuple[int, list[tuple[object, ...]]]


def listed(suspicions: Suspicions) -> Listed:
    """What is compared."""
    rows: list[tuple[object, ...]] = [
        (one.group, one.direction, one.current, one.trials, one.changed_at // MINUTE_US) for one in suspicions.listed
    ]
    return suspicions.as_of // MINUTE_US, rows


@lru_cache
def expected_suspicions(seed: int, end: int) -> Listed:
    """The same of the reference."""
    found, slow = reference(seed)
    slowly = suspected(slow, found, end, EAGER.threshold, EAGER.new_normal_after_us // MINUTE_US)
    sides = {True: "down", False: "up"}
    rows: list[tuple[object, ...]] = [
        (group, sides[worse], significant(1 - failures / trials), round(trials), changed)
        for _, group, worse, changed, (failures, trials) in slowly
    ]
    return end, rows


def learned_rhos(detector: SuccessRateDetector) -> dict[str, float]:
    """Agreement within units by task type, 1 where it is not known."""
    state = detector.state()
    learned = Agreement(state["units"]["agreement"]).rho.tolist()
    tasks = [(row, task) for row, (task, model, _) in enumerate(state["watches"]["groups"]) if model is None]
    return {task: learned[row] if row < len(learned) else 1.0 for row, task in tasks}


def known_moments_agree(alarms: list[Alarm], found: list[KnownFound]) -> None:
    """The alarms of tests at known moments."""
    got = [
        (
            alarm.at // MINUTE_US - 1,
            alarm.series[1],
            alarm.direction == "down",
            alarm.changed_at // MINUTE_US,
            *(alarm.evidence[name] for name in ("failures_before", "trials_before", "failures_since", "trials_since")),
            alarm.evidence["following"],
            alarm.promise is None,
        )
        for alarm in alarms
    ]
    expected = [
        (a.minute, a.group, a.worse, a.changed, *map(significant, (*a.before, *a.since)), a.others, a.others > 0)
        for a in found
    ]
    assert sorted(got, key=str) == sorted(expected, key=str)
    for name, of in (("p_value", "p"), ("inflation", "inflation")):
        numbers = sorted(getattr(one, of) for one in found)
        assert sorted(alarm.evidence[name] for alarm in alarms) == pytest.approx(numbers, rel=1e-3)


SEEDS = (13, 15)
spans = st.one_of(st.integers(1, 3), st.just(60), st.integers(30, 400), st.just(DAY), st.integers(DAY, 4 * DAY))


def assert_the_traffic_has_what_makes_it_hard() -> None:
    found = [alarm for seed in SEEDS for alarm in reference(seed)[0]]
    assert {alarm.worse for alarm in found} == {True, False}
    assert {sum(part is None for part in alarm.group) for alarm in found} == {0, 1, 2}
    assert {alarm.margin > 0 for alarm in found} == {True, False}
    assert any(alarm.inherited for alarm in found)
    of = [(seed, alarm.group) for seed in SEEDS for alarm in reference(seed)[0]]
    assert len(set(of)) < len(of), "none is found twice on one watch"
    rhos = [rho for seed in SEEDS for rho in reference(seed)[1].rhos.values()]
    assert {0.1 < rho < 0.9 for rho in rhos} == {True, False}, (
        "agreement within units is learned nowhere, or everywhere"
    )
    kinds = [kind for seed in SEEDS for kind in reference(seed)[1].bursts.kinds.values()]
    assert {kind.agree for kind in kinds} == {True, False}
    assert {kind.possible > 0.5 for kind in kinds} == {True, False}
    assert max(effect for seed in SEEDS for effect in reference(seed)[1].design_effects().values()) > 1.01
    restarts = [restart for seed in SEEDS for restart in reference(seed)[1].restarts]
    assert {worse for _, _, worse, _ in restarts} == {True, False}
    assert len(restarts) > len({(seed, one[1]) for seed in SEEDS for one in reference(seed)[1].restarts}), (
        "no arm restarts twice"
    )


@pytest.mark.first
@pytest.mark.slow
@settings(max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking would take minutes
@given(st.sampled_from(SEEDS), st.lists(st.tuples(spans, st.integers(1, 30), st.booleans()), min_size=1, max_size=12))
def test_the_detector_raises_the_alarms_of_the_reference(seed: int, cuts: list[tuple[int, int, bool]]) -> None:
    """`cuts`: spans of minutes that close together, how often in a row, and whether a resume follows."""
    assert_the_traffic_has_what_makes_it_hard()  # here, as another process would reckon the reference once more
    history, (found, slow) = traffic(seed), reference(seed)
    detector, alarms, suspicions = SuccessRateDetector(EAGER), list[Alarm](), Suspicions(0, ())
    effects: dict[AnyGroup, float] = {}
    restarts = list[Restart]()
    begin, last, turn = START, START + DAYS * DAY, 0
    while begin < last:
        span, times, resumed = cuts[turn] if turn < len(cuts) else (DAY, 1, False)
        turn += 1
        for _ in range(times):
            end = min(begin + span, last)
            alarms += detector.close(message(history, begin, end))
            suspicions = detector.suspicions() or suspicions
            restarts += detector.restarts()
            effects |= dict(detector.design_effects())
            begin = end
        if resumed:
            detector = SuccessRateDetector(EAGER, pickle.loads(pickle.dumps(detector.state())))
    got = sorted(
        (
            alarm.at // MINUTE_US - 1,
            str(alarm.series[1]),
            alarm.direction == "down",
            alarm.changed_at // MINUTE_US,
            alarm.evidence["failures_since"],
            alarm.evidence["trials_since"],
            alarm.evidence["margin"],
            alarm.evidence["mean_r"],
        )
        for alarm in alarms
        if "mean_r" in alarm.evidence
    )
    expected = sorted(
        (
            a.minute,
            str(a.group),
            a.worse,
            a.changed,
            significant(a.since[0]),
            significant(a.since[1]),
            a.margin,
            a.mean_r,
        )
        for a in found
    )
    assert [row[:-1] for row in got] == [row[:-1] for row in expected]
    # Evidence has six digits; the state has them all.
    assert [row[-1] for row in got] == pytest.approx([row[-1] for row in expected], rel=1e-5)
    assert restarts == sorted(restarts, key=lambda one: (one.at, one.group))
    assert [
        (one.at // MINUTE_US - 1, one.group, one.direction == "down", one.changed_at // MINUTE_US) for one in restarts
    ] == sorted(slow.restarts, key=lambda one: one[:2])
    known_moments_agree([alarm for alarm in alarms if "p_value" in alarm.evidence], slow.known.found)
    assert detector.state()["known"]["balance"] == pytest.approx(slow.known.balance / UNIT, rel=1e-6)
    assert listed(suspicions) == expected_suspicions(seed, last)
    state = detector.state()
    assert {tuple(group) for group in state["watches"]["groups"]} == slow.watches.keys()
    watches = [slow.watches[group] for group in state["watches"]["groups"]]
    assert state["failures"].tolist() == [watch.failures for watch in watches]
    assert state["trials"].tolist() == [watch.trials for watch in watches]
    means = np.array([watch.means() for watch in watches])
    assert state["r"].mean(axis=2) == pytest.approx(means, rel=1e-6)
    assert learned_rhos(detector) == pytest.approx(slow.rhos, rel=1e-9)
    found_effects = {group: effects.get(group, 1.0) for group in slow.watches}
    assert found_effects == pytest.approx(slow.design_effects(), rel=1e-9)
    for name in ("rho_hour", "rho_day"):
        rhos = [getattr(watch.variation, name) for watch in watches]
        assert state["dispersion"][name] == pytest.approx(np.array(rhos), rel=1e-9)
