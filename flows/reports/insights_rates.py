"""Tells `insights` which rates it compares: those of verdicts, or of what one source says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from aftercall.errors import ExitCode
from flows.reports.snapshot_reader import InsightError, has_table, rows


class Rates(NamedTuple):
    """What stands behind FROM in SQL, for the columns of `rates` and of `current_rates` that a comparison reads.

    `values` are those of the placeholders in either, and come before all others of a query.
    """

    hours: str
    current: str
    values: list[Any]


OF_VERDICTS = Rates("rates", "current_rates", [])

_HOURS_OF_SOURCE = """(
    SELECT r.task_type, r.model, r.config, r.grain, r.window_start, r.calls,
           coalesce(s.successes, 0) AS successes, coalesce(s.failures, 0) AS failures,
           r.calls - coalesce(s.resolved, 0) AS pending, 0 AS expired
    FROM rates r LEFT JOIN source_rates s
      ON s.task_type = r.task_type AND s.model = r.model AND s.config = r.config
      AND s.grain = r.grain AND s.window_start = r.window_start AND s.source = ?)"""
"""A call of which it says nothing is open: its verdict may rest on another source."""
_CURRENT_OF_SOURCE = """(
    SELECT r.task_type, r.model, r.config, r.span, r.calls,
           coalesce(s.successes, 0) AS successes, coalesce(s.failures, 0) AS failures,
           r.calls - coalesce(s.resolved, 0) AS pending, 0 AS expired,
           s.rate, s.rate_low, s.rate_high, s.corrected_rate, s.corrected_low, s.corrected_high, s.maturity
    FROM current_rates r LEFT JOIN source_current_rates s
      ON s.task_type = r.task_type AND s.model = r.model AND s.config = r.config AND s.span = r.span
      AND s.source = ?)"""


def rates_of(base: duckdb.DuckDBPyConnection, snapshot: Path, task: str, source: str | None) -> Rates:
    """The rates of verdicts, or of a source.

    Raises:
        InsightError: the source has said nothing about calls of this task type.
    """
    if source is None:
        return OF_VERDICTS
    query = "SELECT DISTINCT source FROM source_rates WHERE task_type = ? ORDER BY source"
    known = [row["source"] for row in rows(base, query, [task])] if has_table(base, "source_rates") else []
    if source not in known:
        listed = ", ".join(known) or "none yet"
        message = (
            f"--source: must be a source that has judged calls of {task} in {snapshot} ({listed}); got {source!r} "
            "(choose one of these)"
        )
        raise InsightError(message, exit_code=ExitCode.USAGE)
    return Rates(_HOURS_OF_SOURCE, _CURRENT_OF_SOURCE, [source])
