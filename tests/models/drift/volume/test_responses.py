"""Where fewer calls are answered one alarm says so, with its promise; where days only differ, none does."""

from __future__ import annotations

import numpy as np
import pytest

from models import plain
from models.drift.settings import DriftSettings
from models.drift.volume.volume import Volume
from simulated.arrivals import DAY, START, Traffic, run

TASKS, DAYS = 6, 26
FALL = 18 * DAY
HOUR_US = 3_600_000_000


def asked(seed: int, left: float, days_differ: float = 0.0) -> Traffic:
    """A fifth of 24 calls an hour is answered, within hours; from day 18 on `left` of that.

    Those who are content are no longer asked, say, so that the others go on: case 37.
    """
    rng = np.random.default_rng(seed)
    calls = rng.poisson(24 / 60, (TASKS, DAYS * DAY))
    task, at = (np.repeat(each, calls.ravel()) for each in np.indices(calls.shape).reshape(2, -1))
    daily = rng.gamma(1 / days_differ**2, days_differ**2, (TASKS, DAYS)) if days_differ else np.ones((TASKS, DAYS))
    share = 0.2 * daily[task, at // DAY] * np.where(at >= FALL, left, 1.0)
    answered = rng.random(len(at)) < share
    task, at = task[answered], at[answered]
    delay = np.exp(rng.normal(np.log(120), 1.0, len(at))).astype(np.int64)
    known = at + delay < DAYS * DAY
    order = np.argsort((at + delay)[known], kind="stable")
    return Traffic(calls, np.stack((task, at + delay, delay))[:, known][:, order])


@pytest.mark.slow
@pytest.mark.parametrize(("left", "within_days"), [(0.25, 2.5), (0.35, 4.0)])
def test_a_fall_of_the_share_of_answered_calls_to_a_part_is_found_within_days(left: float, within_days: float) -> None:
    opened = [alarm for alarm in run(asked(1, left)) if alarm.ends is None]
    assert {alarm.series[2] for alarm in opened} == {"responses:human_review"}
    assert len({alarm.series[1] for alarm in opened}) == len(opened) >= TASKS - 1
    for alarm in opened:
        assert (alarm.direction, alarm.promise) == ("down", 1.0)
        assert alarm.baseline == pytest.approx(0.2, rel=0.25)
        assert 1.5 * alarm.current <= alarm.baseline
    assert np.median([abs(alarm.changed_at / HOUR_US - (START + FALL) / 60) for alarm in opened]) <= 12
    assert np.median([alarm.at / HOUR_US - (START + FALL) / 60 for alarm in opened]) <= 24 * within_days


@pytest.mark.slow
def test_days_on_which_a_fifth_more_or_less_is_answered_raise_no_alarm() -> None:
    assert run(asked(2, 1.0, days_differ=0.2)) == []


@pytest.mark.slow
def test_responses_of_a_state_with_fewer_ratios_go_on_where_they_are() -> None:
    """Stored before falls to a part were found: three ratios, and no days that are held."""
    stream = asked(1, 0.25)
    volume = Volume(DriftSettings())
    assert run(stream, [0, 16 * DAY], volume) == []
    state = plain.unpack(plain.pack(volume.state()))
    profile = state["responses"]["profile"]
    for name in ("held_off", "held_scale", "held_days"):
        del profile[name], state["calls"]["profile"][name]
    for name in ("r", "cusum", "since", "seen", "foreseen", "gain", "evidence"):
        profile[name] = profile[name][:, :, :3]
    found = run(stream, list(range(16 * DAY, DAYS * DAY + 1, DAY)), Volume(DriftSettings(), state))
    assert sorted(alarm.series[1][0] for alarm in found) == [f"task-{row:02}" for row in range(TASKS)]
