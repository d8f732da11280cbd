"""Turns rows into columns that DuckDB reads at once: half the time of appending value by value."""

from __future__ import annotations

from itertools import repeat
from operator import is_
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.snapshot.tables import Table

_DTYPES: Final = {"BIGINT": np.int64, "INTEGER": np.int32, "BOOLEAN": np.bool_}


def columns_of(rows: Sequence[tuple[Any, ...]], table: Table) -> tuple[dict[str, Any], str]:
    """Rows as arrays by column, and the select list that reads them in the order of the table.

    Args:
        rows: at least one, of values as the types of the table say, or None.
        table: types by column. Rows may have fewer values: the last columns are then NULL.
    """
    arrays: dict[str, Any] = {}
    listed = []
    for (name, kind), values in zip(table.items(), zip(*rows, strict=True), strict=False):
        if values[0] is None and values.count(None) == len(values):
            continue
        arrays[name] = _array(values, kind)
    for name, kind in table.items():
        listed.append(f'"{name}"' if name in arrays else f'NULL::{kind} AS "{name}"')
    return arrays, ", ".join(listed)


def _array(values: tuple[Any, ...], kind: str) -> Any:
    # `fromiter` is several times faster than `array`, which looks for sequences in the values first.
    count = len(values)
    if kind == "DOUBLE":
        return np.fromiter(values, np.float64, count)  # None becomes nan, which DuckDB reads as NULL
    if kind != "VARCHAR" and None not in values:
        return np.fromiter(values, _DTYPES[kind], count)
    column = np.fromiter(values, np.object_, count)
    if kind == "VARCHAR":
        return column
    absent = np.fromiter(map(is_, values, repeat(None)), np.bool_, count)
    column[absent] = 0
    return np.ma.masked_array(column.astype(_DTYPES[kind]), absent)
