"""Has the SQL that creates tables, and that gives an id its hash."""

from __future__ import annotations

from collections.abc import Collection

from connectors.snapshot.tables import Table


def call_hash(call_id: str) -> str:
    """The SQL of `calls.call_hash` for an SQL expression of an id.

    Four bytes a call, which are read and compared in a tenth of the time that ids take. Another version of DuckDB may
    hash in another way: who finds nothing by hash must look for the id.
    """
    return f"(hash({call_id}::VARCHAR) & 4294967295)::UINTEGER"


def create(table: str, columns: Table) -> str:
    """The SQL statement that creates a table."""
    listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return f"CREATE TABLE {table} ({listed})"


def widened(table: str, columns: Table, present: Collection[str]) -> tuple[str, ...]:
    """The SQL statements that give a table the columns that it lacks, empty; rows and their order stay."""
    values = ", ".join(
        f'"{name}"' if name in present else f'NULL::{kind} AS "{name}"' for name, kind in columns.items()
    )
    return (
        f"CREATE TABLE widened AS SELECT {values} FROM {table} ORDER BY rowid",
        f"DROP TABLE {table}",
        f"ALTER TABLE widened RENAME TO {table}",
    )
