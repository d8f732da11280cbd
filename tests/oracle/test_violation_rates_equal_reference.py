"""Rules are watched as the slow reference watches verdicts that come with their calls; only more violations alarm."""

from __future__ import annotations

import pickle
import random
from functools import lru_cache

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, RuleChange
from models.alarms.digits import significant
from models.alarms.rule_alerts import RuleAlert
from models.drift.settings import DriftSettings
from models.drift.success_rate.violation_rates import ViolationRates
from models.messages import Group
from models.side_messages import CheckedRule
from oracle.drift import Facts, Found, ReferenceDrift
from oracle.test_drift_equals_reference import DAY, DAYS, EAGER, START, spans, traffic
from simulated.checked import Row, closed

FAST, FAST_4, SAFE, EACH = (
    CheckedRule("refund", version, rule, "safety")
    for version, rule in (("3", "fast"), ("4", "fast"), ("3", "safe"), ("3", "each"))
)
METRICS = ("refund.fast", "refund.never", "refund.safe")
WATCHING = DriftSettings(
    false_alarms_per_1000_groups_per_week=1000.0,
    warmup_us=EAGER.warmup_us,
    unpromised_tasks=frozenset({"at once"}),
    new_normal_after_us=EAGER.new_normal_after_us,
    rules={rule[:3]: RuleAlert("rate", "warning") for rule in (FAST, FAST_4, SAFE)}
    | {("refund", "3", "never"): RuleAlert("rate", "info"), EACH[:3]: RuleAlert("each", "critical")},
)
A_OF_RULE = 1000 / (1000.0 / 8) * len(METRICS)
"""An eighth of the promise, evenly over the rules, for one direction of each."""


@lru_cache
def checks(seed: int) -> list[Row]:
    """The traffic of verdicts, each of which is a check by one of three rules, of which one has two versions."""
    draw, found = random.Random(seed), list[Row]()
    for minute, groups in traffic(seed).facts.items():
        for group, facts in groups.items():
            for success, _ in facts.trials:
                found.append((minute, group, draw.choice((FAST, FAST, FAST_4, SAFE, EACH)), not success))
    return sorted(found)


@lru_cache
def reference(seed: int, metric: str) -> list[Found]:
    """What the reference finds, fed with the checks of one rule as verdicts of calls that are not counted."""
    facts: dict[int, dict[Group, Facts]] = {}
    for minute, group, rule, failed in checks(seed):
        if f"{rule.contract}.{rule.rule}" == metric:
            facts.setdefault(minute, {}).setdefault(group, Facts()).trials.append((not failed, 0))
    own = DriftSettings(warmup_us=0, new_normal_after_us=EAGER.new_normal_after_us)
    detector = ReferenceDrift(own, A_OF_RULE)
    return [alarm for minute in sorted(facts) for alarm in detector.minute(minute, facts[minute])]


def alarming(found: list[Found]) -> list[Found]:
    """More violations, and fewer where that ends an alarm that is not yet the normal level."""
    opened: dict[object, int] = {}
    kept = []
    for one in sorted(found, key=lambda one: one.minute):
        if one.group in opened and (one.minute + 1 - opened[one.group]) * MINUTE_US >= EAGER.new_normal_after_us:
            del opened[one.group]
        if one.worse:
            opened.setdefault(one.group, one.minute + 1)
        if one.worse or opened.pop(one.group, None) is not None:
            kept.append(one)
    return kept


SEEDS = (13, 15)


def test_the_traffic_has_what_makes_it_hard() -> None:
    found = {metric: [one for seed in SEEDS for one in reference(seed, metric)] for metric in METRICS}
    kept = {metric: [one for seed in SEEDS for one in alarming(reference(seed, metric))] for metric in METRICS}
    assert not found["refund.never"]
    assert {one.worse for one in kept["refund.fast"]} == {True, False}
    assert {sum(part is None for part in one.group) for one in kept["refund.fast"]} == {0, 1, 2}
    assert len(kept["refund.fast"]) < len(found["refund.fast"]), "some fewer violations end nothing"
    assert kept["refund.safe"]


@pytest.mark.slow
@settings(max_examples=3, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking would take minutes
@given(st.sampled_from(SEEDS), st.lists(st.tuples(spans, st.integers(1, 30), st.booleans()), min_size=1, max_size=12))
def test_the_alarms_of_a_rule_are_those_of_the_reference(seed: int, cuts: list[tuple[int, int, bool]]) -> None:
    """`cuts`: spans of minutes that close together, how often in a row, and whether a resume follows."""
    rows, detector, alarms = checks(seed), ViolationRates(WATCHING), list[Alarm]()
    begin, last, turn = START, START + DAYS * DAY, 0
    while begin < last:
        span, times, resumed = cuts[turn] if turn < len(cuts) else (DAY, 1, False)
        turn += 1
        for _ in range(times):
            end = min(begin + span, last)
            alarms += detector.close(closed(rows, begin, end))
            begin = end
        if resumed:
            detector = ViolationRates(WATCHING, pickle.loads(pickle.dumps(detector.state())))
    for metric in METRICS:
        mine = [one for one in alarms if one.series[2] == metric]
        assert {(one.series[0], one.details) for one in mine} <= {("contract", RuleChange("warning"))}
        assert all(one.promise == 1000.0 for one in mine if one.ends is None), "silence says nothing of a check"
        assert {one.evidence["threshold"] for one in mine} <= {significant(A_OF_RULE)}
        found = alarming(reference(seed, metric))
        assert sorted(row_of(one) for one in mine) == sorted(expected_row(one) for one in found)
        assert [one.ends is not None for one in mine] == [one.direction == "down" for one in mine]
        for one in mine:
            failures, trials = one.evidence["failures_since"], one.evidence["trials_since"]
            assert one.current == pytest.approx(failures / trials, rel=1e-4, abs=1e-6), "of violations"


SeenRow = tuple[int, str, bool, int, float, float, float]


def row_of(alarm: Alarm) -> SeenRow:
    """What is compared."""
    failures, trials, margin = (alarm.evidence[name] for name in ("failures_since", "trials_since", "margin"))
    at, changed = alarm.at // MINUTE_US - 1, alarm.changed_at // MINUTE_US
    return at, str(alarm.series[1]), alarm.direction == "up", changed, failures, trials, margin


def expected_row(found: Found) -> SeenRow:
    """The same of the reference."""
    failures, trials = map(significant, found.since)
    return found.minute, str(found.group), found.worse, found.changed, failures, trials, found.margin
