"""Makes columns of statements, for those who take them in many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xxhash import xxh3_64_intdigest

from models.columns.id_column import IdColumn
from models.columns.names import Names
from models.sessions.records import SessionStatement, StatementColumns


def columns_of(statements: Sequence[SessionStatement], sources: Names[str]) -> StatementColumns:
    """The columns of statements; `sources` gets those that it lacks. O(n)."""
    ids, rows = IdColumn(), np.arange(len(statements), dtype=np.int32)
    ids.resize(len(rows))
    call_ids = [one.call_id for one in statements]
    ids.put(rows, call_ids)
    return StatementColumns(
        key=np.array(list(map(_hash, call_ids)), np.uint64),
        call_uuid=ids.words(rows),
        at=np.array([one.at for one in statements], np.int64),
        source=np.array([-1 if one.source is None else sources.code(one.source) for one in statements], np.int32),
        success=np.array([-1 if one.success is None else one.success for one in statements], np.int8),
        score=np.array([np.nan if one.score is None else one.score for one in statements], np.float64),
        retract=np.array([one.retract or (one.success is None and one.score is None) for one in statements], np.bool_),
        author=np.array([0 if one.author is None else _hash(one.author) for one in statements], np.uint64),
        minute=np.array([one.minute for one in statements], np.int32),
        passed=np.array([one.passed for one in statements], np.int64),
        pos=np.array([one.pos for one in statements], np.int64),
    )


def _hash(text: str) -> int:
    return xxh3_64_intdigest(text.encode())
