"""From simulated streams through the real detectors: one cause, one alert."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import Alert, to_json
from aftercall.times import EPOCH, MINUTE_US
from models.alarms.alarm import Alarm, RateChange
from models.alerts.alerting import Alerting
from models.drift.detectors import Drift, DriftSettings
from models.messages import Group
from simulated.trials import (
    DAY,
    HOUR,
    NO_WAIT,
    START,
    Trials,
    alerts,
    for_alerts,
    simulate,
    with_errors,
    with_sources,
)

WEEK = 7 * DAY
TASKS = ("quote", "refund", "search", "triage")
MODELS = ("atlas", "birch", "cedar")
ALL: list[Group] = [(task, model, "default") for task in TASKS for model in MODELS]
Levels = dict[Group, list[tuple[int, float]]]


def levels(*hit: Group, low: float = 0.75, back: int | None = None) -> Levels:
    """Everybody at 90 %; those `hit` fall to `low` after a week, until minute `back`."""
    found: Levels = {group: [(0, 0.9)] for group in [*ALL, *hit]}
    for group in hit:
        found[group] += [(WEEK, low)] + ([] if back is None else [(back, 0.9)])
    return found


def scopes(records: list[Alert]) -> set[tuple[str, str | None, str | None]]:
    return {(one.task_type, one.model, one.config) for one in records}


def minute_of(alert: Alert) -> int:
    return int((alert.updated_at - EPOCH).total_seconds()) // 60 - START


def lawful(records: list[Alert]) -> None:
    """Each alert's records follow each other as they must, and no two open alerts are about the same."""
    newest: dict[str, Alert] = {}
    for one in records:
        before = newest.get(one.alert_id)
        assert one.seq == (1 if before is None else before.seq + 1)
        if before is None or before.state == "closed":
            assert one.state == "opened"
        else:
            assert one.state != "opened"
            assert one.updated_at >= before.updated_at
        assert (one.closed_at is not None) == (one.state == "closed")
        newest[one.alert_id] = one
        subjects = [
            (a.kind, a.metric, a.direction, a.task_type, a.model, a.config)
            for a in newest.values()
            if a.state != "closed"
        ]
        assert len(subjects) == len(set(subjects))


def test_a_providers_incident_is_one_alert_and_its_end_closes_it() -> None:
    hit = [(task, "atlas", "default") for task in TASKS]
    records = alerts(simulate(levels(*hit, back=WEEK + 4 * DAY), WEEK + 10 * DAY), WEEK + 10 * DAY)
    lawful(records)
    assert len({one.alert_id for one in records}) == 1
    assert scopes(records) == {("*", "atlas", None)}
    assert [one.state for one in records] == ["opened", *["updated"] * (len(records) - 2), "closed"]
    assert records[0].reason.startswith("Success rate of model 'atlas' over all task types fell from 9")
    assert WEEK < minute_of(records[0]) < WEEK + 3 * HOUR
    assert WEEK + 4 * DAY < minute_of(records[-1]) < WEEK + 4 * DAY + 6 * HOUR
    assert "is over" in records[-1].reason
    assert {one.value for one in records[0].slices if one.dimension == "task_type"} == set(TASKS)


def test_a_config_gone_bad_is_one_alert_that_names_it() -> None:
    records = alerts(simulate(levels(("refund", "atlas", "v2")), WEEK + 2 * DAY), WEEK + 2 * DAY)
    lawful(records)
    assert len({one.alert_id for one in records}) == 1
    assert scopes(records) == {("refund", "atlas", "v2")}


def test_a_config_gone_bad_over_all_its_models_is_one_alert() -> None:
    hit: list[Group] = [("refund", model, "v2") for model in MODELS]
    records = alerts(simulate(levels(*hit), WEEK + 2 * DAY), WEEK + 2 * DAY)
    assert len({one.alert_id for one in records}) == 1
    assert scopes(records) == {("refund", None, "v2")}
    assert "task 'refund', all models, config 'v2'" in records[0].reason


def test_everything_at_once_is_one_alert_on_everything() -> None:
    records = alerts(simulate(levels(*ALL), WEEK + 2 * DAY), WEEK + 2 * DAY)
    assert len({one.alert_id for one in records}) == 1
    assert scopes(records) == {("*", None, None)}


def test_two_causes_at_about_the_same_time_are_two_alerts() -> None:
    changed = levels(("refund", "atlas", "default")) | {("search", "birch", "default"): [(0, 0.9), (WEEK + 30, 0.7)]}
    records = alerts(simulate(changed, WEEK + 2 * DAY), WEEK + 2 * DAY)
    lawful(records)
    assert scopes(records) == {("refund", "atlas", "default"), ("search", "birch", "default")}
    assert len({one.alert_id for one in records}) == 2


@pytest.mark.slow
def test_where_nothing_changes_no_alert_opens() -> None:
    assert alerts(simulate(levels(), 28 * DAY), 28 * DAY) == []


def test_an_incident_that_spreads_widens_its_alert() -> None:
    spread: Levels = {group: [(0, 0.9)] for group in ALL}
    for number, task in enumerate(TASKS):
        spread[task, "atlas", "default"] += [(WEEK + number * 2 * HOUR, 0.6)]
    records = alerts(simulate(spread, WEEK + 2 * DAY), WEEK + 2 * DAY)
    lawful(records)
    assert (records[0].task_type, records[0].model) == ("quote", "atlas")
    first = [one for one in records if one.alert_id == records[0].alert_id]
    assert (first[-1].task_type, first[-1].model) == ("*", "atlas")
    assert any("wider than first reported" in one.reason for one in first)
    # Alerts that were opened on the way are part of it, and closed.
    others = {one.alert_id: one for one in records if one.alert_id != records[0].alert_id}
    assert len(others) <= 1
    assert all((one.state, one.evidence["part_of"]) == ("closed", records[0].alert_id) for one in others.values())


def test_a_change_that_comes_back_at_once_opens_the_same_alert_again() -> None:
    turns: Levels = {group: [(0, 0.9)] for group in ALL}
    turns["refund", "atlas", "default"] += [(WEEK, 0.7), (WEEK + DAY, 0.9), (WEEK + 2 * DAY, 0.7)]
    records = alerts(simulate(turns, WEEK + 3 * DAY), WEEK + 3 * DAY)
    lawful(records)
    assert len({one.alert_id for one in records}) == 1
    assert [one.state for one in records if one.state != "updated"] == ["opened", "closed", "opened"]
    assert {one.opened_at for one in records} == {records[0].opened_at}


def test_a_further_drop_updates_its_alert_against_the_first_baseline() -> None:
    deeper: Levels = {group: [(0, 0.9)] for group in ALL}
    deeper["refund", "atlas", "default"] += [(WEEK, 0.8), (WEEK + 2 * DAY, 0.5)]
    records = alerts(simulate(deeper, WEEK + 3 * DAY), WEEK + 3 * DAY)
    lawful(records)
    assert len({one.alert_id for one in records}) == 1
    moved = next(one for one in records if "moved again" in one.reason)
    assert moved.baseline == pytest.approx(0.9, abs=0.01)
    assert moved.current is not None
    assert moved.current < 0.65


@pytest.mark.slow
def test_after_seven_days_the_new_level_is_normal_and_the_next_drop_a_new_alert() -> None:
    steps: Levels = {group: [(0, 0.9)] for group in ALL}
    steps["refund", "atlas", "default"] += [(WEEK, 0.75), (3 * WEEK, 0.5)]
    records = alerts(simulate(steps, 3 * WEEK + DAY), 3 * WEEK + DAY)
    lawful(records)
    closed = next(one for one in records if one.state == "closed")
    assert closed.closed_at is not None
    assert (closed.closed_at - records[0].opened_at).days == 7
    assert "new normal" in closed.reason
    assert "current_after" not in closed.evidence
    assert len({one.alert_id for one in records}) == 2
    assert records[-1].baseline == pytest.approx(0.75, abs=0.02)


def test_a_rise_is_information_and_costs_nothing() -> None:
    better: Levels = {group: [(0, 0.8)] for group in ALL}
    better["refund", "atlas", "default"] += [(WEEK, 0.95)]
    records = alerts(simulate(better, WEEK + DAY), WEEK + DAY)
    assert {(one.direction, one.severity) for one in records} == {("up", "info")}
    assert all(one.failures_per_day is not None and one.failures_per_day < 0 for one in records)


def test_severity_follows_what_the_change_costs() -> None:
    """20 points each, at 2,880 trials a day and at 40."""
    for per_day, severity in ((2880.0, "critical"), (40.0, "warning")):
        calls = simulate({ALL[0]: [(0, 0.95), (4 * WEEK, 0.6)]}, 6 * WEEK, every=30, per_day=per_day)
        first = alerts(calls, 6 * WEEK)[0]
        assert first.severity == severity
        assert first.failures_per_day == pytest.approx(0.35 * per_day, rel=0.6)


@pytest.mark.slow
@pytest.mark.statistics
def test_the_first_update_is_not_biased_by_the_alarm() -> None:
    """An alarm comes of bad luck on top of the change; outcomes after it know nothing of that."""
    opened, updated, covered = [], [], []
    for seed in range(60):
        calls = simulate({ALL[0]: [(0, 0.9), (WEEK, 0.8)]}, WEEK + 5 * DAY, every=30, per_day=960.0, seed=seed)
        records = alerts(calls, WEEK + 5 * DAY)
        late = [one for one in records if one.state == "updated" and "24 h" in one.reason]
        if not late:
            continue
        first, one = records[0], late[0]
        assert None not in {first.current, one.current, one.baseline, one.effect_low, one.effect_high}
        opened.append(first.current - 0.8)  # type: ignore[operator]
        updated.append(one.current - 0.8)  # type: ignore[operator]
        covered.append(one.effect_low <= -0.1 <= one.effect_high)  # type: ignore[operator]
    assert len(updated) > 25
    assert sum(opened) / len(opened) < -0.01
    assert abs(sum(updated) / len(updated)) < 0.006
    assert sum(covered) / len(covered) > 0.95


def test_the_source_that_reports_the_drop_is_named() -> None:
    calls = simulate({("refund", "atlas", "default"): [(0, 0.9), (WEEK, 0.6)]}, WEEK + HOUR * 4)
    drift, stage = Drift(NO_WAIT), Alerting(for_alerts(NO_WAIT))
    before = with_sources(calls.between(0, WEEK), ("judge", "user_feedback"), {"judge": (0.5, 0.5)})
    after = with_sources(calls.between(WEEK, WEEK + HOUR * 4), ("judge", "user_feedback"), {"judge": (0.3, 0.95)})
    records = [one for part in (before, after) for one in stage.close(part, drift.close(part))]
    by_source = [one for one in records[0].slices if one.dimension == "source"]
    assert by_source[0].value == "judge"
    assert by_source[0].share > 0.8
    assert sum(one.share for one in by_source) == pytest.approx(1.0, abs=1e-4)
    assert records[0].reason.count("Source 'judge' accounts for") == 1


@pytest.mark.parametrize("cut", [1, 7, 20, 100, 239])
def test_the_error_behind_the_drop_is_named_wherever_the_stream_is_cut_and_resumed(cut: int) -> None:
    """Before, one failure in five is a timeout and one a refusal; of those that come on top nearly all time out."""
    calls = simulate({("refund", "atlas", "default"): [(0, 0.9), (WEEK, 0.6)]}, WEEK + HOUR * 4)
    usual, since = {"refused": 0.2, "timeout": 0.2}, {"refused": 0.05, "timeout": 0.75}

    def emitted(*ends: int) -> list[Alert]:
        drift, stage, found = Drift(NO_WAIT), Alerting(for_alerts(NO_WAIT)), []
        for begin, end in pairwise((0, *ends)):
            shares = usual if end <= WEEK else since
            part = with_errors(calls.between(begin, end), ("refused", "timeout"), shares)
            found += stage.close(part, drift.close(part))
            stage = Alerting.from_state(stage.state(), for_alerts(NO_WAIT))
        return found

    whole = emitted(WEEK, WEEK + HOUR * 4)
    by_error = {one.value: one for one in whole[0].slices if one.dimension == "error"}
    assert by_error["timeout"].share > 0.8
    assert abs(by_error["refused"].share) < 0.1
    assert by_error["timeout"].baseline == pytest.approx(0.98, abs=0.005)
    assert "Error 'timeout' accounts for" in whole[0].reason
    assert emitted(WEEK - cut, WEEK, WEEK + cut, WEEK + HOUR * 4) == whole


def test_where_the_baseline_is_too_short_the_alert_states_that_no_promise_is_made() -> None:
    """30 outcomes at 90 % cannot be distinguished from 60 % at the threshold, whatever a detector raises."""
    calls = simulate({ALL[0]: [(0, 0.9)]}, 60, every=1, per_day=1440.0)
    group = ALL[0]
    evidence = {
        "threshold": 2000.0,
        "trials_before": 30.0,
        "failures_before": 3.0,
        "trials_since": 50.0,
        "failures_since": 20.0,
    }
    found = Alarm(
        at=(START + 60) * MINUTE_US,
        series=("drift", group, "success_rate"),
        direction="down",
        baseline=0.9,
        current=0.6,
        effect_low=-0.5,
        effect_high=-0.1,
        changed_at=(START + 40) * MINUTE_US,
        promise=1.0,
        evidence=evidence,
        details=RateChange(inherited=False),
    )
    (opened,) = Alerting(for_alerts(NO_WAIT)).close(calls.between(0, 60), [found])
    assert opened.promise is None
    assert opened.caveat is not None
    assert "30 outcomes before the change are too few" in opened.caveat
    assert opened.reason.endswith(opened.caveat)
    known = found._replace(evidence=evidence | {"trials_before": 4000.0, "failures_before": 400.0})
    (sure,) = Alerting(for_alerts(NO_WAIT)).close(calls.between(0, 60), [known])
    assert str(sure.promise).startswith("At most 1 false alarms per 1,000 watched groups per week")
    assert sure.caveat is None


@pytest.mark.parametrize("weeks", [0, 1])
def test_a_first_weekend_carries_no_promise_and_a_second_does(weeks: int) -> None:
    """15 points are lost on a Saturday; before it there were five working days, or these and a whole week."""
    monday = -(START // DAY + 3) % 7 * DAY
    saturday = monday + weeks * WEEK + 5 * DAY
    calls = simulate({ALL[0]: [(0, 0.9), (saturday, 0.75)]}, saturday + DAY, every=10, per_day=1440.0)
    begun = calls.minute >= monday
    calls = Trials(calls.minute[begun], calls.group[begun], calls.successes[begun], calls.failures[begun], calls.names)
    opened = [one for one in alerts(calls, saturday + DAY) if one.state == "opened"]
    assert opened
    for one in opened:
        assert (one.promise is None) == (weeks == 0)
        assert weeks or "began on a weekend" in str(one.caveat)


@st.composite
def troubles(draw: st.DrawFn) -> Trials:
    """Up to three changes, each of a config, a model or everything, some of which end, within three weeks."""
    found: Levels = {(t, m, c): [(0, 0.9)] for t in TASKS[:2] for m in MODELS[:2] for c in ("v1", "v2")}
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(2 * DAY, 12 * DAY))
        level = draw(st.sampled_from([0.4, 0.7, 0.97]))
        width = draw(st.sampled_from([1, 2, 4, 8]))
        end = begin + draw(st.sampled_from([HOUR, DAY, 4 * DAY, 30 * DAY]))
        for group in list(found)[:width]:
            found[group] += [(begin, level), (end, 0.9)]
    for changes in found.values():
        changes.sort()
    return simulate(
        found, 16 * DAY, every=20, per_day=draw(st.sampled_from([100.0, 1000.0])), seed=draw(st.integers(0, 99))
    )


@pytest.mark.slow
@given(troubles(), st.lists(st.integers(1, 16 * DAY - 1), max_size=8), st.booleans())
@settings(max_examples=15, deadline=None)
def test_alerts_do_not_depend_on_how_minutes_are_cut_into_messages(
    calls: Trials,
    cuts: list[int],
    restore: bool,  # noqa: FBT001
) -> None:
    end = 16 * DAY
    rules = DriftSettings(warmup_us=6 * HOUR * MINUTE_US, new_normal_after_us=3 * DAY * MINUTE_US)
    found = Drift(rules).close(calls.between(0, end))
    whole = Alerting(for_alerts(rules)).close(calls.between(0, end), found)
    lawful(whole)
    stage, parts = Alerting(for_alerts(rules)), []
    for begin, until in pairwise(sorted({0, end, *cuts})):
        mine = [one for one in found if begin < one.at // MINUTE_US - START <= until]
        parts += stage.close(calls.between(begin, until), mine[::-1])
        if restore:
            stage = Alerting.from_state(stage.state(), for_alerts(rules))
    assert [to_json(one) for one in parts] == [to_json(one) for one in whole]
