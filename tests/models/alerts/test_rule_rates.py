"""A rule that is violated more often is an alert of its own, or stands beside the success rate that fell with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from statistics import median

import numpy as np
import pytest

from aftercall.records import Alert, to_json
from models.alarms.alarm import Alarm
from models.alarms.rule_alerts import RuleAlert
from models.alerts.alerting import Alerting
from models.drift.success_rate.detector import SuccessRateDetector
from models.drift.success_rate.violation_rates import ViolationRates
from models.messages import Closed, Group
from models.side_messages import CheckedRule, CheckTrials
from simulated.trials import DAY, HOUR, NO_WAIT, START, Trials, for_alerts, simulate

GROUP: Group = ("refund", "atlas", "v1")
OTHER: Group = ("refund", "birch", "v1")
FAST, SAFE = (CheckedRule("refund", "3", name, "latency") for name in ("fast", "safe"))
WATCHING = replace(NO_WAIT, rules={rule[:3]: RuleAlert("rate", "warning") for rule in (FAST, SAFE)})
CHANGE, BACK, END = 7 * DAY, 12 * DAY, 14 * DAY
LONG = 3 * END // 2
STEADY = [(0, 0.99)]
MORE = [(0, 0.99), (CHANGE, 0.8), (BACK, 0.99)]
FALLEN = [(0, 0.9), (CHANGE, 0.65), (BACK, 0.9)]


def with_checks(closed: Closed, checked: dict[CheckedRule, Trials], begin: int, end: int) -> Closed:
    """The same with checks that pass and fail as these trials do; all groups are the same."""
    parts = [checked[rule].between(begin, end).trials for rule in sorted(checked)]
    rows = [
        (minute, code, number, passed, failed)
        for number, t in enumerate(parts)
        for minute, code, passed, failed in zip(t.minute, t.code, t.trial_successes, t.trial_failures, strict=True)
    ]
    minute, code, rule, passed, failed = (column for column in table(sorted(rows)))
    return closed._replace(rules=tuple(sorted(checked)), checks=CheckTrials(code, minute, rule, passed, failed))


def table(rows: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Columns."""
    return list(np.array(rows, np.int32).reshape(-1, 5).T)


def found(
    verdicts: Trials, checked: dict[CheckedRule, Trials], cuts: tuple[int, ...] = (), end: int = END
) -> list[Alert]:
    """Alerts; the stage and its detectors are resumed at each cut."""
    detectors = (SuccessRateDetector(WATCHING), ViolationRates(WATCHING))
    stage, emitted = Alerting(replace(for_alerts(WATCHING), rules=WATCHING.rules)), []
    for begin, until in pairwise((0, *cuts, end)):
        closed = with_checks(verdicts.between(begin, until), checked, begin, until)
        alarms: list[Alarm] = []
        for detector in detectors:
            alarms = detector.close(closed, alarms)
        emitted += stage.close(closed, alarms[::-1])
        by_verdicts, by_rules = detectors
        detectors = SuccessRateDetector(WATCHING, by_verdicts.state()), ViolationRates(WATCHING, by_rules.state())
        stage = Alerting.from_state(stage.state(), replace(for_alerts(WATCHING), rules=WATCHING.rules))
    return emitted


def stream(level: list[tuple[int, float]], seed: int, end: int = END) -> Trials:
    """Trials of both groups, of which one has this level."""
    return simulate({GROUP: level, OTHER: level[:1]}, end, every=30, per_day=400.0, seed=seed)


@pytest.fixture(scope="module")
def alone() -> list[Alert]:
    """Alerts where one rule is violated more often, in one group, and the verdicts do not change."""
    return found(stream([(0, 0.9)], 1), {FAST: stream(MORE, 2), SAFE: stream(STEADY, 3)})


def test_a_rule_that_is_violated_more_often_is_one_alert_that_names_it_and_closes(alone: list[Alert]) -> None:
    assert len({one.alert_id for one in alone}) == 1, "its roll-ups moved with it, and are nothing new"
    first, last = alone[0], alone[-1]
    assert (first.kind, first.metric, first.direction, first.severity) == ("contract", "refund.fast", "up", "warning")
    assert (first.task_type, first.model, first.config) == GROUP
    assert first.promise is not None
    assert first.caveat is None
    assert first.baseline is not None
    assert first.current is not None
    assert first.effect_low is not None
    assert 0 < first.baseline < 0.03 < first.current < 0.3
    assert 0 < first.effect_low < first.current - first.baseline
    of = "Violation rate of rule 'fast' of contract 'refund' of task 'refund', model 'atlas', config 'v1'"
    assert first.reason.startswith(f"{of} rose from {first.baseline:.1%} to {first.current:.1%} (")
    failed, checked = (round(float(str(first.evidence[name]))) for name in ("failures_since", "trials_since"))
    assert f" {failed} of {checked} checked calls violated it since then." in first.reason
    assert first.changed_at is not None
    assert abs(first.changed_at.timestamp() / 60 - START - CHANGE) < 12 * HOUR
    assert last.state == "closed"
    assert "is back to" in last.reason


def test_rules_that_are_violated_with_a_fall_of_the_success_rate_are_its_evidence() -> None:
    alerts = found(stream(FALLEN, 4), {FAST: stream(MORE, 5), SAFE: stream(MORE, 6)})
    falls = [one for one in alerts if one.state != "closed"]
    assert len({one.alert_id for one in falls}) == 1
    last = falls[-1]
    assert last.metric == "success_rate"
    assert {(one.metric, one.direction) for one in last.other_alarms} == {("refund.fast", "up"), ("refund.safe", "up")}


def test_fewer_violations_are_no_alert() -> None:
    better = [(0, 0.8), (CHANGE, 0.99)]
    assert found(stream([(0, 0.9)], 1), {FAST: stream(better, 2), SAFE: stream(better, 3)}) == []


@pytest.mark.parametrize("cuts", [(CHANGE + HOUR,), tuple(range(CHANGE, END, 5 * HOUR)), (CHANGE + 601, CHANGE + 602)])
def test_alerts_are_the_same_wherever_the_stream_is_cut_and_resumed(alone: list[Alert], cuts: tuple[int, ...]) -> None:
    again = found(stream([(0, 0.9)], 1), {FAST: stream(MORE, 2), SAFE: stream(STEADY, 3)}, cuts)
    assert list(map(to_json, again)) == list(map(to_json, alone))


def test_a_rule_violated_at_1_percent_for_a_week_and_then_at_6_is_one_alert_within_days() -> None:
    hours = []
    for seed in range(10, 17):
        more = {FAST: stream([(0, 0.99), (CHANGE, 0.94)], seed, LONG), SAFE: stream(STEADY, seed + 50, LONG)}
        alerts = found(stream([(0, 0.9)], seed + 90, LONG), more, end=LONG)
        assert len({one.alert_id for one in alerts}) == 1
        hours.append((alerts[0].opened_at.timestamp() / 60 - START - CHANGE) / HOUR)
    assert min(hours) > 0
    assert median(hours) < 72, hours


def test_without_rules_nothing_is_watched_and_their_share_is_given_back() -> None:
    closed = with_checks(stream(STEADY, 1).between(0, END), {FAST: stream(MORE, 2)}, 0, END)
    detector = ViolationRates(NO_WAIT)
    assert detector.close(closed) == []
    assert detector.state() == {}
    assert NO_WAIT.threshold_of("calls") == 24_000
    assert WATCHING.threshold_of("calls") > 24_000, "an eighth of the promise is theirs"
    assert WATCHING.threshold_of("contract", 1 / 2) == 16_000
