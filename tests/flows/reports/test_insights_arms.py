"""Arms in columns are what arms one by one are, to the last bit."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest

from flows.reports.insights_arms import Arms
from flows.reports.insights_compare import ArmInsight
from flows.reports.insights_rates import OF_VERDICTS
from flows.reports.insights_reading import read_tasks
from flows.reports.insights_spans import Spans, spans_of
from flows.reports.insights_view import _order, power_line
from flows.reports.insights_whole import compare_tasks
from oracle import arms as one_by_one
from simulated.snapshot import END, TABLES

TASKS = ("a", "b", "ü", "empty")
GROUPS = [(task, f"m{m}", f"c{c}") for task in TASKS[:3] for m in range(5) for c in range(2)]
WEEK, TWO_DAYS = timedelta(hours=168), timedelta(hours=48)


def counts(rng: np.random.Generator) -> dict[str, int]:
    good, bad, open_, over = (int(rng.integers(0, rng.choice([1, 3, 50, 3000]))) for _ in range(4))
    open_ *= int(rng.random() < 0.6)
    whole = {"successes": good, "failures": bad, "pending": open_, "expired": over}
    return {**whole, "resolved": good + bad, "calls": good + bad + open_ + over}


def rate_of(found: dict[str, int]) -> float | None:
    return found["successes"] / found["resolved"] if found["resolved"] else None


def snapshot(seed: int) -> duckdb.DuckDBPyConnection:
    """Tables of arms of all kinds: old ones, new ones, mute ones, and those of which much is unknown."""
    rng, base = np.random.default_rng(seed), duckdb.connect()
    base.execute(TABLES)
    rows: list[dict[str, Any]] = []
    for task, model, config in GROUPS:
        group = {"task_type": task, "model": model, "config": config}
        for hours in rng.integers(0, 260, rng.integers(0, 4)).tolist():
            at = END - timedelta(hours=hours)
            rows += [
                {**group, "table": "rates", "grain": grain, "window_start": at, **counts(rng)} for grain in ("1h", "1d")
            ]
        shared = bool(seed % 2 and task != "b")
        effects = {"design_effect": 1 + 3 * rng.random() * shared, "task_design_effect": 1 + 2.5 * shared}
        for span in ("48h", "7d") if rng.random() < 0.8 else ():
            found = counts(rng)
            row = {**group, "table": "current_rates", "span": span, "as_of": END, **found, "rate": rate_of(found)}
            low, middle, high = np.sort(rng.random(3)).tolist()
            row |= {"rate_low": low, "rate_high": high}
            if rng.random() < 0.8:
                row |= {"corrected_rate": middle, "corrected_low": low, "corrected_high": high}
                row["maturity"] = float(rng.choice([0.0, 0.3, 1.0]))
            if rng.random() < 0.6:
                row |= {"outcomes_per_day": high * 100, "power_within_week": low}
                row["power_days"] = None if rng.random() < 0.3 else float(rng.integers(1, 4))
            rows.append(row | effects)
    for row in rows:
        table, names = row.pop("table"), ", ".join(row)
        base.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    return base


def compared(base: duckdb.DuckDBPyConnection, spans: Spans, task: str | None) -> dict[str, one_by_one.Compared]:
    power = {} if task is None else one_by_one.read_power(base, task)
    found = one_by_one.read_tasks(base, OF_VERDICTS, spans, task)
    return one_by_one.compare_tasks(found, power, one_by_one.read_effects(base, task))


def assert_alike(arms: Arms, expected: list[ArmInsight]) -> None:
    assert list(arms) == expected
    assert len(arms) == len(expected)
    assert arms.worse.tolist() == [arm.state == "worse" for arm in expected]
    assert arms.undecided.tolist() == [arm.state == "not_enough_evidence" for arm in expected]
    assert arms[1:3] == expected[1:3]
    assert [arms[at] for at in range(-1, len(arms))] == expected[-1:] + expected if expected else not arms
    assert power_line(arms) == one_by_one.power_line(expected)
    assert arms.have("m1", None) == any(arm.model == "m1" for arm in expected)
    assert arms.covered("m2", "c1").tolist() == [(arm.model, arm.config) == ("m2", "c1") for arm in expected]
    busiest = sorted(expected, key=lambda arm: (arm.state != "worse", -arm.current.calls))
    assert arms.records(_order(arms, [])) == busiest


@pytest.mark.parametrize("seed", range(12))
def test_arms_in_columns_are_what_arms_one_by_one_are(seed: int) -> None:
    base, states = snapshot(seed), set()
    past = END.replace(tzinfo=UTC) - timedelta(hours=30)
    for as_of in (None, past):
        spans = spans_of(base, TWO_DAYS, WEEK, as_of)
        for task in (None, *TASKS):
            expected = compared(base, spans, task)
            found = compare_tasks(read_tasks(base, OF_VERDICTS, spans, task, power=task is not None))
            assert list(found) == list(expected)
            for name, (overall, arms) in expected.items():
                assert found[name].overall == overall
                assert_alike(found[name].arms, arms)
                states |= {arm.state for arm in arms}
    assert len(states) >= 2
