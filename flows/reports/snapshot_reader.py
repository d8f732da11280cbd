"""Reads a snapshot for the reports: rows as dicts, the newest recommendation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from aftercall import NoSnapshotError
from aftercall.errors import UserError
from aftercall.snapshot import open_tables
from connectors.snapshot.errors import is_unusable

LATEST = datetime(9999, 1, 1)  # noqa: DTZ001 - DuckDB compares its TIMESTAMPs, which are UTC, with naive times


class InsightError(UserError):
    """The snapshot cannot answer a question; the text is one sentence for the user."""


@dataclass(frozen=True)
class Route:
    """The newest recommendation.

    Attributes:
        arms: as in `aftercall.records.Arm`, for all calls; empty where no arm may be served.
        segments: `{segment, arms}` of each declared segment.
    """

    recommendation_id: str
    issued_at: datetime
    valid_until: datetime
    reason: str
    arms: list[dict[str, Any]]
    segments: list[dict[str, Any]]


@contextmanager
def open_snapshot(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the newest snapshot for reading within the block, as the SDK does, but for its view of texts.

    Newer ones may be published meanwhile.

    Raises:
        InsightError: no file is there, it is not a snapshot, or it cannot answer a query of the block.
    """
    if not path.exists():
        message = (
            f"snapshot: {path} must be a file; there is none (run `aftercall demo` or `replay`, or give --snapshot)"
        )
        raise InsightError(message)
    try:
        base = open_tables(path)
    except NoSnapshotError as wrong:
        raise InsightError(f"snapshot: {wrong}") from None
    try:
        yield base
    except duckdb.Error as wrong:
        # Without a table or column of ours it is of another release.
        if not is_unusable(wrong) and not isinstance(wrong, duckdb.CatalogException | duckdb.BinderException):
            raise
        raise InsightError(
            f"snapshot: {path} must be readable and written by this release; got: {_line(wrong)} (check the disk, or "
            "let `aftercall run` or `replay` of this release write one)"
        ) from wrong
    finally:
        base.close()


def rows(base: duckdb.DuckDBPyConnection, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
    """Rows of a query as dicts; times aware, in UTC."""
    result = base.execute(query, values or [])
    names = [column[0] for column in result.description or []]
    return [
        {name: v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for name, v in zip(names, row, strict=True)}
        for row in result.fetchall()
    ]


def has_table(base: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the snapshot has a table, which an earlier version may not have published."""
    return bool(_columns(base, name))


def has_column(base: duckdb.DuckDBPyConnection, table: str, name: str) -> bool:
    """The same of a column."""
    return name in _columns(base, table)


def _columns(base: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """The columns of a table; none of one that is not there. DuckDB's lists of all tables and columns take 10 ms."""
    with suppress(duckdb.CatalogException):
        return [column[0] for column in base.execute(f'SELECT * FROM "{table}" LIMIT 0').description or []]
    return []


def newest_route(base: duckdb.DuckDBPyConnection, task: str, limit: datetime = LATEST) -> Route | None:
    """The newest recommendation for a task type issued up to `limit` (naive, UTC); None if there is none."""
    query = """
        SELECT * FROM recommendations WHERE task_type = ? AND seq = (
            SELECT max(seq) FROM recommendations WHERE task_type = ? AND issued_at <= ?)
        ORDER BY segment NULLS FIRST, model, config
    """
    arm_rows = rows(base, query, [task, task, limit])
    if not arm_rows:
        return None
    first = arm_rows[0]
    names = ("model", "config", "weight", "p_best", "rate", "rate_low", "rate_high", "n", "status")
    by_segment: dict[str | None, list[dict[str, Any]]] = {None: []}
    for row in arm_rows:
        # Without any arm there is one row, of none.
        of_segment = by_segment.setdefault(row["segment"], [])
        of_segment += [{name: row[name] for name in names}] if row["model"] is not None else []
    arms = by_segment.pop(None)
    segments = [{"segment": segment, "arms": found} for segment, found in by_segment.items()]
    return Route(first["recommendation_id"], first["issued_at"], first["valid_until"], first["reason"], arms, segments)


def _line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]


def sources_in(path: Path) -> set[str]:
    """The sources that have said success or failure of some call.

    Raises:
        InsightError: no such snapshot.
    """
    with open_snapshot(path) as base:
        found = rows(base, "SELECT DISTINCT source FROM source_rates") if has_table(base, "source_rates") else []
    return {row["source"] for row in found}
