"""Defines the tables of the file of runs, and the records that are written to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aftercall.evals.answer import Answer
from aftercall.evals.results import CaseResult, Scored

RUNS_VERSION: Final = 1
"""`PRAGMA user_version` of the file."""
SCHEMA: Final = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    dataset TEXT NOT NULL,
    dataset_hash TEXT NOT NULL,
    agent TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    repeats INTEGER NOT NULL,
    cases INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    label TEXT NOT NULL DEFAULT ''
);
CREATE TABLE rows (
    run_id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    score REAL,
    passed INTEGER NOT NULL,
    error TEXT,
    latency_ms REAL,
    cost REAL,
    tags TEXT NOT NULL,
    checks TEXT NOT NULL,
    output TEXT,
    PRIMARY KEY (run_id, case_id, repeat, attempt)
) WITHOUT ROWID;
CREATE INDEX runs_by_dataset ON runs (dataset, started_at);
"""


@dataclass(frozen=True)
class StoredRun:
    """One run. Times are microseconds since 1970 UTC; `ended_at` is None while it is under way, or was interrupted.

    `dataset` is the path as it was given, `agent` as it was named. `plan_hash` is over all that decides what is asked
    and how it is scored: an interrupted run is only resumed under the same. `repeats` is how often each of the `cases`
    is asked. `recorded` runs are what later ones are held against. `label` is free.
    """

    run_id: str
    dataset: str
    dataset_hash: str
    agent: str
    plan_hash: str
    repeats: int
    cases: int
    recorded: bool
    started_at: int
    ended_at: int | None = None
    label: str = ""


def stored_run(row: Sequence[Any]) -> StoredRun:
    """The run that a row of the table `runs` holds."""
    fields: dict[str, Any] = dict(zip(StoredRun.__dataclass_fields__, row, strict=True))
    return StoredRun(**fields | {"recorded": bool(fields["recorded"])})


def row_of(run_id: str, result: CaseResult, *, texts: bool) -> tuple[Any, ...]:
    """A row of the table `rows`; the output only where texts are kept."""
    checks = [list(one) for one in result.checks]
    return (
        run_id,
        result.case_id,
        result.input_hash,
        result.repeat,
        result.attempt,
        result.score,
        result.passed,
        result.error,
        result.latency_ms,
        result.cost,
        json.dumps(result.tags),
        json.dumps(checks),
        result.answer.text if texts and result.answer is not None else None,
    )


def result_of(row: Sequence[Any]) -> CaseResult:
    """The result that a row of the table `rows` holds, without its run."""
    case_id, input_hash, repeat, attempt, score, _, error, latency_ms, cost, tags, checks, output = row
    return CaseResult(
        case_id=case_id,
        input_hash=input_hash,
        score=score,
        error=error,
        latency_ms=float("nan") if latency_ms is None else latency_ms,
        cost=cost,
        tags=tuple(json.loads(tags)),
        checks=tuple(Scored(*one) for one in json.loads(checks)),
        repeat=repeat,
        attempt=attempt,
        answer=None if output is None else Answer(output),
    )
