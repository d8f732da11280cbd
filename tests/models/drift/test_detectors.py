from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, Began, OpenAlarm, RateChange, by_time
from models.drift.detectors import Drift, DriftSettings
from models.drift.success_rate.alarm import rate_alarm
from models.drift.success_rate.detector import SuccessRateDetector
from models.messages import Closed, Group, Restart, TrialDelays, TrialDeltas, Values
from simulated.trials import relation

Trial = tuple[Group, int, int, int]
"""(group, minute, successes, failures)."""

A: Group = ("refund", "model-a", "v1")
A2: Group = ("refund", "model-a", "v2")
B: Group = ("refund", "model-b", "v1")
START = 29_000_000  # a full hour, in minutes since 1970
NO_WAIT = DriftSettings(warmup_us=0, margin=0.0)
WEEK = 10_080


def closed(trials: Iterable[Trial], through: int) -> Closed:
    """The message that `groups` sends for these trials."""
    rows = sorted(trials, key=lambda row: (row[1], row[0]))
    names = sorted({row[0] for row in rows})
    code, minute, successes, failures = (
        np.array(column, np.int32)
        for column in (
            [names.index(row[0]) for row in rows],
            [row[1] for row in rows],
            [row[2] for row in rows],
            [row[3] for row in rows],
        )
    )
    nothing = np.zeros(len(rows), np.int32)
    counts = np.stack((failures, successes), axis=1).ravel()
    # Every trial in the minute of its call.
    some = counts > 0
    kinds = np.tile(np.array([0, 1], np.int8), len(rows))[some]
    same = np.zeros(int(some.sum()), np.int16)
    delays = TrialDelays(np.repeat(code, 2)[some], np.repeat(minute, 2)[some], kinds, same, counts[some])
    deltas = TrialDeltas(code, minute, successes, failures, nothing, nothing, successes + failures)
    return Closed(through, names, deltas, no_values(), delays=delays)


def no_values() -> Values:
    none = np.zeros(0, np.int32)
    return Values(
        none, none, none.astype(np.int64), np.zeros(0, np.uint64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
    )


def steady(group: Group, rate: float, minutes: range, per_minute: int = 10, seed: int = 0) -> list[Trial]:
    """`per_minute` trials in each of `minutes` after START, at success `rate`."""
    s = np.random.default_rng(seed).binomial(per_minute, rate, len(minutes))
    return [(group, START + m, int(x), per_minute - int(x)) for m, x in zip(minutes, s, strict=True)]


def run(drift: SuccessRateDetector, trials: Sequence[Trial], through: int) -> list[Alarm]:
    """Its alarms by time. `tests/suites/test_detectors.py` has the others, which cost most of the CPU."""
    alarms = drift.close(closed(trials, START + through))
    return sorted(alarms, key=by_time)


def of_leaf(alarms: Iterable[Alarm]) -> list[Alarm]:
    return [alarm for alarm in alarms if alarm.series[1][2] is not None]


def minute_of(us: int) -> float:
    """Minutes after START."""
    return us / MINUTE_US - START


def test_a_drop_raises_one_alarm_that_states_when_and_how_much() -> None:
    trials = steady(A, 0.9, range(6000)) + steady(A, 0.75, range(6000, 6600), seed=1)
    (alarm,) = of_leaf(run(SuccessRateDetector(NO_WAIT), trials, 6600))
    assert (alarm.series, alarm.direction) == (("drift", A, "success_rate"), "down")
    assert (alarm.again, alarm.ends, alarm.details) == (False, None, RateChange(inherited=False))
    assert 6000 < minute_of(alarm.at) < 6060
    assert abs(minute_of(alarm.changed_at) - 6000) <= 5
    assert alarm.baseline == pytest.approx(0.9, abs=0.01)
    assert alarm.effect_low is not None
    assert alarm.effect_high is not None
    assert alarm.effect_low < alarm.current - alarm.baseline < alarm.effect_high < 0
    assert alarm.promise == 1.0
    assert alarm.evidence["threshold"] == 4444.44
    assert alarm.evidence["mean_r"] >= 4444


@pytest.mark.parametrize(("rate", "direction"), [(0.8, "down"), (0.97, "up")])
def test_routing_learns_of_a_change_before_a_person_does_and_no_alarm_differs(rate: float, direction: str) -> None:
    trials = steady(A, 0.9, range(6000)) + steady(A, rate, range(6000, 6600), seed=1)
    loud, quiet = SuccessRateDetector(NO_WAIT), SuccessRateDetector(replace(NO_WAIT, restarts_per_arm_per_week=0))
    alarms = run(loud, trials, 6600)
    assert run(quiet, trials, 6600) == alarms
    assert quiet.restarts() == []
    (restart,) = loud.restarts()
    assert (restart.group, restart.direction) == (A, direction)
    assert abs(minute_of(restart.changed_at) - 6000) <= 10
    assert 6000 < minute_of(restart.at) < minute_of(of_leaf(alarms)[0].at)
    assert loud.restarts() == []


def test_a_change_is_restarted_for_once_until_its_evidence_is_gone() -> None:
    """A state from before, which does not know what has passed, goes on as if nothing had."""
    trials = steady(A, 0.9, range(6000)) + steady(A, 0.85, range(6000, 6180), seed=1)
    drift = SuccessRateDetector(NO_WAIT)
    assert run(drift, trials, 6180) == []
    (first,) = drift.restarts()
    more = steady(A, 0.9, range(6180, 6181))
    old = {name: value for name, value in copy.deepcopy(drift.state()).items() if name != "above"}
    before = SuccessRateDetector(NO_WAIT, old)
    run(drift, more, 6181)
    run(before, more, 6181)
    assert drift.restarts() == []
    assert [one.direction for one in before.restarts()] == [first.direction]


def test_roll_ups_are_no_arms_and_unpromised_task_types_have_no_restarts() -> None:
    trials = steady(A, 0.9, range(3000)) + steady(A, 0.5, range(3000, 3100))
    silent = SuccessRateDetector(replace(NO_WAIT, unpromised_tasks=frozenset({"refund"})))
    assert run(silent, trials, 3100) != []
    assert silent.restarts() == []
    detector = SuccessRateDetector(NO_WAIT)
    run(detector, trials, 3100)
    assert [restart.group for restart in detector.restarts()] == [A]


def test_every_alarm_is_raised_on_the_roll_ups_too() -> None:
    trials = steady(A, 0.9, range(3000)) + steady(A, 0.5, range(3000, 3100))
    alarms = run(SuccessRateDetector(NO_WAIT), trials, 3100)
    assert [alarm.series[1][1:] for alarm in alarms] == [(None, None), ("model-a", None), ("model-a", "v1")]
    assert len({alarm.at for alarm in alarms}) == 1


def test_a_roll_up_sums_the_trials_of_its_groups() -> None:
    """Each config alone has too few trials to show what both show together."""
    trials = [row for g, seed in ((A, 1), (A2, 2)) for row in steady(g, 0.95, range(0, 4000, 10), 1, seed)]
    trials += [row for g, seed in ((A, 3), (A2, 4)) for row in steady(g, 0.35, range(4000, 4130, 10), 1, seed)]
    alarms = run(SuccessRateDetector(NO_WAIT), trials, 4130)
    assert {alarm.series[1][1:] for alarm in alarms} == {("model-a", None), (None, None)}
    assert alarms[0].evidence["trials_before"] + alarms[0].evidence["trials_since"] > 800


@pytest.mark.slow
def test_a_rise_is_found_as_a_drop_is() -> None:
    trials = steady(B, 0.8, range(6000)) + steady(B, 0.95, range(6000, 6300), seed=2)
    (risen,) = of_leaf(run(SuccessRateDetector(NO_WAIT), trials, 6300))
    assert (risen.direction, relation(risen)) == ("up", "first")
    assert risen.effect_low is not None
    assert risen.effect_low > 0


def test_a_further_drop_is_an_alarm_against_the_first_baseline() -> None:
    trials = steady(A, 0.9, range(4000)) + steady(A, 0.8, range(4000, 6000), seed=1)
    trials += steady(A, 0.6, range(6000, 6600), seed=2)
    first, again = of_leaf(run(SuccessRateDetector(NO_WAIT), trials, 6600))
    assert [relation(first), relation(again)] == ["first", "again"]
    assert minute_of(again.at) > minute_of(again.changed_at) >= 5990
    assert again.baseline == first.baseline
    assert again.current == pytest.approx(0.6, abs=0.06)


def test_a_recovery_names_the_alarm_it_ends() -> None:
    trials = steady(A, 0.9, range(4000)) + steady(A, 0.7, range(4000, 6000), seed=1)
    trials += steady(A, 0.9, range(6000, 8000), seed=2)
    fall, back = of_leaf(run(SuccessRateDetector(NO_WAIT), trials, 8000))
    assert (relation(fall), fall.direction) == ("first", "down")
    assert (relation(back), back.direction) == ("recovery", "up")
    assert back.ends == OpenAlarm("down", fall.at, fall.baseline, fall.current, promised=True)
    assert 6000 < minute_of(back.at) < 6100
    assert back.baseline == fall.baseline
    assert back.current == pytest.approx(0.9, abs=0.08)


def test_after_recovery_the_next_drop_is_a_first_alarm() -> None:
    trials: list[Trial] = []
    for turn, rate in enumerate([0.9, 0.7, 0.9, 0.7]):
        trials += steady(A, rate, range(4000 * turn, 4000 * (turn + 1)), seed=turn)
    alarms = of_leaf(run(SuccessRateDetector(NO_WAIT), trials, 16_000))
    assert [relation(alarm) for alarm in alarms] == ["first", "recovery", "first"]


@pytest.mark.parametrize("messages", [1, 2])
def test_after_seven_days_the_new_level_is_normal_and_the_next_drop_a_first_alarm(messages: int) -> None:
    before = steady(A, 0.9, range(3000)) + steady(A, 0.7, range(3000, 4000), seed=1)
    after = steady(A, 0.4, range(3200 + WEEK, 3400 + WEEK), seed=2)
    parts = [(before + after, 3400 + WEEK)] if messages == 1 else [(before, 3100 + WEEK), (after, 3400 + WEEK)]
    drift = SuccessRateDetector(NO_WAIT)
    alarms = of_leaf(alarm for trials, through in parts for alarm in run(drift, trials, through))
    assert [relation(alarm) for alarm in alarms] == ["first", "first"]


def test_an_alarm_that_is_over_by_time_is_none() -> None:
    trials = steady(A, 0.9, range(3000)) + steady(A, 0.7, range(3000, 3200), seed=1)
    drift = SuccessRateDetector(NO_WAIT)
    assert run(drift, trials, 3200) != []
    assert run(drift, [], 3200 + 2 * WEEK) == []


def test_during_the_warm_up_nothing_is_tested_or_learned() -> None:
    """Failures are reported first: the early mix would look like a rise once successes arrive."""
    early = steady(A, 0.2, range(500))
    later = steady(A, 0.9, range(500, 5000), seed=1)
    warm = DriftSettings(warmup_us=500 * 60_000_000)
    assert run(SuccessRateDetector(warm), early + later, 5000) == []
    assert run(SuccessRateDetector(NO_WAIT), early + later, 5000) != []


@pytest.mark.slow
def test_a_new_config_is_held_against_its_model_from_its_first_trial() -> None:
    warm = DriftSettings(warmup_us=1440 * 60_000_000)
    trials = steady(A, 0.9, range(14_000)) + steady(A2, 0.5, range(12_000, 14_000), seed=1)
    alarms = run(SuccessRateDetector(warm), trials, 14_000)
    first = next(alarm for alarm in alarms if alarm.series[1][2] == "v2")
    assert (first.direction, relation(first)) == ("down", "first")
    assert 12_000 < minute_of(first.at) < 12_120
    assert first.baseline == pytest.approx(0.9, abs=0.02)
    assert first.details == RateChange(inherited=False, began=Began("config 'v2'", "config 'v1'"))
    searched = next(alarm for alarm in alarms if alarm.series[1][2] == "v2" and "mean_r" in alarm.evidence)
    assert searched.details == RateChange(inherited=True)
    healthy = steady(A, 0.9, range(14_000)) + steady(A2, 0.9, range(12_000, 14_000), seed=1)
    assert run(SuccessRateDetector(warm), healthy, 14_000) == []


def test_a_task_may_have_a_warm_up_of_its_own() -> None:
    own = DriftSettings(warmup_by_task={"refund": 0})
    trials = steady(A, 0.9, range(1000)) + steady(A, 0.3, range(1000, 1100), seed=1)
    assert run(SuccessRateDetector(own), trials, 1100) != []
    assert run(SuccessRateDetector(DriftSettings()), trials, 1100) == []


def test_the_margin_holds_for_busy_groups_only() -> None:
    def margin(per_minute: int, every: int, after: int) -> object:
        trials = steady(A, 0.9, range(0, 10_000, every), per_minute)
        trials += steady(A, 0.3, range(10_000, after, every), per_minute, seed=1)
        return of_leaf(run(SuccessRateDetector(DriftSettings(warmup_us=0, margin=0.02)), trials, after))[0].evidence[
            "margin"
        ]

    assert margin(1, 1, 10_400) == 0.02
    assert margin(1, 10, 12_000) == 0.0


def test_everything_within_one_hour_still_raises_an_alarm() -> None:
    trials = steady(A, 0.95, range(20)) + steady(A, 0.05, range(20, 50), seed=1)
    alarms = of_leaf(run(SuccessRateDetector(NO_WAIT), trials, 50))
    assert relation(alarms[0]) == "first"
    assert alarms[0].direction == "down"


def test_minutes_without_trials_change_nothing() -> None:
    message = closed([(A, START, 0, 0)], START + 1)
    drift = Drift(NO_WAIT)
    assert drift.close(message) == []
    nothing = TrialDeltas(*(column[:0] for column in message.trials))
    assert drift.close(Closed(-(2**63), [], nothing, no_values())) == []


GROUPS = (A, A2, B)


@st.composite
def histories(draw: st.DrawFn) -> list[Trial]:
    """Trials of three groups whose rates jump about, in some of up to 700 minutes (stretched over weeks)."""
    stretch = draw(st.sampled_from([1, 7, 61]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    trials: list[Trial] = []
    for group in GROUPS:
        per_minute = draw(st.sampled_from([1, 5, 40]))
        edges = [0, *sorted(draw(st.lists(st.integers(50, 650), max_size=3, unique=True))), 700]
        for begin, end in pairwise(edges):
            rate = draw(st.sampled_from([0.05, 0.5, 0.7, 0.95]))
            for minute in range(begin, end):
                n = int(rng.poisson(per_minute)) if rng.random() < 0.6 else 0
                f = int(rng.binomial(n, 1 - rate))
                if n:
                    trials.append((group, START + minute * stretch, n - f, f))
    return trials


@pytest.mark.long
@pytest.mark.slow
@given(histories(), st.lists(st.integers(0, 45_000), max_size=12), st.booleans(), st.sampled_from([0, 500, 16_384]))
@settings(max_examples=20, deadline=None)
def test_what_comes_out_does_not_depend_on_how_minutes_are_cut_into_messages(
    trials: list[Trial],
    cuts: list[int],
    restore: bool,  # noqa: FBT001
    slack: int,
) -> None:
    rules = DriftSettings(warmup_us=3_000_000_000, margin_above_per_day=2000, new_normal_after_us=150 * 61_000_001)
    in_one, drift = SuccessRateDetector(rules), SuccessRateDetector(rules)
    whole = run(in_one, trials, 45_000)
    parts, restarts = list[Alarm](), list[Restart]()
    with patch("models.drift.trial_history._SLACK", slack):
        for begin, end in pairwise(sorted({0, 45_000, *cuts, *(cut % 700 for cut in cuts)})):
            parts += run(drift, [row for row in trials if begin <= row[1] - START < end], end)
            restarts += drift.restarts()
            if restore:
                drift = SuccessRateDetector(rules, drift.state())
    assert parts == whole
    assert restarts == in_one.restarts()


@pytest.mark.slow
def test_one_message_a_minute_gives_what_one_message_for_all_gives() -> None:
    trials = steady(A, 0.9, range(1500), 20) + steady(B, 0.8, range(1500), 3, seed=5)
    trials += steady(A, 0.7, range(1500, 2500), 20, seed=1) + steady(B, 0.3, range(1500, 1700), 3, seed=2)
    whole = run(SuccessRateDetector(NO_WAIT), trials, 2500)
    drift, parts = SuccessRateDetector(NO_WAIT), []
    by_minute: dict[int, list[Trial]] = {}
    for row in trials:
        by_minute.setdefault(row[1], []).append(row)
    for minute in range(2500):
        parts += run(drift, by_minute.get(START + minute, []), minute + 1)
    assert len(whole) >= 4
    assert parts == whole


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("false_alarms_per_1000_groups_per_week", 0.0, r"false_alarms_per_1000_groups_per_week must be > 0; got 0.0"),
        ("warmup_us", -1, "warmup must be >= 0 s; got -1"),
        ("min_trials", 0, "min_trials must be >= 1; got 0"),
        ("restarts_per_arm_per_week", -0.1, "restarts_per_arm_per_week must be >= 0; got -0.1"),
        ("margin", 1.0, r"margin must be in \[0, 1\); got 1.0"),
        ("new_normal_after_us", 0, "new_normal_after must be > 0 s; got 0"),
    ],
)
def test_settings_that_would_break_the_promise_are_refused(setting: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DriftSettings(**{setting: value})  # type: ignore[arg-type]


def test_a_stricter_promise_raises_the_threshold() -> None:
    assert DriftSettings().threshold == pytest.approx(40_000 / 9)
    assert DriftSettings(false_alarms_per_1000_groups_per_week=10).threshold == pytest.approx(4000 / 9)


def test_where_silence_decides_no_promise_is_made() -> None:
    """Failures at once and successes a horizon later: a burst of calls looks like a fall."""
    settings = DriftSettings(unpromised_tasks=frozenset({"quiet"}))
    promises = {
        task: rate_alarm(
            settings, ("drift", (task, None, None), "success_rate"), "down", 0, (10.0, 100.0), (30.0, 60.0), 0
        ).promise
        for task in ("quiet", "loud")
    }
    assert promises == {"quiet": None, "loud": 1.0}
