"""An arm of which no outcome ever comes is noticed; one that is quiet with its siblings is not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm
from models.drift.settings import DriftSettings
from models.drift.volume.arms import MuteArms
from models.messages import NO_VALUES, AnyGroup, Closed, Group, Responses, TrialDeltas
from models.stats.minute_delays import bucket_of

START = 20_139 * 1440
A, B, C = (("support", "large", config) for config in ("v1", "v2", "v3"))


def alarms(
    days: int, shares: dict[Group, list[tuple[int, float]]], *, per_hour: int = 20, batch: int = 0, every: int = 1
) -> list[Alarm]:
    """Arms by the share of their calls that is answered from some hour on; `batch`: hours between two times of answer.

    `every`: hours that close together, before each of which the detector is stored and restored.
    """
    rng, names = np.random.default_rng(6), sorted(shares)
    waiting: dict[Group, list[int]] = {name: [] for name in names}
    detector, found = MuteArms(DriftSettings()), list[Alarm]()
    rows: list[tuple[int, ...]] = []
    said: list[tuple[int, ...]] = []
    for hour in range(days * 24):
        minute = START + hour * 60
        for code, name in enumerate(names):
            rows.append((code, minute, per_hour))
            share = [share for since, share in shares[name] if since <= hour][-1:] or [0.0]
            waiting[name] += [minute] * int(rng.binomial(per_hour, share[0]))
            if not batch or hour % batch == 0:
                said += [(code, minute + 30, called) for called in waiting[name]]
                waiting[name] = []
        if (hour + 1) % every == 0:
            arm, at, count = np.array(rows, np.int32).T
            trials = TrialDeltas(arm, at, *(0 * arm,) * 4, count)
            arm, at, called = np.array(said or np.zeros((0, 3)), np.int32).reshape(-1, 3).T
            one, none = np.ones(len(arm), np.int32), np.zeros(len(arm), np.int32)
            responses = Responses(arm, at, none, one.astype(np.int8), bucket_of(at - called), one, one)
            closed = Closed(minute + 60, names, trials, NO_VALUES, ("user",), responses=responses)
            found += detector.close(closed)
            detector = MuteArms(DriftSettings(), pickle.loads(pickle.dumps(detector.state())))
            rows, said = [], []
    return found


def days_of(found: list[Alarm]) -> list[tuple[AnyGroup, str, float]]:
    return [(alarm.series[1], alarm.direction, (alarm.at // MINUTE_US - START) / 1440) for alarm in found]


def test_an_arm_of_which_no_outcome_ever_comes_is_noticed_within_a_day() -> None:
    ((arm, direction, day),) = days_of(alarms(10, {A: [(0, 0.3)], B: [(0, 0.3)], C: []}))
    assert (arm, direction) == (C, "down")
    assert day < 1.5


def test_an_arm_that_goes_silent_is_noticed_and_so_is_its_return() -> None:
    found = days_of(alarms(20, {A: [(0, 0.3)], B: [(0, 0.3), (240, 0.0), (360, 0.3)]}))
    assert [(arm, direction) for arm, direction, _ in found] == [(B, "down"), (B, "up")]
    assert 10 < found[0][2] < 12
    assert 15 < found[1][2] < 15.2


@pytest.mark.parametrize("batch", [0, 24, 168])
def test_arms_that_are_answered_less_than_others_or_in_batches_raise_no_alarm(batch: int) -> None:
    assert alarms(30, {A: [(0, 0.5)], B: [(0, 0.05)], C: [(0, 0.3)]}, batch=batch) == []


def test_a_task_type_that_nobody_answers_has_no_mute_arms() -> None:
    assert alarms(10, {A: [], B: []}) == []


def test_how_hours_close_together_changes_nothing() -> None:
    shares = {A: [(0, 0.3)], B: [(0, 0.3), (100, 0.0)], C: []}
    assert alarms(10, shares) == alarms(10, shares, every=5) == alarms(10, shares, every=80)


@pytest.mark.slow
def test_an_arm_of_which_a_third_is_answered_as_before_is_noticed_with_a_promise() -> None:
    """Six answers an hour come of each arm, and two of one from day 20 on."""
    shares = {A: [(0, 0.3)], B: [(0, 0.3), (20 * 24, 0.1)], C: [(0, 0.2)]}
    (fell,) = alarms(28, shares, every=24)
    assert (fell.series, fell.direction, fell.promise) == (("volume", B, "responses"), "down", 1.0)
    assert 20 < (fell.at // MINUTE_US - START) / 1440 < 26
    assert fell.evidence["expected"] > 1.5 * fell.evidence["seen"] > 0
    assert abs(fell.changed_at // MINUTE_US - START - 20 * 1440) < 1440


@pytest.mark.slow
def test_its_return_is_noticed_as_well() -> None:
    shares = {A: [(0, 0.3)], B: [(0, 0.3), (20 * 24, 0.1), (25 * 24, 0.3)]}
    found = days_of(alarms(30, shares, every=24))
    assert [(arm, direction) for arm, direction, _ in found] == [(B, "down"), (B, "up")]
    assert 25 < found[1][2] < 28


@pytest.mark.slow
@pytest.mark.parametrize("then", [(0.1, 0.1), (0.9, 0.3), (0.0, 0.0)])
def test_arms_that_all_are_answered_less_or_siblings_that_are_answered_more_raise_none(
    then: tuple[float, float],
) -> None:
    shares = {A: [(0, 0.3), (480, then[0])], B: [(0, 0.3), (480, then[1])], C: [(0, 0.3), (480, then[0])]}
    assert alarms(32, shares, every=24) == []


@pytest.mark.slow
def test_an_arm_that_falls_and_then_silent_is_one_alarm_and_so_is_one_that_was_mute_and_is_answered_again() -> None:
    falls = {A: [(0, 0.3)], B: [(0, 0.3), (480, 0.08), (600, 0.0)]}
    mute = {A: [(0, 0.3)], B: [(0, 0.3), (480, 0.0), (600, 0.3)]}
    assert [arm for arm, _, _ in days_of(alarms(27, falls, every=24))] == [B]
    assert [direction for _, direction, _ in days_of(alarms(34, mute, every=24))] == ["down", "up"]
