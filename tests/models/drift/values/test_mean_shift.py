from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

from aftercall.times import HOUR_US, MINUTE_US
from models.alarms.alarm import Alarm, MeanChange
from models.alerts.sentences import alarm_text
from models.alerts.severity import severity_of_alarm
from models.arrays import F64
from models.drift.detectors import Drift, DriftSettings
from models.drift.values.mean_shift import MeanShift
from models.messages import Closed, Group, Scores, TrialDeltas, Values
from simulated.trials import relation

G: Group = ("refund", "model-a", "v1")
H: Group = ("refund", "model-b", "v1")
START = 29_000_000
PER_MINUTE = 10


def series(latencies: F64, costs: F64 | None = None, group: Group = G) -> list[tuple[Group, int, int, float, float]]:
    """Rows (group, minute, at, latency, cost), `PER_MINUTE` a minute."""
    money = np.full(len(latencies), np.nan) if costs is None else costs
    step = MINUTE_US // PER_MINUTE
    return [
        (group, START + i // PER_MINUTE, START * MINUTE_US + i * step, float(latency), float(cost))
        for i, (latency, cost) in enumerate(zip(latencies, money, strict=True))
    ]


def closed(rows: list[tuple[Group, int, int, float, float]], through: int) -> Closed:
    rows = sorted(rows, key=lambda row: row[1:3])
    names = sorted({row[0] for row in rows})
    none = np.zeros(0, np.int32)
    values = Values(
        np.array([names.index(row[0]) for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.int64),
        np.arange(len(rows), dtype=np.uint64),
        np.array([row[3] for row in rows], np.float64),
        np.array([row[4] for row in rows], np.float64),
        np.full(len(rows), -1),
    )
    return Closed(START + through, names, TrialDeltas(none, none, none, none, none, none, none), values)


def lognormal(count: int, shift: float = 0.0, seed: int = 1, sd: float = 0.6) -> F64:
    return np.exp(np.random.default_rng(seed).normal(np.log(800) + shift, sd, count))


def run(*parts: F64, costs: F64 | None = None, drift: Drift | None = None) -> list[Alarm]:
    rows = series(np.concatenate(parts), costs)
    return (drift or Drift()).close(closed(rows, len(rows) // PER_MINUTE + 1))


def test_slower_calls_raise_one_alarm_without_a_promise() -> None:
    (alarm,) = run(lognormal(4000), lognormal(600, 0.5, seed=2))
    assert (alarm.series, alarm.direction, relation(alarm)) == (("shift", G, "latency_ms"), "up", "first")
    assert alarm.promise is None
    assert severity_of_alarm(alarm) == "warning"
    assert alarm.baseline == pytest.approx(800, rel=0.06)
    assert alarm.current == pytest.approx(800 * np.exp(0.5), rel=0.2)
    assert alarm.effect_low is not None
    assert alarm.effect_high is not None
    assert 0 < alarm.effect_low < 800 * np.expm1(0.5) < alarm.effect_high
    assert abs(alarm.changed_at / MINUTE_US - START - 400) < 3
    assert 404 < alarm.at / MINUTE_US - START < 415
    assert alarm_text(alarm).startswith("Typical latency of task 'refund', model 'model-a', config 'v1' rose from ")


def test_steady_latency_raises_none() -> None:
    assert run(lognormal(60_000)) == []


def test_a_shift_right_after_the_reference_is_seen() -> None:
    alerts = run(lognormal(1000), lognormal(400, 0.5, seed=2))
    assert [a.direction for a in alerts] == ["up"]


def test_the_return_ends_the_alarm_and_a_further_rise_moves_it_again() -> None:
    back = run(lognormal(3000), lognormal(3000, 0.6, seed=2), lognormal(500, seed=3))
    assert [(relation(a), a.direction) for a in back] == [("first", "up"), ("recovery", "down")]
    assert back[1].baseline == back[0].baseline
    further = run(lognormal(3000), lognormal(3000, 0.6, seed=2), lognormal(500, 1.3, seed=3))
    assert [(relation(a), severity_of_alarm(a)) for a in further] == [("first", "warning"), ("again", "critical")]
    assert further[1].baseline == further[0].baseline
    # The estimated moment of change is early by a run of values of the old level.
    assert further[1].current == pytest.approx(800 * np.exp(1.3), rel=0.3)


def test_cheaper_calls_are_information_and_free_calls_are_left_out() -> None:
    count = 3000
    costs = np.exp(np.random.default_rng(5).normal(np.log(0.004), 0.4, count))
    costs[2000:] *= 0.5
    costs[::3] = 0.0
    alarms = run(np.full(count, np.nan), costs=costs)
    assert [(a.series[2], a.direction, severity_of_alarm(a)) for a in alarms] == [("cost_usd", "down", "info")]
    assert alarms[0].baseline == pytest.approx(0.004, rel=0.05)


def test_a_price_that_never_varied_may_vary_by_little() -> None:
    flat = np.full(2000, 0.01)
    flat[1500:] = 0.0101
    assert run(np.full(2000, np.nan), costs=flat) == []
    flat[1500:] = 0.012
    assert len(run(np.full(2000, np.nan), costs=flat)) == 1


def test_one_wild_value_is_no_shift() -> None:
    wild = lognormal(4000)
    wild[3000] = 1e12
    assert run(wild) == []


@pytest.mark.parametrize(("hours", "then"), [(1, "first"), (48, "again")])
def test_an_open_shift_becomes_normal_after_the_set_time(hours: int, then: str) -> None:
    drift = Drift(DriftSettings(new_normal_after_us=hours * HOUR_US))
    alarms = run(lognormal(3000), lognormal(3000, 0.6, seed=2), lognormal(500, 1.3, seed=3), drift=drift)
    assert [relation(alarm) for alarm in alarms] == ["first", then]


def test_cuts_and_restores_change_nothing() -> None:
    rows = series(np.concatenate([lognormal(3000), lognormal(1500, 0.6, seed=2), lognormal(500, seed=3)]))
    rows += series(np.concatenate([lognormal(1500, seed=4), lognormal(3000, -0.7, seed=5)]), group=H)
    whole = Drift().close(closed(rows, 500))
    drift, parts = Drift(), []
    for begin, end in pairwise([0, 1, 57, 100, 101, 155, 300, 302, 310, 466, 500]):
        parts += drift.close(closed([row for row in rows if begin <= row[1] - START < end], end))
        drift = Drift.from_state(drift.state())
    assert len(whole) >= 3
    assert parts == whole


def test_a_state_of_another_river_is_refused_with_a_remedy() -> None:
    numeric = MeanShift(DriftSettings())
    message = closed(series(lognormal(1001)), 200)
    numeric.close(message)
    state = pickle.loads(pickle.dumps(numeric.state()))
    MeanShift(DriftSettings(), state)
    state["river"] = "0.1.0"
    with pytest.raises(ValueError, match=r"detectors of river 0\.1\.0; .*install river==0\.1\.0"):
        MeanShift(DriftSettings(), state)


def test_alarms_of_all_detectors_come_in_order_of_time() -> None:
    rows = series(np.concatenate([lognormal(3000), lognormal(500, 0.6, seed=2)]))
    minute = np.arange(START, START + 350, dtype=np.int32)
    failures = np.where(minute < START + 200, 1, 6).astype(np.int32)
    nothing = np.zeros(350, np.int32)
    trials = TrialDeltas(nothing, minute, (10 - failures).astype(np.int32), failures, nothing, nothing, nothing)
    message = closed(rows, 351)._replace(trials=trials)
    alarms = Drift(DriftSettings(warmup_us=0)).close(message)
    assert {alarm.series[0] for alarm in alarms} == {"drift", "shift"}
    assert [alarm.at for alarm in alarms] == sorted(alarm.at for alarm in alarms)


def test_more_tokens_are_an_alarm_in_tokens() -> None:
    rows = series(np.full(3000, np.nan))
    message = closed(rows, 301)
    counts = np.rint(lognormal(3000) * np.where(np.arange(3000) < 2400, 1.0, 4.0)).astype(np.int64)
    (alarm,) = Drift().close(message._replace(values=message.values._replace(tokens=counts)))
    assert (alarm.series, alarm.direction, alarm.details) == (("shift", G, "tokens"), "up", MeanChange("tokens"))


def judged(scores: F64, source: str = "critic", per_minute: int = PER_MINUTE) -> Closed:
    """Scores of one source, so many a minute, as the group step counts them."""
    minute = (START + np.arange(len(scores)) // per_minute).astype(np.int32)
    rows, count = np.unique(np.stack((minute, np.rint(scores * 100).astype(np.int32))), axis=1, return_counts=True)
    none = np.zeros(rows.shape[1], np.int32)
    table = Scores(none, rows[0], none, rows[1], count.astype(np.int32))
    return closed([], int(minute[-1]) - START + 1)._replace(names=[G], sources=(source,), scores=table)


def test_lower_scores_of_a_judge_are_an_alarm_on_their_mean() -> None:
    rng = np.random.default_rng(3)
    (alarm,) = Drift().close(judged(np.concatenate((rng.beta(8, 2, 3000), rng.beta(7, 3, 500)))))
    assert (alarm.series[2], alarm.direction, alarm.promise) == ("score:critic", "down", None)
    assert severity_of_alarm(alarm) == "warning"
    assert alarm.baseline == pytest.approx(0.8, abs=0.01)
    assert alarm.current == pytest.approx(0.7, abs=0.03)
    assert alarm.effect_high is not None
    assert alarm.effect_high < 0


def test_many_scores_in_one_minute_are_dealt_evenly() -> None:
    """In their order as counted, the lower half of a minute's scores would be a shift every minute."""
    scores = np.random.default_rng(4).beta(8, 2, 30_000)
    assert Drift().close(judged(scores, per_minute=1000)) == []
