"""Reads ids as the two words that a UUID has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.arrays import U64
from models.columns.id_column import IdColumn


def words_of(ids: Sequence[str]) -> U64:
    """Ids as words, shape (n, 2): zeros for those that are no UUIDs."""
    column, rows = IdColumn(), np.arange(len(ids), dtype=np.int32)
    column.resize(len(ids))
    column.put(rows, list(ids))
    return column.words(rows)
