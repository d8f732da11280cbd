"""Violations by which a success rate falls are one alert with it: of one cause, which the first violation opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from aftercall.records import Alert, to_json
from aftercall.times import MINUTE_US, to_us
from models.alarms.rule_alerts import RuleAlert
from models.alerts.alerting import Alerting
from models.drift.success_rate.detector import SuccessRateDetector
from models.messages import Closed, Group
from models.side_messages import CheckedRule, CheckTrials
from simulated.trials import DAY, HOUR, NO_WAIT, START, Trials, for_alerts, simulate

GROUP: Group = ("refund", "atlas", "v1")
OTHER: Group = ("refund", "birch", "v1")
SAFE = CheckedRule("refund", "3", "safe", "safety")
METRIC = "refund.safe"
ALERTING = replace(for_alerts(NO_WAIT), rules={SAFE[:3]: RuleAlert("each", "critical")})
CHANGE, BACK, END = 7 * DAY, 10 * DAY, 12 * DAY
FALLEN = ((0, 0.9), (CHANGE, 0.65), (BACK, 0.9))
Share = Callable[[int], float]
"""By the minute, which share of the failures of GROUP violate the rule; its other calls keep it."""


@cache
def verdicts() -> Trials:
    return simulate({GROUP: FALLEN, OTHER: [(0, 0.9)]}, END, every=30, per_day=400.0, seed=5)


def with_checks(closed: Closed, share: Share) -> Closed:
    """The same with a check of each call of GROUP, which violates the rule where its failure does."""
    t = closed.trials
    rows = []
    for code, minute, good, bad in zip(t.code, t.minute, t.trial_successes, t.trial_failures, strict=True):
        if closed.names[code] == GROUP:
            rng = np.random.default_rng([int(minute), int(code)])
            failed = int(rng.binomial(int(bad), share(int(minute) - START)))
            rows.append((code, minute, 0, int(good + bad) - failed, failed))
    checks = CheckTrials(*np.array(rows, np.int32).reshape(-1, 5).T)
    return closed._replace(rules=(SAFE,), checks=checks)


def found(share: Share, cuts: tuple[int, ...] = ()) -> list[Alert]:
    """All records on rates and violations; the stage and the detector are resumed at each cut."""
    detector, stage, emitted = SuccessRateDetector(NO_WAIT), Alerting(ALERTING), list[Alert]()
    for begin, until in pairwise((0, *cuts, END)):
        closed = with_checks(verdicts().between(begin, until), share)
        emitted += stage.close(closed, detector.close(closed, []))
        detector = SuccessRateDetector(NO_WAIT, detector.state())
        stage = Alerting.from_state(stage.state(), ALERTING)
    return emitted


def violations(share: Share, until_us: int) -> int:
    """How many there are in minutes that end by then."""
    checks = with_checks(verdicts().between(0, END), share).checks
    return int(checks.failed[(checks.minute.astype(np.int64) + 1) * MINUTE_US <= until_us].sum())


def sudden(minute: int) -> float:
    """None before the fall, and most of the failures within it."""
    return 0.75 * (CHANGE <= minute < BACK)


def more(minute: int) -> float:
    """Some before the fall, so that their alert is open for a week, and most of the failures within it."""
    return 0.75 if CHANGE <= minute < BACK else 0.25


def lasting(minute: int) -> float:
    """Most of the failures within the fall, and a tenth of those after it."""
    return 0.75 * (CHANGE <= minute < BACK) + 0.1 * (minute >= BACK)


@pytest.fixture(scope="module")
def caused() -> list[Alert]:
    return found(sudden)


def test_the_alert_that_the_first_violation_opened_takes_the_fall_as_its_headline(caused: list[Alert]) -> None:
    assert len({one.alert_id for one in caused}) == 1
    first, *rest = caused
    assert (first.kind, first.metric, first.state) == ("contract", METRIC, "opened")
    turned = next(one for one in rest if one.metric == "success_rate")
    assert (turned.kind, turned.direction, turned.state, turned.severity) == ("drift", "down", "updated", "critical")
    assert turned.opened_at == first.opened_at
    (beside,) = turned.other_alarms
    assert (beside.kind, beside.metric, beside.direction, beside.baseline, beside.promised) == (
        "contract", METRIC, "up", None, False
    )  # fmt: skip
    assert beside.text in turned.reason
    assert [one.seq for one in caused] == list(range(1, len(caused) + 1))


def test_each_record_counts_all_violations_so_far_and_says_when_they_are_over(caused: list[Alert]) -> None:
    beside = [one for one in caused if one.metric == "success_rate" and not one.other_alarms[0].over]
    assert len(beside) > 24, "updated hourly while calls violate the rule"
    for one in beside:
        assert one.other_alarms[0].text.startswith(f"{violations(sudden, to_us(one.updated_at)):,} of "), one.updated_at
    assert caused[-1].state == "closed"


def test_an_alert_that_was_open_for_long_takes_the_fall_where_violations_have_become_more() -> None:
    records = found(more)
    assert records[0].metric == METRIC
    assert to_us(records[0].opened_at) < (START + 2 * DAY) * MINUTE_US
    turned = next(one for one in records if (one.metric, one.direction) == ("success_rate", "down"))
    assert turned.alert_id == records[0].alert_id


@pytest.mark.parametrize("share", [lambda _: 0.02, lambda minute: 0.1 if minute >= CHANGE else 0.4])
def test_violations_that_do_not_explain_the_fall_keep_an_alert_of_their_own(share: Share) -> None:
    records = found(share)
    fall = {one.alert_id for one in records if one.metric == "success_rate"}
    rule = {one.alert_id for one in records if one.metric == METRIC}
    assert fall
    assert rule
    assert not fall & rule
    assert not any(one.other_alarms for one in records)


def test_violations_after_the_rate_is_back_have_an_alert_of_their_own() -> None:
    records = found(lasting)
    ended = next(one for one in records if one.metric == "success_rate" and one.state == "closed")
    after = [one for one in records if one.updated_at > ended.updated_at and one.metric == METRIC]
    assert (after[0].state, after[0].seq) == ("opened", 1)
    assert after[0].alert_id != ended.alert_id
    newest = [one for one in after if one.alert_id == after[0].alert_id and one.state != "closed"][-1]
    before = violations(lasting, to_us(ended.updated_at))
    assert newest.evidence["violations"] == violations(lasting, to_us(newest.updated_at)) - before


@pytest.mark.parametrize("share", [sudden, lasting])
def test_no_cut_of_the_minutes_and_no_restart_changes_a_record(share: Share) -> None:
    cuts = tuple(range(CHANGE - HOUR, END, 7 * HOUR + 13))
    assert list(map(to_json, found(share, cuts))) == list(map(to_json, found(share)))
