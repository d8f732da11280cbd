from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import Alert, alert_id, to_json
from models.drift.detectors import Drift, DriftSettings
from models.drift.success_rate.alarm import described
from models.messages import Closed, Group, TrialDelays, TrialDeltas, Values

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
    told = TrialDeltas(code, minute, successes, failures, nothing, nothing, successes + failures)
    return Closed(through, names, told, no_values(), delays=delays)


def no_values() -> Values:
    none = np.zeros(0, np.int32)
    return Values(
        none, none, none.astype(np.int64), np.zeros(0, np.uint64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
    )


def steady(group: Group, rate: float, minutes: range, per_minute: int = 10, seed: int = 0) -> list[Trial]:
    """`per_minute` trials in each of `minutes` after START, at success `rate`."""
    s = np.random.default_rng(seed).binomial(per_minute, rate, len(minutes))
    return [(group, START + m, int(x), per_minute - int(x)) for m, x in zip(minutes, s, strict=True)]


def run(drift: Drift, trials: Sequence[Trial], through: int) -> list[Alert]:
    """Alerts on success rates; those on volume have tests of their own."""
    return [alert for alert in drift.close(closed(trials, START + through)) if alert.kind == "drift"]


def of_leaf(alerts: Iterable[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.config is not None]


def moment(minute: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=START + minute)


def test_a_drop_opens_one_alert_that_says_when_and_how_much() -> None:
    trials = steady(A, 0.9, range(6000)) + steady(A, 0.75, range(6000, 6600), seed=1)
    alerts = of_leaf(run(Drift(NO_WAIT), trials, 6600))
    alert = alerts[0]
    assert [a.state for a in alerts] == ["opened"]
    assert (alert.kind, alert.metric, alert.direction, alert.seq) == ("drift", "success_rate", "down", 1)
    assert (alert.task_type, alert.model, alert.config) == A
    assert alert.severity == "critical"
    assert moment(6000) < alert.opened_at < moment(6060)
    assert alert.updated_at == alert.opened_at
    assert alert.closed_at is None
    assert alert.changed_at is not None
    assert abs(alert.changed_at - moment(6000)) <= timedelta(minutes=5)
    assert alert.baseline == pytest.approx(0.9, abs=0.01)
    assert alert.effect_low is not None
    assert alert.effect_high is not None
    assert alert.current is not None
    assert alert.baseline is not None
    assert alert.effect_low < alert.current - alert.baseline < alert.effect_high < 0
    assert alert.alert_id == alert_id("drift", A, "success_rate", "down", 1)
    assert alert.promise is not None
    assert alert.promise.startswith("At most 1 false alarms per 1,000 watched groups per week")
    assert alert.reason.startswith("Success rate of task 'refund', model 'model-a', config 'v1' fell from 90")
    assert alert.evidence["threshold"] == 4000.0
    assert isinstance(alert.evidence["mean_r"], float)
    assert alert.evidence["mean_r"] >= 4000


def test_every_alert_is_raised_on_the_roll_ups_too() -> None:
    trials = steady(A, 0.9, range(3000)) + steady(A, 0.5, range(3000, 3100))
    alerts = run(Drift(NO_WAIT), trials, 3100)
    assert [(a.model, a.config) for a in alerts] == [(None, None), ("model-a", None), ("model-a", "v1")]
    assert len({a.opened_at for a in alerts}) == 1
    assert len({a.alert_id for a in alerts}) == 3
    assert "all models" in alerts[0].reason


def test_a_roll_up_sums_the_trials_of_its_groups() -> None:
    """Each config alone has too few trials to show what both show together."""
    trials = [row for g, seed in ((A, 1), (A2, 2)) for row in steady(g, 0.95, range(0, 4000, 10), 1, seed)]
    trials += [row for g, seed in ((A, 3), (A2, 4)) for row in steady(g, 0.35, range(4000, 4150, 10), 1, seed)]
    alerts = run(Drift(NO_WAIT), trials, 4150)
    assert {(a.model, a.config) for a in alerts} == {("model-a", None), (None, None)}
    assert alerts[0].evidence["trials_before"] + alerts[0].evidence["trials_since"] > 800  # type: ignore[operator]


@pytest.mark.slow
def test_a_small_drop_is_a_warning_and_a_rise_is_information() -> None:
    small = steady(A, 0.9, range(10_000)) + steady(A, 0.85, range(10_000, 11_500), seed=1)
    rise = steady(B, 0.8, range(6000)) + steady(B, 0.95, range(6000, 6300), seed=2)
    assert [a.severity for a in of_leaf(run(Drift(NO_WAIT), small, 11_500))] == ["warning"]
    risen = of_leaf(run(Drift(NO_WAIT), rise, 6300))
    assert [(a.direction, a.severity, a.state) for a in risen] == [("up", "info", "opened")]
    assert "rose from" in risen[0].reason


def test_a_further_drop_updates_the_alert_against_the_first_baseline() -> None:
    trials = steady(A, 0.9, range(4000)) + steady(A, 0.8, range(4000, 6000), seed=1)
    trials += steady(A, 0.6, range(6000, 6600), seed=2)
    alerts = of_leaf(run(Drift(NO_WAIT), trials, 6600))
    assert [(a.state, a.seq) for a in alerts] == [("opened", 1), ("updated", 2)]
    opened, updated = alerts
    assert updated.alert_id == opened.alert_id
    assert updated.opened_at == opened.opened_at
    assert updated.updated_at > moment(6000)
    assert updated.changed_at == opened.changed_at
    assert updated.baseline == opened.baseline
    assert updated.current == pytest.approx(0.6, abs=0.06)
    assert "moved again" in updated.reason


def test_recovery_closes_the_alert_and_opens_none() -> None:
    trials = steady(A, 0.9, range(4000)) + steady(A, 0.7, range(4000, 6000), seed=1)
    trials += steady(A, 0.9, range(6000, 8000), seed=2)
    alerts = of_leaf(run(Drift(NO_WAIT), trials, 8000))
    assert [(a.state, a.direction, a.seq) for a in alerts] == [("opened", "down", 1), ("closed", "down", 2)]
    assert alerts[1].closed_at == alerts[1].updated_at
    assert moment(6000) < alerts[1].updated_at < moment(6100)
    assert alerts[1].current == alerts[0].current
    assert alerts[1].evidence["current_after"] == pytest.approx(0.9, abs=0.08)
    assert "is over" in alerts[1].reason


def test_after_recovery_the_next_drop_is_a_new_alert() -> None:
    trials: list[Trial] = []
    for turn, rate in enumerate([0.9, 0.7, 0.9, 0.7]):
        trials += steady(A, rate, range(4000 * turn, 4000 * (turn + 1)), seed=turn)
    alerts = of_leaf(run(Drift(NO_WAIT), trials, 16_000))
    assert [a.state for a in alerts] == ["opened", "closed", "opened"]
    assert alerts[2].alert_id == alert_id("drift", A, "success_rate", "down", 2)
    assert alerts[2].seq == 1


def test_after_seven_days_the_new_level_is_normal() -> None:
    trials = steady(A, 0.9, range(3000)) + steady(A, 0.7, range(3000, 3200), seed=1)
    drift = Drift(NO_WAIT)
    opened = of_leaf(run(drift, trials, 3200))[0]
    due = int((opened.opened_at - moment(0)) / timedelta(minutes=1)) + WEEK
    assert run(drift, [], due - 1) == []
    alerts = of_leaf(run(drift, [], due))
    assert [(a.state, a.seq, a.closed_at) for a in alerts] == [("closed", 2, opened.opened_at + timedelta(days=7))]
    assert "new normal" in alerts[0].reason
    assert run(drift, [], due + WEEK) == []


def test_an_alarm_after_the_alert_was_due_to_close_is_a_new_alert_even_in_one_message() -> None:
    trials = steady(A, 0.9, range(3000)) + steady(A, 0.7, range(3000, 4000), seed=1)
    trials += steady(A, 0.4, range(3200 + WEEK, 3400 + WEEK), seed=2)
    alerts = of_leaf(run(Drift(NO_WAIT), trials, 3400 + WEEK))
    assert [a.state for a in alerts] == ["opened", "closed", "opened"]
    assert "new normal" in alerts[1].reason


def test_during_the_warm_up_nothing_is_tested_or_learned() -> None:
    """Failures are reported first: the early mix would look like a rise once successes arrive."""
    early = steady(A, 0.2, range(500))
    later = steady(A, 0.9, range(500, 5000), seed=1)
    warm = DriftSettings(warmup_us=500 * 60_000_000)
    assert run(Drift(warm), early + later, 5000) == []
    assert run(Drift(NO_WAIT), early + later, 5000) != []


@pytest.mark.slow
def test_a_new_config_is_held_against_its_model_from_its_first_trial() -> None:
    warm = DriftSettings(warmup_us=1440 * 60_000_000)
    trials = steady(A, 0.9, range(14_000)) + steady(A2, 0.5, range(12_000, 14_000), seed=1)
    alerts = run(Drift(warm), trials, 14_000)
    first = next(alert for alert in alerts if alert.config == "v2")
    assert (first.direction, first.state) == ("down", "opened")
    assert moment(12_000) < first.opened_at < moment(12_120)
    assert first.baseline == pytest.approx(0.9, abs=0.02)
    assert "against what its roll-up had before" in first.reason
    healthy = steady(A, 0.9, range(14_000)) + steady(A2, 0.9, range(12_000, 14_000), seed=1)
    assert run(Drift(warm), healthy, 14_000) == []


def test_a_task_may_have_a_warm_up_of_its_own() -> None:
    own = DriftSettings(warmup_by_task={"refund": 0})
    trials = steady(A, 0.9, range(1000)) + steady(A, 0.3, range(1000, 1100), seed=1)
    assert run(Drift(own), trials, 1100) != []
    assert run(Drift(DriftSettings()), trials, 1100) == []


def test_the_margin_holds_for_busy_groups_only() -> None:
    def margin(per_minute: int, every: int, after: int) -> object:
        trials = steady(A, 0.9, range(0, 10_000, every), per_minute)
        trials += steady(A, 0.3, range(10_000, after, every), per_minute, seed=1)
        return of_leaf(run(Drift(DriftSettings(warmup_us=0, margin=0.02)), trials, after))[0].evidence["margin"]

    assert margin(1, 1, 10_400) == 0.02
    assert margin(1, 10, 12_000) == 0.0


def test_everything_within_one_hour_still_gives_an_alert() -> None:
    trials = steady(A, 0.95, range(20)) + steady(A, 0.05, range(20, 50), seed=1)
    alerts = of_leaf(run(Drift(NO_WAIT), trials, 50))
    assert alerts[0].state == "opened"
    assert alerts[0].direction == "down"


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


@pytest.mark.slow
@given(histories(), st.lists(st.integers(0, 45_000), max_size=12), st.booleans(), st.sampled_from([0, 500, 16_384]))
@settings(max_examples=40, deadline=None)
def test_what_comes_out_does_not_depend_on_how_minutes_are_cut_into_messages(
    trials: list[Trial],
    cuts: list[int],
    restore: bool,  # noqa: FBT001
    slack: int,
) -> None:
    rules = DriftSettings(warmup_us=3_000_000_000, margin_above_per_day=2000, new_normal_after_us=150 * 61_000_001)
    whole = run(Drift(rules), trials, 45_000)
    drift = Drift(rules)
    parts: list[Alert] = []
    with patch("models.drift.trial_history._SLACK", slack):
        for begin, end in pairwise(sorted({0, 45_000, *cuts, *(cut % 700 for cut in cuts)})):
            parts += run(drift, [row for row in trials if begin <= row[1] - START < end], end)
            if restore:
                drift = Drift.from_state(drift.state(), rules)
    assert [to_json(alert) for alert in parts] == [to_json(alert) for alert in whole]
    assert all(a.seq >= 1 and a.updated_at >= a.opened_at for a in whole)


@pytest.mark.slow
def test_one_message_a_minute_gives_what_one_message_for_all_gives() -> None:
    trials = steady(A, 0.9, range(1500), 20) + steady(B, 0.8, range(1500), 3, seed=5)
    trials += steady(A, 0.7, range(1500, 2500), 20, seed=1) + steady(B, 0.3, range(1500, 1700), 3, seed=2)
    whole = run(Drift(NO_WAIT), trials, 2500)
    drift, parts = Drift(NO_WAIT), []
    by_minute: dict[int, list[Trial]] = {}
    for row in trials:
        by_minute.setdefault(row[1], []).append(row)
    for minute in range(2500):
        parts += run(drift, by_minute.get(START + minute, []), minute + 1)
    assert len(whole) >= 4
    assert [to_json(alert) for alert in parts] == [to_json(alert) for alert in whole]


def test_a_state_of_another_version_is_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="step 'drift' has version 99; this aftercall reads 2"):
        Drift.from_state(pickle.dumps({"version": 99}))


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("false_alarms_per_1000_groups_per_week", 0.0, r"false_alarms_per_1000_groups_per_week must be > 0; got 0.0"),
        ("warmup_us", -1, "warmup must be >= 0 s; got -1"),
        ("min_trials", 0, "min_trials must be >= 1; got 0"),
        ("margin", 1.0, r"margin must be in \[0, 1\); got 1.0"),
        ("new_normal_after_us", 0, "new_normal_after must be > 0 s; got 0"),
    ],
)
def test_settings_that_would_break_the_promise_are_refused(setting: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DriftSettings(**{setting: value})  # type: ignore[arg-type]


def test_a_stricter_promise_raises_the_threshold() -> None:
    assert DriftSettings().threshold == 4000
    assert DriftSettings(false_alarms_per_1000_groups_per_week=10).threshold == 400


def test_where_silence_decides_no_promise_is_made() -> None:
    """Failures at once and successes a horizon later: a burst of calls looks like a fall."""
    settings = DriftSettings(unpromised_tasks=frozenset({"quiet"}))
    watched = {task: ("drift", (task, None, None), "success_rate") for task in ("quiet", "loud")}
    told = {
        task: described(settings, key, "down", 0, (10.0, 100.0), (30.0, 60.0), 0).promise
        for task, key in watched.items()
    }
    assert told == {"quiet": None, "loud": settings.promise}
