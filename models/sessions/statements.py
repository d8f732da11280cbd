"""Puts together what leaves with a batch: statements as tuples, and as columns for those who take in many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xxhash import xxh3_64_intdigest

from models.columns.names import Names
from models.sessions.records import Resolved, SessionStatement, StatementColumns
from models.sessions.resolver import Leaving
from models.sessions.words import words_of


def resolved(leaving: Leaving, sources: Sequence[str]) -> Resolved:
    """What one batch led to; `sources`: those of the statements that were made as columns."""
    names, tally = Names(sources), {name: n for name, n in leaving.tally.items() if n}
    made = [one for one in leaving.made if one.statements]
    statements = [statement for one in made for statement in one.statements] + leaving.statements
    parts = [one.columns for one in made]
    if leaving.statements or not parts:
        parts.append(_columns_of(leaving.statements, names))
    columns = parts[0] if len(parts) == 1 else StatementColumns(*map(np.concatenate, zip(*parts, strict=True)))
    return Resolved(statements, columns, names.names, leaving.refused, tally)


def _columns_of(statements: Sequence[SessionStatement], sources: Names[str]) -> StatementColumns:
    """The columns of statements; `sources` gets those that it lacks. O(n)."""
    call_ids = [one.call_id for one in statements]
    return StatementColumns(
        key=np.array(list(map(_hash, call_ids)), np.uint64),
        call_uuid=words_of(call_ids),
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
