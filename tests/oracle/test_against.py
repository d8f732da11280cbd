"""The comparison sees every difference between a snapshot and the oracle, and nothing where there is none."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from oracle.against import CALLS, STATEMENTS, compare, compare_verdicts
from oracle.records import EPOCH, MINUTE_US, NEVER, Call, Outcome, Rules
from oracle.replay import Oracle
from oracle.tables import GRAIN_US

T = 29_000_000 * MINUTE_US

TABLES = """
CREATE TABLE calls (call_id VARCHAR, attempt INTEGER, occurred_at TIMESTAMP, task_type VARCHAR, model VARCHAR,
  config VARCHAR, segment VARCHAR, session_id VARCHAR, latency_ms DOUBLE, cost_usd DOUBLE, tokens BIGINT, error VARCHAR,
  attrs VARCHAR, verdict VARCHAR, score DOUBLE, verdict_source VARCHAR, verdict_at TIMESTAMP, statements INTEGER,
  revisions INTEGER);
CREATE TABLE statements (call_id VARCHAR, outcome_id VARCHAR, edition INTEGER, source VARCHAR, author VARCHAR,
  occurred_at TIMESTAMP, action VARCHAR, success BOOLEAN, score DOUBLE, reason VARCHAR, scorer VARCHAR, stands BOOLEAN);
CREATE TABLE rates (task_type VARCHAR, model VARCHAR, config VARCHAR, grain VARCHAR, window_start TIMESTAMP,
  calls BIGINT, resolved BIGINT, successes BIGINT, failures BIGINT, expired BIGINT, pending BIGINT, rate DOUBLE,
  cost_usd DOUBLE);
CREATE TABLE source_rates (task_type VARCHAR, model VARCHAR, config VARCHAR, source VARCHAR, grain VARCHAR,
  window_start TIMESTAMP, resolved BIGINT, successes BIGINT, failures BIGINT, rate DOUBLE);
CREATE TABLE dead_letters (reason VARCHAR);
"""


@pytest.fixture
def oracle() -> Oracle:
    oracle = Oracle(Rules())
    records: list[Call | Outcome] = [
        Call("a", T, cost_usd=0.25, attrs={"k": 1}),
        Call("b", T + 1, error="timeout", tokens=3),
        Call("c", T + 2),
        Outcome("1", "a", T + 3, success=True, score=0.5),
        Outcome("2", "a", T + 4, success=False),
        Outcome("2", "a", T + 4, success=False),
        Outcome("2", "a", T + 4, success=True),
        Outcome("3", "nobody", T + 5, success=True),
    ]
    for record in records:
        oracle.feed(record, NEVER)
    return oracle


@pytest.fixture
def snapshot(tmp_path: Path, oracle: Oracle) -> Path:
    path = tmp_path / "outcomes.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute(TABLES)
        at = "make_timestamp(CAST(? AS BIGINT))"
        for table, names, rows in (
            ("calls", CALLS, oracle.calls_rows()),
            ("statements", STATEMENTS, oracle.statements_rows()),
        ):
            marks = ", ".join(at if name in {"occurred_at", "verdict_at"} else "?" for name in names)
            for row in rows:
                values = [json.dumps(row[name]) if name == "attrs" else row[name] for name in names]
                db.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        for table, made in (("rates", oracle.rates_rows), ("source_rates", oracle.source_rates_rows)):
            for row in [row for grain in GRAIN_US for row in made(grain)]:
                marks = ", ".join(at if name == "window_start" else "?" for name in row)
                values = [value / 1e9 if name == "cost_nano" else value for name, value in row.items()]
                db.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        for dead in oracle.dead():
            db.execute("INSERT INTO dead_letters VALUES (?)", [dead.reason])
        counters = oracle.counters()
        db.execute(f"CREATE TABLE pipeline ({', '.join(f'{name} BIGINT' for name in counters)})")
        db.execute(f"INSERT INTO pipeline VALUES ({', '.join('?' for _ in counters)})", list(counters.values()))
    return path


def test_a_snapshot_that_holds_what_the_oracle_holds_passes(snapshot: Path, oracle: Oracle) -> None:
    compare(snapshot, oracle)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE calls SET revisions = 7 WHERE call_id = 'a'", r"calls \('a', .*revisions: expected 1, found 7"),
        ("UPDATE calls SET verdict_at = verdict_at + INTERVAL 1 MICROSECOND WHERE call_id = 'a'", "verdict_at"),
        ("UPDATE calls SET attrs = '{}' WHERE call_id = 'a'", "attrs"),
        ("DELETE FROM calls WHERE call_id = 'c'", "calls .*1 expected .* 0 found"),
        ("INSERT INTO calls SELECT * FROM calls WHERE call_id = 'c'", "calls .*1 expected .* 2 found"),
        ("UPDATE statements SET stands = NOT stands WHERE outcome_id = '1'", "stands: expected False, found True"),
        ("UPDATE rates SET failures = failures + 1 WHERE grain = '1d'", "rates 1d: failures sum to"),
        ("UPDATE rates SET rate = 0.1 WHERE grain = '1h'", "rate: expected"),
        ("UPDATE rates SET cost_usd = cost_usd + 1e-9", "cost_nano: expected 250000000, found 250000001"),
        ("UPDATE dead_letters SET reason = 'late'", "dead_letters by reason: conflict: expected 1, found None"),
        ("UPDATE pipeline SET duplicates = 0", "records 8 is not what became of them, 7"),
        ("INSERT INTO pipeline SELECT * FROM pipeline", "1 row expected, 2 found"),
    ],
)
def test_a_snapshot_that_differs_anywhere_is_reported_by_name(
    snapshot: Path, oracle: Oracle, change: str, named: str
) -> None:
    with duckdb.connect(str(snapshot)) as db:
        db.execute(change)
    with pytest.raises(AssertionError, match=named):
        compare(snapshot, oracle)


def verdict_lines(oracle: Oracle) -> list[str]:
    lines = []
    for row in oracle.newest_verdicts().values():
        decided_at = (EPOCH + timedelta(microseconds=row["decided_at"])).isoformat()
        lines.append(json.dumps({"event_id": "e", **row, "decided_at": decided_at}))
    return lines


def test_the_newest_verdict_per_call_is_compared_and_steps_before_it_are_not(oracle: Oracle) -> None:
    lines = verdict_lines(oracle)
    step = json.dumps({**json.loads(lines[-1]), "seq": 1, "verdict": "success"})
    compare_verdicts([step, *lines], oracle)
    with pytest.raises(AssertionError, match="verdicts"):
        compare_verdicts(lines[1:], oracle)
    with pytest.raises(AssertionError, match="seq"):
        compare_verdicts([*lines, json.dumps({**json.loads(lines[0]), "seq": 9})], oracle)
