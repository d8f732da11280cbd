"""Arms of which less is answered are found as by the slow reference, wherever the detector resumes."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.times import DAY_US
from models import plain
from models.alarms.alarm import Alarm, VolumeChange
from models.drift.settings import DriftSettings
from models.drift.volume.arms import MuteArms
from models.messages import NO_VALUES, Closed, Responses, TrialDeltas
from models.stats.minute_delays import BUCKETS, bucket_of
from oracle.answers import ReferenceArms

START = 2_916 * 168 + 96
NAMES = ["a", "b", "c"]
GROUPS = [("triage", "m", name) for name in NAMES]
WEEKS, FALL, BACK = 4, 17 * 24 + 5, 24 * 24
EAGER = DriftSettings(false_alarms_per_1000_groups_per_week=10.0, new_normal_after_us=90 * DAY_US)


@pytest.mark.slow
def test_arms_of_which_less_is_answered_are_found_as_by_the_reference_and_so_is_their_return() -> None:
    """Days and nights, several statements of some calls; one arm is answered less for a week, one a little more."""
    rng, hours = np.random.default_rng(5), WEEKS * 168
    hourly = np.array([12.0, 30.0, 8.0]) * (1 + 0.6 * np.sin(np.arange(hours) / 24 * 2 * np.pi))[:, None]
    calls = rng.poisson(hourly)
    calls[0] = 5
    share = np.tile([0.5, 0.4, 0.9], (hours, 1))
    share[FALL:BACK, 1] = 0.12
    share[FALL:, 0] = 0.6
    said = np.zeros((hours, 3, BUCKETS))
    for hour, arm in np.ndindex(hours, 3):
        for at in rng.integers(0, 60, rng.binomial(calls[hour, arm], share[hour, arm])).tolist():
            for _ in range(1 + (rng.random() < 0.3)):
                after = int(rng.lognormal(5, 1.5))
                when = hour + (at + after) // 60
                if when < hours:
                    said[when, arm, int(bucket_of(np.array([after]))[0])] += 1
    detector, slow = MuteArms(EAGER), ReferenceArms.of(NAMES, EAGER.threshold_of("responses"), START)
    got, want = [], []
    for hour in range(hours):
        if hour % 200 == 199:
            detector = MuteArms(EAGER, plain.unpack(plain.pack(detector.state())))
        found = detector.close(message(START + hour, calls[hour], said[hour]))
        got += [(one.series[1][2], one.at, one.direction, *seen_and_expected(one)) for one in found]
        by_arm = {name: list(said[hour, at]) for at, name in enumerate(NAMES)}
        for name, one in slow.hour(START + hour, dict(zip(NAMES, calls[hour].astype(float), strict=True)), by_arm):
            want.append(
                (name, (START + hour + 1) * 3_600_000_000, "down" if one.down else "up", one.seen, one.foreseen)
            )
    assert [one[:4] for one in got] == [one[:4] for one in want]
    assert [one[4] for one in got] == pytest.approx([one[4] for one in want], rel=1e-6)
    assert [(one[0], one[2]) for one in got] == [("b", "down"), ("b", "up")]


def seen_and_expected(alarm: Alarm) -> tuple[float, float]:
    assert isinstance(alarm.details, VolumeChange)
    return alarm.details.seen, alarm.details.expected


def message(hour: int, calls: np.ndarray, said: np.ndarray) -> Closed:
    """One hour."""
    code, none = np.arange(3, dtype=np.int32), np.zeros(3, np.int32)
    trials = TrialDeltas(code, none + hour * 60, none, none, none, none, calls.astype(np.int32))
    arm, bucket = np.nonzero(said)
    zero, count = np.zeros(len(arm), np.int32), said[arm, bucket].astype(np.int32)
    good = (zero + 1).astype(np.int8)
    responses = Responses(arm.astype(np.int32), zero + hour * 60, zero, good, bucket.astype(np.int16), count, count)
    return Closed(hour * 60 + 60, GROUPS, trials, NO_VALUES, ("judge",), responses=responses)
