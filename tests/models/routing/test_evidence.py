"""Evidence is of calls, whenever their outcomes come, and is corrected for those that are still out."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from aftercall.records import to_json
from aftercall.times import DAY_US, HOUR_US, MINUTE_US
from models import plain
from models.messages import Restart
from models.routing.dated_counts import DatedCounts
from models.routing.evidence import evidence, memory
from models.routing.routing import Routing, RoutingSettings
from models.routing.task_delays import TaskDelays, in_by
from models.stats.minute_delays import bucket_of
from simulated.arms import START, A, B, Row, alert, arms, closed, when

HOURLY = RoutingSettings(every_us=HOUR_US)


def late_outcomes(group: tuple[str, str, str], since: int, until: int, good: int, bad: int) -> list[Row]:
    """Every hour 100 calls, of which failures come after 10 minutes and successes after 3 hours."""
    rows = []
    for hour in range(since, until):
        begin = START + 60 * hour
        rows.append(Row(begin, group, calls=100))
        rows.append(Row(begin + 10, group, failures=bad, calls=0, age=10))
        rows.append(Row(begin + 180, group, successes=good, calls=0, age=180))
    return rows


def through(rows: list[Row], hours: int) -> list[Row]:
    return [row for row in rows if row.minute < START + 60 * hours]


def test_outcomes_of_calls_before_a_change_say_nothing_of_the_arm_after_it() -> None:
    """Successes of the good hours go on arriving for three hours after the arm has become bad."""
    rows = late_outcomes(A, 0, 48, 85, 15) + late_outcomes(A, 48, 58, 40, 60) + late_outcomes(B, 0, 58, 75, 25)
    incident = alert(START + 60 * 49 + 5, changed_at=when(START + 60 * 48))
    issued = Routing(HOURLY).close(closed(through(rows, 58), START + 60 * 58), [incident])
    for one in issued:
        if one.issued_at < when(START + 60 * 50):
            continue
        found = arms(one)["a", "default"]
        assert found.weight < 0.05
        assert found.rate == pytest.approx(0.4, abs=0.12)
    last = arms(issued[-1])
    assert last["a", "default"].n <= 1000


def test_what_is_still_out_does_not_bias_the_rate_from_the_first_hours_on() -> None:
    rows = through(late_outcomes(A, 0, 8, 80, 20), 8)
    found = arms(Routing(HOURLY).close(closed(rows, START + 60 * 8), [])[-1])["a", "default"]
    raw = sum(row.successes for row in rows) / sum(row.successes + row.failures for row in rows)
    assert raw < 0.74
    assert found.rate == pytest.approx(0.8, abs=0.02)
    # As sure as what has come of the slower kind allows, not as of all outcomes.
    whole = 0.8 * found.n
    assert found.rate_high - found.rate_low > 2 * 1.96 * math.sqrt(0.8 * 0.2 / whole)


def test_a_verdict_that_is_taken_back_leaves_the_calls_it_was_of() -> None:
    rows = [Row(START, A, 50, 0, 50), Row(START + 600, A, -50, 50, 0, age=600), Row(START + 600, A, 8, 2, 10)]
    incident = alert(START + 640, changed_at=when(START + 60))
    found = arms(Routing(HOURLY).close(closed(rows, START + 660), [incident])[-1])["a", "default"]
    assert (found.n, found.rate) == (10, pytest.approx(0.8))


def test_a_change_without_an_alert_restarts_an_arm_once_in_twelve_hours() -> None:
    rows = [Row(START + 60 * hour, A, 9, 1, 10) for hour in range(30)]
    routing = Routing(HOURLY)
    restarts = [
        Restart(A, (START + 60 * at) * MINUTE_US, (START + 60 * (at - 2)) * MINUTE_US, "down") for at in (9, 20)
    ]
    found = [
        arms(one)["a", "default"].n
        for one in Routing(RoutingSettings(every_us=HOUR_US, valid_for_us=2 * HOUR_US)).close(
            closed(rows, START + 60 * 30), [], restarts
        )
    ]
    assert min(found[8:10]) <= 25
    bounded = routing.close(closed(rows[:20], START + 60 * 20), [], restarts[:1])
    changed = when(START + 60 * 7).strftime("%Y-%m-%d %H:%M")
    assert f"a restarted: its rate fell about {changed} UTC, without an alert" in bounded[-1].reason
    bounded += routing.close(closed([], START + 60 * 21), [], restarts[1:])
    assert arms(bounded[-1])["a", "default"].n > 100
    opened = routing.close(closed([], START + 60 * 22), [alert(START + 60 * 21 + 1, changed_at=when(START + 60 * 19))])
    assert arms(opened[-1])["a", "default"].n <= 10
    assert "without an alert" not in opened[-1].reason


def test_an_alert_on_the_whole_task_type_restarts_the_arm_that_moved_and_no_other() -> None:
    """Where one arm has nearly all calls, the alert is on the task type; the arm would go on with its good days."""
    rows = late_outcomes(A, 0, 48, 85, 15) + late_outcomes(A, 48, 52, 40, 60) + late_outcomes(B, 0, 52, 75, 25)
    incident = alert(START + 60 * 51 + 5, ("triage", None, None), changed_at=when(START + 60 * 48))
    found = arms(Routing(HOURLY).close(closed(through(rows, 52), START + 60 * 52), [incident])[-1])
    assert found["a", "default"].n <= 400
    assert found["a", "default"].weight < 0.05
    assert found["b", "default"].n > 2000
    raised = alert(START + 60 * 51 + 5, ("triage", None, None), direction="up", changed_at=when(START + 60 * 48))
    kept = arms(Routing(HOURLY).close(closed(through(rows, 52), START + 60 * 52), [raised])[-1])
    assert kept["a", "default"].n > 2000


def test_nothing_is_issued_that_says_nothing_new_until_half_the_life_of_the_last_is_over() -> None:
    rows = [
        Row(START + minute, group, good, 10 - good, 10)
        for minute in range(0, 900, 5)
        for group, good in ((A, 9), (B, 5))
    ]
    issued = [one.issued_at for one in Routing(RoutingSettings()).close(closed(rows, START + 900), [])]
    settled = [at for at in issued if at >= when(START + 120)]
    assert all((b - a).total_seconds() == 3 * 3600 for a, b in pairwise(settled))
    assert 2 <= len(settled) <= 5
    routing = Routing(RoutingSettings())
    first = routing.close(closed(rows[:60], START + 300), [])
    assert first
    # Weights stay as they are, and no call comes any more: what was held back is said once more, then nothing.
    again = routing.close(closed([], START + 3000), [])
    assert len(again) <= 1
    assert all(one.issued_at <= first[-1].valid_until for one in again)


def test_delays_are_learned_under_traffic_that_grows_while_most_verdicts_are_out() -> None:
    """Against the true distribution, given that a delay is no longer than what could be seen."""
    rng = np.random.default_rng(7)
    delays, hours = TaskDelays(), 30
    calls = np.repeat(np.arange(hours * 60), (40 * 1.1 ** (np.arange(hours * 60) / 60)).astype(int))
    for minutes, ok in ((180.0, 1), (10.0, 0)):
        took = np.floor(minutes * np.exp(1.2 * rng.standard_normal(len(calls)))).astype(np.int64)
        seen = calls + took < hours * 60
        order = np.argsort(calls[seen] + took[seen], kind="stable")
        arrived, waited = (calls + took)[seen][order], took[seen][order]
        if ok:
            base = START + calls
            delays.add_calls(base, base // 15, np.ones(len(calls), np.int64))
        delays.add(
            START + arrived,
            np.full(len(arrived), ok),
            bucket_of(waited).astype(np.int64),
            np.ones(len(arrived), np.int64),
        )
    shares = delays.shares((START + hours * 60) * MINUTE_US)
    assert shares is not None
    for found, minutes in zip(shares, (10.0, 180.0), strict=True):
        for age in (15.0, 60.0, 240.0, 600.0):
            assert float(in_by(found, np.array([age * MINUTE_US]))[0]) == pytest.approx(
                lognormal(age / minutes) / lognormal(hours * 60 / minutes), abs=0.04
            )
    again = TaskDelays.from_state(plain.unpack(plain.pack(delays.state((START + hours * 60) * MINUTE_US))))
    for one, other in zip(again.shares((START + hours * 60) * MINUTE_US) or (), shares, strict=True):
        assert one.tolist() == other.tolist()


def lognormal(ratio: float) -> float:
    return 0.5 * (1 + math.erf(math.log(ratio) / 1.2 / math.sqrt(2)))


def test_delays_are_unknown_until_both_kinds_have_come() -> None:
    delays = TaskDelays()
    assert delays.shares(0) is None
    minutes = np.full(40, START)
    delays.add_calls(minutes, minutes // 15, np.ones(40, np.int64))
    delays.add(minutes, np.ones(40, np.int64), np.zeros(40, np.int64), np.ones(40, np.int64))
    assert delays.shares((START + 600) * MINUTE_US) is None


@pytest.mark.parametrize(("an_hour", "hours"), [(600, 19), (60, 168), (6000, 12)])
def test_memory_is_as_long_as_outcomes_take_to_tell_three_points_apart(an_hour: int, hours: int) -> None:
    counts = DatedCounts()
    quarters = START // 15 + np.arange(4 * 72)
    good = np.full(len(quarters), round(an_hour / 4 * 0.85))
    counts.add(np.zeros(len(quarters), np.int64), quarters, (good, round(an_hour / 4) - good, good))
    now = (START + 72 * 60) * MINUTE_US
    found = memory(counts.bins(now), 5, now, 7 * DAY_US)
    assert found / HOUR_US == pytest.approx(hours, rel=0.1)


def test_old_evidence_goes_on_as_that_of_calls_of_its_hours() -> None:
    rows = [
        Row(START + 60 * hour, group, good, 100 - good, 100) for hour in range(30) for group, good in ((A, 90), (B, 60))
    ]
    routing = Routing(HOURLY)
    routing.close(closed(rows, START + 60 * 30), [])
    state = routing.state()
    old = {**state, "tasks": {name: version_3(task) for name, task in state["tasks"].items()}}
    again = Routing.from_state(Routing.MIGRATIONS[3](old), HOURLY)
    more = [Row(START + 60 * 30 + 5, A, 90, 10, 100)]
    (found,) = again.close(closed(more, START + 60 * 31), [])[-1:]
    (wanted,) = routing.close(
        closed(more, START + 60 * 31), [alert(START + 60 * 31 - 1, direction="up", changed_at=when(START))]
    )[-1:]
    for key, arm in arms(found).items():
        assert arm.n == pytest.approx(arms(wanted)[key].n, rel=0.02)
        assert arm.rate == pytest.approx(arms(wanted)[key].rate, abs=0.01)


def version_3(task: dict[str, object]) -> dict[str, object]:
    """As it was: eight rows per hour, of trials by arrival, and nothing of what version 4 has."""
    held = dict(task["evidence"])  # type: ignore[call-overload]
    history = []
    for hour, active, counts in held["history"]:
        whole = np.zeros((8, len(active)), np.int64)
        whole[[0, 1, 7]] = counts
        whole[6] = counts[:2].sum(axis=0)
        history.append((hour, active, whole))
    for name in ("open", "settled"):
        rows = np.zeros((8, 2), held[name].dtype)
        rows[[0, 1, 6, 7]] = held[name]
        held[name] = rows
    kept = {name: task[name] for name in ("open_alerts", "seq", "due")}
    return {**kept, "evidence": {**held, "history": history}}


def test_an_arm_takes_ten_kilobytes_at_most_and_thirty_arms_are_weighed_at_once() -> None:
    minutes = range(0, 28 * 24 * 60, 15)
    names = [("triage", f"m{i}", "default") for i in range(30)]
    routing = Routing(RoutingSettings())
    for day in range(28):
        rows = [Row(START + m, group, 5, 5, 10) for m in minutes if m // 1440 == day for group in names]
        routing.close(closed(rows, START + 1440 * (day + 1)), [])
    assert len(plain.pack(routing.state())) / 30 <= 10_240
    assert to_json(routing.close(closed([Row(START + 28 * 1440, names[0], 5, 5, 10)], START + 28 * 1440 + 300), [])[-1])


def test_evidence_of_nothing_is_nothing() -> None:
    found = evidence(DatedCounts().bins(0), 3, 0, float(DAY_US), None)
    assert [part.tolist() for part in found] == [[0.0] * 3, [0.0] * 3, [1.0] * 3, [0.0] * 3]
