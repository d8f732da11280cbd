"""Compare what the dataflow wrote with the oracle: every row, every count, exactly."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import duckdb

from oracle.records import micros
from oracle.tables import GRAIN_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from oracle.replay import Oracle

Row = dict[str, Any]
SHOWN = 12
"""Differences shown of each table."""

CALLS = {
    "call_id": "call_id",
    "attempt": "attempt",
    "occurred_at": "epoch_us(occurred_at)",
    "task_type": "task_type",
    "model": "model",
    "config": "config",
    "segment": "segment",
    "session_id": "session_id",
    "latency_ms": "latency_ms",
    "cost_usd": "cost_usd",
    "tokens": "tokens",
    "error": "error",
    "attrs": "attrs",
    "verdict": "verdict",
    "score": "score",
    "verdict_source": "verdict_source",
    "verdict_at": "epoch_us(verdict_at)",
    "statements": "statements",
    "revisions": "revisions",
}
STATEMENTS = {
    "call_id": "call_id",
    "outcome_id": "outcome_id",
    "edition": "edition",
    "source": "source",
    "author": "author",
    "occurred_at": "epoch_us(occurred_at)",
    "action": "action",
    "success": "success",
    "score": "score",
    "reason": "reason",
    "scorer": "scorer",
    "stands": "stands",
}
SOURCE_RATES = {
    "task_type": "task_type",
    "model": "model",
    "config": "config",
    "source": "source",
    "grain": "grain",
    "window_start": "epoch_us(window_start)",
    "resolved": "resolved",
    "successes": "successes",
    "failures": "failures",
    "rate": "rate",
}
RATES = {
    "task_type": "task_type",
    "model": "model",
    "config": "config",
    "grain": "grain",
    "window_start": "epoch_us(window_start)",
    "calls": "calls",
    "resolved": "resolved",
    "successes": "successes",
    "failures": "failures",
    "expired": "expired",
    "pending": "pending",
    "rate": "rate",
    "cost_nano": "CAST(round(coalesce(cost_usd, 0) * 1e9) AS BIGINT)",
}
PIPELINE = (
    "records",
    "calls",
    "completed",
    "attempts",
    "outcomes",
    "duplicates",
    "waiting",
    "orphans",
    "late",
    "conflicts",
    "dead_letters",
    "pending",
    "successes",
    "failures",
    "expired",
)
KEYS = {
    "calls": ("call_id", "occurred_at", "attempt"),
    "statements": ("call_id", "outcome_id", "edition", "occurred_at"),
    "rates": ("task_type", "model", "config", "grain", "window_start"),
    "source_rates": ("task_type", "model", "config", "source", "grain", "window_start"),
    "verdicts": ("call_id",),
}


def compare(snapshot_path: Path | str, oracle: Oracle) -> None:
    """Raise AssertionError with all differences between a snapshot and a finished oracle.

    The snapshot is to hold all calls (`snapshot.calls = all`, nothing dropped by retention).
    """
    with duckdb.connect(str(snapshot_path), read_only=True) as snapshot:
        calls = _rows(snapshot, "calls", CALLS)
        for row in calls:
            row["attrs"] = _attrs(row["attrs"])
        statements = _rows(snapshot, "statements", STATEMENTS)
        rates = _rows(snapshot, "rates", RATES)
        of_sources = _rows(snapshot, "source_rates", SOURCE_RATES)
        reasons = dict(snapshot.execute("SELECT reason, count(*) FROM dead_letters GROUP BY reason").fetchall())
        counters = _rows(snapshot, "pipeline", dict(zip(PIPELINE, PIPELINE, strict=True)))
    found = differences("calls", calls, _only(CALLS, oracle.calls_rows()))
    found += differences("statements", statements, _only(STATEMENTS, oracle.statements_rows()))
    found += differences("rates", rates, [row for grain in GRAIN_US for row in oracle.rates_rows(grain)])
    of_sources_expected = [row for grain in GRAIN_US for row in oracle.source_rates_rows(grain)]
    found += differences("source_rates", of_sources, of_sources_expected)
    found += changed("dead_letters by reason", reasons, dict(Counter(dead.reason for dead in oracle.dead())))
    if len(counters) == 1:
        found += changed("pipeline", counters[0], _only(PIPELINE, [oracle.counters()])[0])
        found += sums(counters[0], calls, rates)
    else:
        found.append(f"pipeline: 1 row expected, {len(counters)} found")
    _raise(found)


def compare_verdicts(lines: Iterable[bytes | str], oracle: Oracle) -> None:
    """Raise AssertionError where the newest record per call in `verdicts.jsonl` is not the oracle's.

    `event_id` and the spelling of times are left out: `decided_at` is compared as an instant.
    """
    newest: dict[str, Row] = {}
    for line in lines:
        row = json.loads(line)
        if row["call_id"] not in newest or row["seq"] >= newest[row["call_id"]]["seq"]:
            newest[row["call_id"]] = row
    expected = list(oracle.newest_verdicts().values())
    names = list(expected[0]) if expected else []
    got = [{name: row.get(name) for name in names} for row in newest.values()]
    for row in got:
        decided_at: str | None = row.get("decided_at")
        row["decided_at"] = None if decided_at is None else micros(decided_at)
    _raise(differences("verdicts", got, expected))


def differences(table: str, got: Sequence[Row], expected: Sequence[Row]) -> list[str]:
    """One line per row that is missing, not expected, there several times, or not equal."""
    key = KEYS[table]
    left, right = _by_key(key, expected), _by_key(key, got)
    found = []
    for name in sorted(left.keys() | right.keys(), key=repr):
        wanted, seen = left.get(name, []), right.get(name, [])
        if len(wanted) == len(seen) == 1:
            found += changed(f"{table} {name}", seen[0], wanted[0])
        elif len(wanted) != len(seen) or Counter(map(repr, wanted)) != Counter(map(repr, seen)):
            found.append(f"{table} {name}: {len(wanted)} expected {wanted}, {len(seen)} found {seen}")
    more = [f"{table}: and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return found[:SHOWN] + more


def changed(where: str, got: Row, expected: Row) -> list[str]:
    """One line naming the columns in which a row differs; none where it is equal."""
    names = [*expected, *(name for name in got if name not in expected)]
    parts = [
        f"{name}: expected {expected.get(name)!r}, found {got.get(name)!r}"
        for name in names
        if got.get(name) != expected.get(name)
    ]
    return [f"{where}: {'; '.join(parts)}"] if parts else []


def sums(counters: Row, calls: Sequence[Row], rates: Sequence[Row]) -> list[str]:
    """The sums of reference section 4, checked on the snapshot alone."""
    entered = sum(
        counters.get(name, 0)
        for name in ("calls", "completed", "outcomes", "marks", "duplicates", "waiting", "dead_letters")
    )
    judged = sum(counters[name] for name in ("pending", "successes", "failures", "expired"))
    found = []
    if counters["records"] != entered:
        found.append(f"pipeline: records {counters['records']} is not what became of them, {entered}")
    tried = counters["calls"] + counters["attempts"]
    if tried != judged:
        found.append(f"pipeline: calls and attempts {tried} are not the sum of their verdicts, {judged}")
    if tried != len(calls):
        found.append(f"pipeline: calls and attempts {tried} are not the number of rows of calls, {len(calls)}")
    for grain in GRAIN_US:
        for name in ("calls", "pending", "successes", "failures", "expired"):
            total = sum(row[name] for row in rates if row["grain"] == grain)
            if total != (counted := tried if name == "calls" else counters[name]):
                found.append(f"rates {grain}: {name} sum to {total}, the pipeline counts {counted}")
    return found


def _rows(snapshot: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str]) -> list[Row]:
    names = ", ".join(columns.values())
    rows = snapshot.execute(f"SELECT {names} FROM {table}").fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _only(names: Iterable[str], rows: Iterable[Row]) -> list[Row]:
    """What a snapshot has: not yet the columns that the new rules of the ledger add."""
    chosen = tuple(names)
    return [{name: row[name] for name in chosen} for row in rows]


def _attrs(stored: str | dict[str, Any] | None) -> dict[str, Any]:
    read = json.loads(stored) if isinstance(stored, str) else stored
    return dict(read or {})


def _by_key(key: tuple[str, ...], rows: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in key), []).append(row)
    return found


def _raise(found: list[str]) -> None:
    if found:
        message = "\n  ".join([f"{len(found)} differences from the oracle:", *found])
        raise AssertionError(message)
