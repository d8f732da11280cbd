"""New configs, new models and marks are looked at from their first trial on, and nothing else is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from aftercall.times import MINUTE_US
from aftercall.vocabulary import OTHER
from models.alarms.alarm import Alarm, Began, RateChange, by_time
from models.drift.settings import DriftSettings
from models.drift.success_rate.detector import SuccessRateDetector
from models.messages import Deployed, Group
from simulated.trials import DAY, NO_WAIT, START, Trials

V1, V2 = ("refund", "atlas", "v1"), ("refund", "atlas", "v2")
OTHER_MODEL: Group = ("refund", "borealis", "v1")
BEGAN = 6 * DAY + 700
END = 9 * DAY


class Arm(NamedTuple):
    """Trials a day of a group, from minute `begin` to before `end`, and their success rate."""

    group: Group
    rate: float
    per_day: float
    begin: int = 0
    end: int = END


def stream(*arms: Arm, seed: int = 0) -> Trials:
    """One trial at a time."""
    rng = np.random.default_rng(seed)
    names = sorted({arm.group for arm in arms})
    parts = []
    for arm in arms:
        minute = np.arange(arm.begin, arm.end, DAY / arm.per_day).astype(int)
        success = rng.random(len(minute)) < arm.rate
        parts.append((minute, np.full(len(minute), names.index(arm.group)), success, ~success))
    minutes, codes, good, bad = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Trials(minutes, codes, good, bad, names)


def alarms(trials: Trials, *marks: Deployed, settings: DriftSettings = NO_WAIT, known: bool = True) -> list[Alarm]:
    """By time, those of tests at known moments or the others."""
    closed = trials.between(0, END)._replace(marks=marks)
    found = sorted(SuccessRateDetector(settings).close(closed), key=by_time)
    return [alarm for alarm in found if ("p_value" in alarm.evidence) is known]


def began(alarm: Alarm) -> Began:
    assert isinstance(alarm.details, RateChange)
    assert alarm.details.began is not None
    return alarm.details.began


def mark(minute: int, late: int = 0) -> Deployed:
    """A deployment, known so many minutes after it."""
    return Deployed(START + minute + late, (START + minute) * MINUTE_US, "d-1", "refund", "prompt v8")


def test_a_new_config_that_fails_far_more_often_is_found_within_thirty_trials() -> None:
    trials = stream(Arm(V1, 0.9, 300, end=BEGAN), Arm(V2, 0.3, 300, BEGAN))
    first = alarms(trials)[0]
    assert first.series == ("drift", V2, "success_rate")
    assert first.direction == "down"
    assert first.promise == 1.0
    assert began(first) == Began("config 'v2'", "config 'v1'")
    assert first.changed_at == (START + BEGAN) * MINUTE_US
    assert first.evidence["trials_since"] <= 30
    searched = alarms(trials, known=False)[0]
    assert searched.at - searched.changed_at > first.at - first.changed_at


def test_a_new_config_beside_the_old_one_is_held_against_what_that_does_now() -> None:
    """Both fail more often from one day on; that is no matter of the new one."""
    both = [Arm(V1, 0.9, 300, end=BEGAN), Arm(V1, 0.6, 300, BEGAN), Arm(V2, 0.6, 300, BEGAN)]
    assert alarms(stream(*both)) == []
    (found,) = alarms(stream(Arm(V1, 0.9, 300), Arm(V2, 0.6, 60, BEGAN)))[:1]
    assert found.series[1] == V2


def test_a_new_model_is_held_against_the_arm_that_was_used_most() -> None:
    rare = Arm(("refund", "atlas", "v0"), 0.2, 30)
    first = alarms(stream(rare, Arm(V1, 0.9, 300, end=BEGAN), Arm(OTHER_MODEL, 0.4, 300, BEGAN)))[0]
    assert first.series[1] == OTHER_MODEL
    assert began(first) == Began("model 'borealis'", "model 'atlas', config 'v1'")
    assert first.baseline == pytest.approx(0.9, abs=0.03)


def test_an_arm_that_is_only_rare_is_not_new() -> None:
    """A trial a day, the first of which comes late: it might have been there all the time."""
    trials = stream(Arm(V1, 0.9, 300), Arm(V2, 0.0, 4, 80))
    assert alarms(trials) == []


def test_an_arm_that_was_there_before_its_task_type_had_warmed_up_is_not_new() -> None:
    trials = stream(Arm(V1, 0.9, 3000), Arm(V2, 0.3, 600, 50))
    assert alarms(trials, settings=DriftSettings(warmup_us=60 * MINUTE_US)) == []
    assert alarms(trials) != []


def test_what_is_as_good_as_before_raises_nothing() -> None:
    for seed in range(5):
        same = stream(Arm(V1, 0.9, 300, end=BEGAN), Arm(V2, 0.9, 300, BEGAN), seed=seed)
        assert alarms(same, mark(BEGAN)) == []


def test_after_a_mark_a_task_type_is_held_against_itself_before_it() -> None:
    trials = stream(Arm(V1, 0.9, 300, end=BEGAN), Arm(V1, 0.5, 300, BEGAN))
    first = alarms(trials, mark(BEGAN))[0]
    assert first.series[1] == ("refund", None, None)
    assert began(first) == Began("mark 'prompt v8'", "what was before it")
    assert first.changed_at == (START + BEGAN) * MINUTE_US
    assert first.evidence["trials_since"] <= 41
    assert first.at < alarms(trials, known=False)[0].at
    assert alarms(trials) == []


def test_a_mark_that_is_an_hour_late_or_of_a_scorer_is_not_tested() -> None:
    trials = stream(Arm(V1, 0.9, 300, end=BEGAN), Arm(V1, 0.5, 300, BEGAN))
    assert alarms(trials, mark(BEGAN, late=60)) == []
    assert alarms(trials, mark(BEGAN)._replace(source="judge")) == []


def test_where_silence_decides_and_of_what_has_folded_nothing_is_tested() -> None:
    replaced = Arm(V1, 0.9, 300, end=BEGAN), Arm(V2, 0.3, 300, BEGAN)
    silent = DriftSettings(warmup_us=0, unpromised_tasks=frozenset({"refund"}))
    assert alarms(stream(*replaced), mark(BEGAN), settings=silent) == []
    assert alarms(stream(replaced[0], Arm(("refund", OTHER, OTHER), 0.3, 300, BEGAN))) == []


def test_an_arm_that_alarmed_in_one_task_type_is_looked_at_more_closely_in_others_and_without_a_promise() -> None:
    def tasks(first: float) -> Trials:
        arms = [Arm(V1, 0.9, 100, end=BEGAN), Arm(V2, first, 100, BEGAN)]
        later = BEGAN + DAY
        arms += [Arm(("triage", *V1[1:]), 0.8, 100, end=later), Arm(("triage", *V2[1:]), 0.5, 100, later)]
        return stream(*arms, seed=3)

    after = [alarm for alarm in alarms(tasks(0.3)) if alarm.series[1][0] == "triage"]
    alone = [alarm for alarm in alarms(tasks(0.9)) if alarm.series[1][0] == "triage"]
    assert began(after[0]).others == ("refund",)
    assert after[0].promise is None
    assert all(began(alarm).others == () for alarm in alone)
    assert not alone or alone[0].at > after[0].at
    assert [alarm.promise for alarm in after[1:]] == [1.0], "it is still tested by itself"
