"""Alerts on violations are those of the slow reference, however minutes are cut and wherever the stage is resumed."""

from __future__ import annotations

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import Alert
from aftercall.times import MINUTE_US, to_us
from models.alarms.rule_alerts import RuleAlert, metric_of
from models.alerts import Alerting, AlertSettings
from models.messages import Group
from models.side_messages import CheckedRule
from oracle.violations import DAY, HOUR, Check, Said, records
from simulated.checked import Row, closed

START = 24 * 20_700 * HOUR
END = START + 5 * DAY
GROUPS: tuple[Group, ...] = (
    ("refund", "large", "default"),
    ("refund", "small", "default"),
    ("search", "large", "v2"),
    ("refund", "__other__", "__other__"),
)
RULES = tuple(
    CheckedRule(contract, version, rule, "safety")
    for contract, version, rule in (
        ("refund", "3", "asks"),
        ("refund", "4", "asks"),
        ("refund", "3", "safe"),
        ("refund", "3", "slow"),
        ("refund", "3", "quiet"),
    )
)
EACH = RuleAlert("each", "critical")
SETTINGS = AlertSettings(
    0,
    {},
    7 * DAY * MINUTE_US,
    {rule[:3]: EACH for rule in RULES[:3]} | {RULES[3][:3]: RuleAlert("rate", "warning")},
)


@st.composite
def minutes(draw: st.DrawFn) -> int:
    """Most of them close to each other, and about full hours and whole days after another."""
    return START + draw(st.integers(0, 3)) * DAY + draw(st.sampled_from((0, 59, 60, 61, 119))) + draw(st.integers(0, 3))


rows = st.lists(st.tuples(minutes(), st.sampled_from(GROUPS), st.sampled_from(RULES), st.booleans()), max_size=40)


def run(found: list[Row], cuts: list[int], resumes: list[bool]) -> list[Alert]:
    """All records, read in messages that end at the cuts; `resumes`: whether the stage is resumed there."""
    stage, alerts, begin = Alerting(SETTINGS), list[Alert](), 0
    for place, end in enumerate([*sorted(cuts), END]):
        alerts += stage.close(closed(found, begin, end), [])
        begin = end
        if place < len(resumes) and resumes[place]:
            stage = Alerting.from_state(pickle.loads(pickle.dumps(stage.state())), SETTINGS)
    return alerts


def said(alerts: list[Alert]) -> list[Said]:
    """What the reference says; numbers alerts of a rule by their first record, and sees that `seq` counts."""
    numbers: dict[str, dict[str, int]] = {}
    seqs: dict[str, int] = {}
    found = []
    for alert in alerts:
        known = numbers.setdefault(alert.metric, {})
        number = known.setdefault(alert.alert_id, len(known) + 1)
        seqs[alert.alert_id] = seqs.get(alert.alert_id, 0) + 1
        assert (alert.seq, alert.kind, alert.severity, alert.direction) == (
            seqs[alert.alert_id],
            "contract",
            "critical",
            "up",
        )
        violations, checked = alert.evidence["violations"], alert.evidence["checked"]
        assert isinstance(violations, int)
        assert isinstance(checked, int)
        minute, scope = to_us(alert.updated_at) // MINUTE_US, (alert.task_type, alert.model, alert.config)
        found.append(Said(minute, alert.metric, number, alert.state, scope, violations, checked))
    return found


@settings(max_examples=60)
@given(
    rows,
    st.lists(st.integers(START, END) | minutes(), max_size=8),
    st.lists(st.booleans(), max_size=8),
)
def test_alerts_on_violations_equal_the_reference_however_minutes_are_cut(
    found: list[Row], cuts: list[int], resumes: list[bool]
) -> None:
    each = [
        Check(minute, group, metric_of(rule.contract, rule.rule), failed)
        for minute, group, rule, failed in found
        if rule in RULES[:3]
    ]
    alerts = run(found, cuts, resumes)
    assert said(alerts) == records(each, END)
    assert alerts == run(found, [], [])


def test_a_rule_without_an_alert_leaves_nothing_in_the_state() -> None:
    stage = Alerting(SETTINGS)
    assert (
        stage.close(closed([(START, GROUPS[0], RULES[4], True), (START, GROUPS[0], RULES[0], False)], 0, END), []) == []
    )
    assert "violations" not in stage.state()


def test_the_sentence_says_which_rule_how_many_since_when_and_where_most() -> None:
    found: list[Row] = [(START + at, GROUPS[0], RULES[0], True) for at in (5, 6, 7)]
    found += [(START + 8, GROUPS[1], RULES[0], True), (START + 9, GROUPS[1], RULES[1], False)]
    opened, updated, over = run(found, [], [])
    group = "task 'refund', model 'large', config 'default'"
    rule, since = "rule 'asks' of contract 'refund'", "since 2026-09-04 00:05 UTC."
    assert opened.reason == f"1 of 1 checked call of {group} violated {rule} {since}"
    counts = f"4 of 5 checked calls of task 'refund', all models violated {rule} {since} Most of them, 3 of 3: {group}."
    assert updated.reason == counts
    assert over.reason == f"R{rule[1:]} was not violated for 24 h. {counts}"
    assert (over.promise, over.baseline, over.current) == (None, None, 0.8)
