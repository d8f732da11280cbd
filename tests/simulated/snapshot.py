"""A snapshot made by hand, and what reports show of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import duckdb
from rich.console import Console

END = datetime(2026, 9, 21)  # noqa: DTZ001 - the snapshot's TIMESTAMPs are naive, UTC by definition
COUNTS = "calls BIGINT, resolved BIGINT, successes BIGINT, failures BIGINT, expired BIGINT, pending BIGINT"
MEASURES = (
    f"{COUNTS}, rate DOUBLE, rate_low DOUBLE, rate_high DOUBLE, corrected_rate DOUBLE, corrected_low DOUBLE, "
    "corrected_high DOUBLE, maturity DOUBLE, latency_p50_ms DOUBLE, latency_p95_ms DOUBLE, cost_usd DOUBLE"
)
GROUP = "task_type VARCHAR, model VARCHAR, config VARCHAR"
TABLES = f"""
CREATE TABLE rates ({GROUP}, grain VARCHAR, window_start TIMESTAMP, {MEASURES});
CREATE TABLE segment_rates ({GROUP}, segment VARCHAR, grain VARCHAR, window_start TIMESTAMP, {MEASURES});
CREATE TABLE current_rates ({GROUP}, span VARCHAR, {MEASURES}, as_of TIMESTAMP, outcomes_per_day DOUBLE,
  power_days DOUBLE, power_within_week DOUBLE, design_effect DOUBLE, task_design_effect DOUBLE);
CREATE TABLE alerts (event_id VARCHAR, seq BIGINT, alert_id VARCHAR, state VARCHAR, kind VARCHAR, severity VARCHAR,
  opened_at TIMESTAMP, updated_at TIMESTAMP, closed_at TIMESTAMP, {GROUP}, metric VARCHAR, direction VARCHAR,
  baseline DOUBLE, current DOUBLE, effect_low DOUBLE, effect_high DOUBLE, changed_at TIMESTAMP, promise VARCHAR,
  reason VARCHAR, evidence VARCHAR, failures_per_day DOUBLE, caveat VARCHAR, slices VARCHAR, split VARCHAR,
  other_alarms VARCHAR);
CREATE TABLE recommendations (event_id VARCHAR, seq BIGINT, recommendation_id VARCHAR, task_type VARCHAR,
  issued_at TIMESTAMP, valid_until TIMESTAMP, segment VARCHAR, model VARCHAR, config VARCHAR, weight DOUBLE,
  p_best DOUBLE, rate DOUBLE, rate_low DOUBLE, rate_high DOUBLE, n BIGINT, status VARCHAR, degraded VARCHAR,
  reason VARCHAR);
CREATE TABLE pipeline (version BIGINT, written_at TIMESTAMP, watermark TIMESTAMP, records BIGINT, calls BIGINT,
  completed BIGINT, attempts BIGINT, outcomes BIGINT, duplicates BIGINT, waiting BIGINT, orphans BIGINT, late BIGINT,
  conflicts BIGINT, dead_letters BIGINT, pending BIGINT, successes BIGINT, failures BIGINT, expired BIGINT,
  positions VARCHAR);
"""


def insert(base: duckdb.DuckDBPyConnection, table: str, **row: Any) -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    base.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def rates(base: duckdb.DuckDBPyConnection, model: str, hours_ago: int, successes: int, failures: int) -> None:
    insert(
        base,
        "rates",
        task_type="triage",
        model=model,
        config="default",
        grain="1h",
        window_start=END - timedelta(hours=hours_ago),
        calls=successes + failures + 5,
        resolved=successes + failures,
        successes=successes,
        failures=failures,
        expired=2,
        pending=3,
    )


def current(base: duckdb.DuckDBPyConnection, hours: int = 48, span: str = "48h") -> None:
    """The rows of `current_rates` that go with those of `rates`, not corrected."""
    base.execute(
        """
        INSERT INTO current_rates BY NAME
        SELECT task_type, model, config, ? AS span, sum(calls) AS calls, sum(resolved) AS resolved,
          sum(successes) AS successes, sum(failures) AS failures, sum(expired) AS expired, sum(pending) AS pending,
          sum(successes) / sum(resolved) AS rate, ?::TIMESTAMP AS as_of
        FROM rates WHERE grain = '1h' AND window_start >= ? AND window_start < ? GROUP BY ALL
        """,
        [span, END, END - timedelta(hours=hours), END],
    )


def alert(base: duckdb.DuckDBPyConnection, number: int, **changes: Any) -> None:
    row: dict[str, Any] = {
        "alert_id": f"{number:032x}",
        "state": "opened",
        "kind": "drift",
        "severity": "critical",
        "opened_at": END - timedelta(hours=30),
        "task_type": "triage",
        "model": "atlas",
        "config": "default",
        "metric": "success_rate",
        "direction": "down",
        "baseline": 0.9,
        "current": 0.7,
        "effect_low": -0.25,
        "effect_high": -0.15,
        "changed_at": END - timedelta(hours=40),
        "reason": "Success rate of atlas fell.",
        "evidence": "{}",
    }
    insert(base, "alerts", **(row | changes))


def shown(print_to: Any) -> str:
    console = Console(file=StringIO(), width=200)
    print_to(console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]
