"""Turns rows into columns that DuckDB reads at once: half the time of appending value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.snapshot.tables import Table

_DTYPES: Final = {"BIGINT": np.int64, "INTEGER": np.int32, "DOUBLE": np.float64, "BOOLEAN": np.bool_}


def columns_of(rows: Sequence[tuple[Any, ...]], table: Table) -> tuple[dict[str, Any], str]:
    """Rows as arrays by column, and the select list that reads them in the order of the table.

    Args:
        rows: at least one, of values as the types of the table say, or None.
        table: types by column. Rows may have fewer values: the last columns are then NULL.
    """
    arrays: dict[str, Any] = {}
    listed = []
    for (name, kind), values in zip(table.items(), zip(*rows, strict=True), strict=False):
        if values.count(None) == len(values):
            continue
        arrays[name] = _array(values, kind)
    for name, kind in table.items():
        listed.append(f'"{name}"' if name in arrays else f'NULL::{kind} AS "{name}"')
    return arrays, ", ".join(listed)


def _array(values: tuple[Any, ...], kind: str) -> Any:
    if kind == "VARCHAR":
        column = np.empty(len(values), np.object_)
        column[:] = values
        return column
    dtype = _DTYPES[kind]
    if None not in values:
        return np.array(values, dtype)
    absent = np.fromiter((value is None for value in values), np.bool_, len(values))
    filled = np.array([0 if value is None else value for value in values], dtype)
    return np.ma.masked_array(filled, absent)
