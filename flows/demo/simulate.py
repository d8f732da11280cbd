"""Writes simulated traffic to files: `calls.jsonl`, `outcomes.jsonl` and the truth about them, `truth.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from aftercall.times import DAY_US, format_time, to_us
from models.simulation import DEMO, Scenario, SimCalls, SimOutcomes, Traffic, simulate_traffic

DEMO_START = datetime(2026, 9, 7, tzinfo=UTC)
DEMO_DAYS = 14.0
DEMO_CALLS_PER_DAY = 5_000.0
DEMO_SEED = 7
AFTER_DAYS = 1.0
"""How long after the last call outcomes still come: exports end so."""


@dataclass(frozen=True)
class Simulated:
    """The files written, and the content of `truth.json`."""

    calls: Path
    outcomes: Path
    truth: Path
    content: dict[str, Any]


def simulate(
    out: Path,
    *,
    days: float = DEMO_DAYS,
    calls_per_day: float = DEMO_CALLS_PER_DAY,
    seed: int = DEMO_SEED,
    start: datetime = DEMO_START,
    scenario: Scenario = DEMO,
    after_days: float = AFTER_DAYS,
) -> Simulated:
    """Write simulated traffic; the defaults are those of `aftercall demo`.

    Args:
        out: folder, created if missing; files of the same names in it are replaced.
        days: length of the period of the calls, > 0.
        calls_per_day: mean number of calls, > 0.
        seed: the same arguments and seed give the same bytes.
        start: first instant, aware.
        scenario: what the traffic looks like, and the hidden incident.
        after_days: how long outcomes still come after the last call, >= 0.

    Raises:
        ValueError: an argument is out of its range.
    """
    for name, value in (("days", days), ("calls_per_day", calls_per_day)):
        if not value > 0:
            message = f"simulate: {name} must be > 0; got {value:g} (give a positive number)"
            raise ValueError(message)
    begin = to_us(start)
    traffic = simulate_traffic(
        scenario, start=begin, days=days, calls_per_day=calls_per_day, seed=seed, after_days=after_days
    )
    rng = np.random.default_rng([seed, 1])
    out.mkdir(parents=True, exist_ok=True)
    calls, outcomes, truth = out / "calls.jsonl", out / "outcomes.jsonl", out / "truth.json"
    repeated = (
        _write(calls, _call_records(scenario, traffic.calls), scenario.duplicates, rng),
        _write(outcomes, _outcome_records(traffic.outcomes), scenario.duplicates, rng),
    )
    content = _truth(scenario, traffic, begin, days, seed, repeated)
    truth.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return Simulated(calls, outcomes, truth, content)


def _write(path: Path, records: Iterator[dict[str, Any]], duplicates: float, rng: np.random.Generator) -> int:
    """Write one line per record, and a share `duplicates` of them twice; returns the number of repeated lines."""
    repeated = 0
    with path.open("wb") as file:
        for record in records:
            line = orjson.dumps(record) + b"\n"
            twice = rng.random() < duplicates
            repeated += twice
            file.write(line * (1 + twice))
    return repeated


def _call_records(scenario: Scenario, calls: SimCalls) -> Iterator[dict[str, Any]]:
    columns = (column.tolist() for column in calls)
    for at, task, arm, _, error, latency_ms, cost_usd, tokens_in, tokens_out, call_id in zip(*columns, strict=True):
        record = {
            "call_id": call_id,
            "occurred_at": format_time(at),
            "task_type": scenario.tasks[task].name,
            "model": scenario.arms[arm].model,
            "config": scenario.arms[arm].config,
            "latency_ms": latency_ms,
            "cost_usd": cost_usd,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
        }
        if error:
            record["error"] = "provider: timed out"
        yield record


def _outcome_records(outcomes: SimOutcomes) -> Iterator[dict[str, Any]]:
    columns = (column.tolist() for column in outcomes)
    for at, _, source, success, score, retracts, outcome_id, call_id in zip(*columns, strict=True):
        record = {"outcome_id": outcome_id, "call_id": call_id, "occurred_at": format_time(at), "source": source}
        if retracts != -1:
            record["action"] = "retract"
            if retracts >= 0:
                record["retracts"] = outcomes.ids[retracts]
        elif score == score:  # noqa: PLR0124 - nan if the statement is a plain success or failure
            record["score"] = score
        else:
            record["success"] = success
        yield record


def _truth(
    scenario: Scenario, traffic: Traffic, start: int, days: float, seed: int, repeated: tuple[int, int]
) -> dict[str, Any]:
    incident = None
    if scenario.incident is not None and traffic.changed_at is not None:
        task = next(task for task in scenario.tasks if task.name == scenario.incident.task_type)
        configs = [arm.config for arm in scenario.arms if arm.model == scenario.incident.model]
        before = task.rates[scenario.incident.model, configs[0]]
        incident = {
            "task_type": task.name,
            "model": scenario.incident.model,
            "configs": configs,
            "changed_at": format_time(traffic.changed_at),
            "rate_before": before,
            "rate_after": round(before - scenario.incident.drop, 6),
            "drop": scenario.incident.drop,
        }
    return {
        "seed": seed,
        "start": format_time(start),
        "end": format_time(start + int(days * DAY_US)),
        "incident": incident,
        "rates": [
            {"task_type": task.name, "model": model, "config": config, "success_rate": rate}
            for task in scenario.tasks
            for (model, config), rate in task.rates.items()
        ],
        "calls": len(traffic.calls.at),
        "outcomes": len(traffic.outcomes.at) - int((traffic.outcomes.call < 0).sum()),
        "orphans": int((traffic.outcomes.call < 0).sum()),
        "duplicates": sum(repeated),
        "reopened": traffic.reopened,
        "corrected": traffic.corrected,
        "withdrawn": traffic.withdrawn,
        "errors": int(traffic.calls.error.sum()),
        "success_rate": round(float(traffic.calls.success.mean()), 6) if len(traffic.calls.at) else None,
    }
