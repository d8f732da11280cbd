"""One cause is one alert, whether it was searched for or known; its sentence says what began."""

from __future__ import annotations

import numpy as np

from aftercall.records import Alert
from aftercall.times import MINUTE_US, to_datetime
from models.drift.success_rate.known_moment.following import Following
from simulated.trials import DAY, START, Trials, alerts

OLD, NEW = ("refund", "atlas", "v1"), ("refund", "atlas", "v2")
BEGAN, END = 6 * DAY + 700, 9 * DAY


def replaced(*tasks: tuple[str, int, float, float, int]) -> Trials:
    """Task types whose config v1 is replaced at a minute: success rates before and since, and trials a day."""
    rng = np.random.default_rng(7)
    names = sorted({(task, "atlas", config) for task, *_ in tasks for config in ("v1", "v2")})
    parts = []
    for task, at, before, since, per_day in tasks:
        minute = np.arange(0, END, DAY / per_day).astype(int)
        success = rng.random(len(minute)) < np.where(minute < at, before, since)
        code = [names.index((task, "atlas", "v1" if one < at else "v2")) for one in minute]
        parts.append((minute, np.array(code), success, ~success))
    minutes, codes, good, bad = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Trials(minutes, codes, good, bad, names)


def of(found: list[Alert], task: str) -> list[Alert]:
    return [alert for alert in found if alert.task_type == task]


def number(alert: Alert, name: str) -> float:
    value = alert.evidence[name]
    assert isinstance(value, float)
    return value


def test_a_config_that_replaces_another_and_fails_more_often_is_one_alert_that_says_so() -> None:
    trials = replaced(("refund", BEGAN, 0.9, 0.4, 300))
    found = alerts(trials, END)
    assert [alert.state for alert in found].count("opened") == 1, "the search over time finds the same, and adds none"
    opened = found[0]
    assert (opened.task_type, opened.model, opened.config) == NEW
    assert opened.changed_at == to_datetime((START + BEGAN) * MINUTE_US)
    assert "Config 'v2' began then, and is held against config 'v1'." in opened.reason
    assert opened.promise is not None
    assert opened.caveat is None
    assert number(opened, "p_value") <= 1 / number(opened, "threshold")
    assert alerts(trials, END, cuts=range(0, END, 997)) == found


def test_a_smaller_drop_where_the_same_config_fell_elsewhere_has_a_caveat_and_later_the_promise() -> None:
    trials = replaced(("refund", BEGAN, 0.9, 0.3, 300), ("triage", BEGAN + 300, 0.8, 0.55, 300))
    found = of(alerts(trials, END), "triage")
    opened = found[0]
    assert opened.state == "opened"
    assert opened.promise is None
    assert opened.caveat is not None
    assert "'refund'" in opened.caveat
    assert opened.evidence["following"] == 1.0
    assert number(opened, "p_value") <= Following.ALPHA
    confirmed = next(alert for alert in found if alert.promise is not None)
    assert confirmed.alert_id == opened.alert_id
    assert confirmed.state == "updated"
    assert "the evidence now supports the promise" in confirmed.reason
    assert [alert.state for alert in found].count("opened") == 1
    assert of(alerts(trials, END, cuts=range(0, END, 1501)), "triage") == found
