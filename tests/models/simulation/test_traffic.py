"""Simulated traffic: reproducible, within the reference, and true to its scenario."""

from __future__ import annotations

import re

import numpy as np
import pytest

from models.simulation.scenario import DEMO
from models.simulation.traffic import Traffic, simulate_traffic, uuid7

START = 1_788_739_200_000_000
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return simulate_traffic(DEMO, start=START, days=14, calls_per_day=3000, seed=3)


def test_rates_are_those_of_the_scenario_before_and_after_the_incident(traffic: Traffic) -> None:
    calls = traffic.calls
    assert traffic.changed_at is not None
    for index, task in enumerate(DEMO.tasks):
        for number, arm in enumerate(DEMO.arms):
            mine = (calls.task == index) & (calls.arm == number)
            hit = task.name == "support_triage" and arm.model == "atlas-large"
            for after, drop in ((False, 0.0), (True, 0.12 if hit else 0.0)):
                some = mine & ((calls.at >= traffic.changed_at) == after)
                rate = task.rates[arm.model, arm.config] - drop
                error = 4 * np.sqrt(rate * (1 - rate) / some.sum())
                assert calls.success[some].mean() == pytest.approx(rate, abs=error)


def test_failures_are_reported_faster_than_successes(traffic: Traffic) -> None:
    outcomes = traffic.outcomes
    asserted = (outcomes.retracts == -1) & (outcomes.call >= 0) & (outcomes.source == "user_feedback")
    delay = outcomes.at[asserted] - traffic.calls.at[outcomes.call[asserted]]
    assert np.median(delay[~outcomes.success[asserted]]) < 0.3 * np.median(delay[outcomes.success[asserted]])


def test_statements_come_after_their_call_within_the_longest_delay_and_the_period(traffic: Traffic) -> None:
    outcomes = traffic.outcomes
    known = outcomes.call >= 0
    delay = outcomes.at[known] - traffic.calls.at[outcomes.call[known]]
    assert delay.min() > 0
    assert delay.max() <= DEMO.max_delay_s * 1e6 + 60e6
    assert outcomes.at.max() < START + 14 * DAY_US
    assert (np.diff(outcomes.at) >= 0).all()
    assert (np.diff(traffic.calls.at) >= 0).all()


def test_a_retraction_comes_after_what_it_withdraws_on_the_same_call(traffic: Traffic) -> None:
    outcomes = traffic.outcomes
    rows = np.flatnonzero(outcomes.retracts >= 0)
    assert rows.shape[0] > 10
    assert (outcomes.retracts[rows] < rows).all()
    assert (outcomes.call[outcomes.retracts[rows]] == outcomes.call[rows]).all()


def test_every_kind_of_signal_and_trouble_occurs(traffic: Traffic) -> None:
    assert set(traffic.outcomes.source) == {
        "user_feedback",
        "downstream",
        "human_review",
        "judge",
        "ticket_reopened",
    }
    assert min(traffic.reopened, traffic.corrected, traffic.withdrawn, traffic.orphans) > 20
    assert (traffic.outcomes.retracts == -2).any()
    unanswered = np.setdiff1d(np.arange(traffic.calls.at.shape[0]), traffic.outcomes.call)
    assert 0.1 < unanswered.shape[0] / traffic.calls.at.shape[0] < 0.4


def test_the_same_seed_gives_the_same_traffic_and_another_one_does_not() -> None:
    one, same, other = (simulate_traffic(DEMO, start=START, days=1, calls_per_day=50, seed=s) for s in (1, 1, 2))
    assert one.calls.ids.tolist() == same.calls.ids.tolist()
    assert one.outcomes.ids.tolist() == same.outcomes.ids.tolist()
    assert one.calls.ids.tolist() != other.calls.ids.tolist()


def test_ids_are_uuid7_and_carry_their_time() -> None:
    ids = uuid7(np.array([START, START + 1_000_000]), np.random.default_rng(0))
    for text in ids:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text)
    assert int(ids[1].replace("-", "")[:12], 16) - int(ids[0].replace("-", "")[:12], 16) == 1000
