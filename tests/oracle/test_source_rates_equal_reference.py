"""Single sources are watched as the slow reference watches verdicts: each by itself, from its first word on."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, SourceRateChange
from models.alarms.digits import significant
from models.drift.settings import DriftSettings
from models.drift.success_rate.source_rates import SourceRates
from models.messages import NO_VALUES, Closed, Group, TrialDeltas
from models.side_messages import OpinionTrials
from models.stats.minute_delays import bucket_of
from oracle.drift import Facts, Found, ReferenceDrift
from oracle.test_drift_equals_reference import DAY, DAYS, EAGER, START, spans, traffic

SOURCES = ("judge", "never", "user")
WATCHING = DriftSettings(
    false_alarms_per_1000_groups_per_week=1000.0,
    warmup_us=EAGER.warmup_us,
    warmup_by_task=EAGER.warmup_by_task,
    unpromised_tasks=frozenset({"at once"}),
    new_normal_after_us=EAGER.new_normal_after_us,
    sources=SOURCES,
)
A_OF_SOURCE = 1000 * 2 / (1000.0 / 8) * len(SOURCES)
"""An eighth of the promise, evenly over the sources, for two directions of each."""


class Opinion(NamedTuple):
    """What a source says of a call at the end of a minute; `unit` 0: none."""

    minute: int
    group: Group
    source: str
    success: bool
    delay: int
    unit: int


class Said(NamedTuple):
    """Calls by minute and group, and opinions."""

    calls: dict[tuple[int, Group], int]
    opinions: list[Opinion]


@lru_cache
def said(seed: int) -> Said:
    """The traffic of verdicts, each of which is an opinion; one source comes later, and a third is not watched."""
    draw, found = random.Random(seed), list[Opinion]()
    history = traffic(seed)
    calls = {
        (minute, group): facts.calls
        for minute, groups in history.facts.items()
        for group, facts in groups.items()
        if facts.calls
    }
    for minute, groups in history.facts.items():
        for group, facts in groups.items():
            units = list(facts.of_units)
            for success, delay in facts.trials:
                source = draw.choice(("judge", "judge", "user", "user", "user", "other"))
                mine = next((one for one in units if one[1] == success), None)
                if mine is not None:
                    units.remove(mine)
                if source != "judge" or minute >= START + DAY:
                    found.append(Opinion(minute, group, source, success, delay, 0 if mine is None else mine[0] + 1))
    return Said(calls, found)


@lru_cache
def reference(seed: int, source: str) -> list[Found]:
    """What the reference finds, fed with the opinions of one source as if they were verdicts."""
    history, facts = said(seed), dict[int, dict[Group, Facts]]()
    mine = [one for one in history.opinions if one.source == source]
    began = {task: min(one.minute for one in mine if one.group[0] == task) for task in {one.group[0] for one in mine}}
    for (minute, group), count in history.calls.items():
        if minute >= began.get(group[0], START + DAYS * DAY):
            facts.setdefault(minute, {}).setdefault(group, Facts()).calls += count
    for one in mine:
        of = facts.setdefault(one.minute, {}).setdefault(one.group, Facts())
        of.trials.append((one.success, one.delay))
        of.of_units += [(one.unit, one.success)] if one.unit else []
        of.said.append((source, one.success))
    detector = ReferenceDrift(WATCHING, A_OF_SOURCE)
    return [alarm for minute in sorted(facts) for alarm in detector.minute(minute, facts[minute])]


def message(history: Said, begin: int, end: int) -> Closed:
    """What `groups` sends when minutes < `end` have closed, after those < `begin`."""
    calls = {key: count for key, count in history.calls.items() if begin <= key[0] < end}
    opinions = [one for one in history.opinions if begin <= one.minute < end]
    names = sorted({group for _, group in calls} | {one.group for one in opinions})
    sources = sorted({one.source for one in opinions})
    rows = sorted((minute, names.index(group), count) for (minute, group), count in calls.items())
    minute, code, called = np.array(rows, np.int32).reshape(-1, 3).T
    counted = Counter(
        (
            one.minute,
            names.index(one.group),
            sources.index(one.source),
            int(one.success),
            int(bucket_of(np.array([one.delay]))[0]),
            one.unit,
        )
        for one in opinions
    )
    ordered = sorted((*key, count) for key, count in counted.items())
    at, whose, source, success, bucket, unit, count = np.array(ordered, np.int64).reshape(-1, 7).T
    table = OpinionTrials(
        whose.astype(np.int32),
        at.astype(np.int32),
        source.astype(np.int32),
        success.astype(np.int8),
        bucket.astype(np.int16),
        unit.astype(np.uint64),
        count.astype(np.int32),
    )
    verdicts = TrialDeltas(code, minute, *(0 * called,) * 4, called)
    return Closed(end, names, verdicts, NO_VALUES, tuple(sources), opinion_trials=table)


SEEDS = (13, 15)


def test_the_traffic_has_what_makes_it_hard() -> None:
    found = {source: [one for seed in SEEDS for one in reference(seed, source)] for source in SOURCES}
    assert not found["never"]
    assert {one.worse for one in found["user"]} == {True, False}
    assert {sum(part is None for part in one.group) for one in found["user"]} == {0, 1, 2}
    assert any(one.group[0] == "at once" for one in found["user"]), "none where silence decides verdicts"
    assert found["judge"]


@pytest.mark.slow
@settings(max_examples=3, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking would take minutes
@given(st.sampled_from(SEEDS), st.lists(st.tuples(spans, st.integers(1, 30), st.booleans()), min_size=1, max_size=12))
def test_the_alarms_of_a_source_are_those_of_the_reference(seed: int, cuts: list[tuple[int, int, bool]]) -> None:
    """`cuts`: spans of minutes that close together, how often in a row, and whether a resume follows."""
    history, detector, alarms = said(seed), SourceRates(WATCHING), list[Alarm]()
    begin, last, turn = START, START + DAYS * DAY, 0
    while begin < last:
        span, times, resumed = cuts[turn] if turn < len(cuts) else (DAY, 1, False)
        turn += 1
        for _ in range(times):
            end = min(begin + span, last)
            alarms += detector.close(message(history, begin, end))
            begin = end
        if resumed:
            detector = SourceRates(WATCHING, pickle.loads(pickle.dumps(detector.state())))
    for source in SOURCES:
        mine = [one for one in alarms if one.details == SourceRateChange(source)]
        assert {(one.series[0], one.series[2]) for one in mine} <= {("drift", f"success_rate:{source}")}
        assert all(one.promise == 1000.0 for one in mine if one.ends is None), "silence is no opinion of a source"
        assert {one.evidence["threshold"] for one in mine} <= {significant(A_OF_SOURCE)}
        found = reference(seed, source)
        assert sorted(row_of(one) for one in mine) == sorted(expected_row(one) for one in found)
        means = sorted(one.mean_r for one in found)
        assert sorted(one.evidence["mean_r"] for one in mine) == pytest.approx(means, rel=1e-5)


Row = tuple[int, str, bool, int, float, float, float]


def row_of(alarm: Alarm) -> Row:
    """What is compared."""
    failures, trials, margin = (alarm.evidence[name] for name in ("failures_since", "trials_since", "margin"))
    at, changed = alarm.at // MINUTE_US - 1, alarm.changed_at // MINUTE_US
    return at, str(alarm.series[1]), alarm.direction == "down", changed, failures, trials, margin


def expected_row(found: Found) -> Row:
    """The same of the reference."""
    failures, trials = map(significant, found.since)
    return found.minute, str(found.group), found.worse, found.changed, failures, trials, found.margin
