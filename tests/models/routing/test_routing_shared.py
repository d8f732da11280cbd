"""Outcomes of one conversation count as what they tell in the choice of an arm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aftercall.records import Recommendation, to_json
from models.drift import Drift, DriftSettings
from models.messages import Closed, SharedTrials
from models.routing.routing import Routing, RoutingSettings
from models.side_messages import DatedTrials
from simulated.arms import START, A, B, Row, alert, arms, closed, when
from simulated.conversations import DAY, Trial, message

HOW = RoutingSettings(every_us=6 * 3_600_000_000)
DAY_LONG = replace(HOW, memory_us=24 * 3_600_000_000)
"""More and fewer outcomes are remembered for as long."""


def with_shared(rows: list[Row], shared: list[tuple[Any, int, int]], through: int) -> Closed:
    """`shared`: groups, minutes and 64ths of a trial."""
    made = closed(rows, through)
    keys = sorted((minute, made.names.index(group), excess) for group, minute, excess in shared)
    minute, code, excess = np.array(keys, np.int64).reshape(-1, 3).T
    return made._replace(shared=SharedTrials(code.astype(np.int32), minute.astype(np.int32), excess))


def test_an_arm_is_as_sure_as_so_many_independent_outcomes_and_its_rate_is_what_it_is() -> None:
    rows = [Row(START, A, 180, 20, 200), Row(START, B, 160, 40, 200)]
    (plain,) = Routing(DAY_LONG).close(closed(rows, START + 360), [])
    # Both have a design effect of 10.
    shared = [(group, START, 64 * 9 * 200) for group in (A, B)]
    (found,) = Routing(DAY_LONG).close(with_shared(rows, shared, START + 360), [])
    fewer = [Row(START, A, 18, 2, 20), Row(START, B, 16, 4, 20)]
    (small,) = Routing(replace(DAY_LONG, min_evidence=20)).close(closed(fewer, START + 360), [])
    for key, arm in arms(found).items():
        assert (arm.n, arm.rate) == (arms(plain)[key].n, arms(plain)[key].rate)
        one = arms(small)[key]
        # Counts have faded for some hours: those that are shared too.
        assert (arm.p_best, arm.rate_low) == pytest.approx((one.p_best, one.rate_low), abs=0.01)
        assert arm.status == "exploring"
    assert arms(plain)["a", "default"].weight > 0.98
    assert arms(found)["a", "default"].weight == 0.5


def test_where_nothing_is_shared_nothing_changes() -> None:
    rows = [Row(START, A, 180, 20, 200), Row(START, B, 160, 40, 200)]
    plain, none = (
        Routing(HOW).close(one, []) for one in (closed(rows, START + 360), with_shared(rows, [], START + 360))
    )
    assert [to_json(one) for one in plain] == [to_json(one) for one in none]


def test_a_few_long_conversations_are_no_more_than_so_many_outcomes() -> None:
    """Three outcomes share all: they are one at least, and no weight comes of less."""
    rows = [Row(START, A, 3, 0, 3), Row(START, B, 0, 3, 3)]
    shared = [(group, START, 64 * 1_000_000) for group in (A, B)]
    (found,) = Routing(RoutingSettings(min_evidence=1)).close(with_shared(rows, shared, START + 60), [])
    assert arms(found)["a", "default"].p_best == pytest.approx(5 / 6, abs=0.01)


def test_a_reset_forgets_what_earlier_outcomes_shared() -> None:
    rows = [Row(START + 60 * hour, A, 90, 10, 100) for hour in range(20)]
    shared = [(A, START + 60 * hour, 64 * 900) for hour in range(10)]
    incident = alert(START + 60 * 19 + 5, changed_at=when(START + 60 * 12))
    wide, narrow = (
        arms(Routing(HOW).close(with_shared(rows, some, START + 60 * 20), [incident])[-1])["a", "default"]
        for some in ([*shared, (A, START + 60 * 15, 64 * 9_000)], shared)
    )
    plain = arms(Routing(HOW).close(closed(rows, START + 60 * 20), [incident])[-1])["a", "default"]
    assert narrow == plain
    assert wide.rate_low < plain.rate_low


def test_messages_and_restarts_do_not_change_what_is_shared() -> None:
    """Conversations through the detector, cut in three ways."""
    trials = talks(np.random.default_rng(1), 2, 3)
    whole = routed(trials, 3, 1)
    assert len(whole) > 4
    for pieces in (2, 13):
        assert [to_json(one) for one in routed(trials, 3, pieces)] == [to_json(one) for one in whole]


@pytest.mark.statistics
@pytest.mark.slow
def test_of_two_arms_that_are_alike_none_is_surely_best_because_of_whole_conversations() -> None:
    """60 pairs of equal arms, ten days: five in a hundred may be thought better or worse with 97.5 %."""
    trials = talks(np.random.default_rng(2), 120, 10)
    last = {one.task_type: one for one in routed(trials, 10, 1)}
    alone = {one.task_type: one for one in routed(trials, 10, 1, units=False)}
    sure, before = (
        sum(max(arm.p_best for arm in arms(one).values()) > 0.975 for one in found.values()) / len(found)
        for found in (last, alone)
    )
    assert len(last) == len(alone) == 60
    assert before > 0.4
    assert sure < 0.15


def names(groups: int) -> list[Any]:
    return [(f"task-{group // 2:02d}", f"model-{group % 2}", "v1") for group in range(groups)]


def talks(rng: np.random.Generator, groups: int, days: int) -> list[Trial]:
    """Ten conversations a day and arm of 3 to 30 calls, all of which have one verdict; 15 % fail."""
    trials = []
    for unit in range(groups * 10 * days):
        begin, success = int(rng.integers(0, days * DAY)), bool(rng.random() < 0.85)
        trials += [Trial(START + begin + at, unit % groups, unit, success) for at in range(int(rng.integers(3, 31)))]
    return sorted(trials)


def routed(trials: list[Trial], days: int, pieces: int, *, units: bool = True) -> list[Recommendation]:
    """All recommendations of a pipeline of detectors and routing, which is stored and resumed between messages."""
    drift, routing, found = Drift(DriftSettings(warmup_us=0)), Routing(HOW), list[Recommendation]()
    of = names(max(trial.group for trial in trials) + 1)
    ends = [START + (days + 1) * DAY * (piece + 1) // pieces for piece in range(pieces)]
    for begin, end in zip([0, *ends], ends, strict=False):
        part = message([one for one in trials if begin <= one.minute < end], of, end, units=units)
        net = part.trials._replace(
            successes=part.trials.trial_successes,
            failures=part.trials.trial_failures,
            calls=part.trials.trial_successes + part.trials.trial_failures,
        )
        dated = DatedTrials(net.code, net.minute, net.minute // 15, net.successes, net.failures, net.calls)
        part = part._replace(trials=net, dated=dated)
        drift.close(part)
        found += routing.close(part._replace(shared=drift.shared()), [])
        drift, routing = (
            Drift.from_state(drift.state(), DriftSettings(warmup_us=0)),
            Routing.from_state(routing.state(), HOW),
        )
    return found
