"""Reads suspicions from a snapshot: changes of success rates that are not sure enough for an alert."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb

from aftercall.times import format_time, to_us
from flows.reports.snapshot_reader import has_table, rows

SuspicionRow = dict[str, Any]
"""A row of the table `suspicions`; times aware, UTC."""


def read_suspicions(base: duckdb.DuckDBPyConnection, task: str | None = None) -> list[SuspicionRow]:
    """Those of all task types, or of one; the strongest first. Snapshots of earlier versions have none."""
    if not has_table(base, "suspicions"):
        return []
    query = (
        "SELECT * FROM suspicions WHERE $1 IS NULL OR task_type = $1 ORDER BY strength DESC, task_type, model, config"
    )
    return rows(base, query, [task])


def plain_suspicion(row: SuspicionRow) -> dict[str, Any]:
    """With times as text."""
    return {name: format_time(to_us(value)) if isinstance(value, datetime) else value for name, value in row.items()}
