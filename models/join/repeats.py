"""Finds outcomes that come again under an id of their call, among statements in columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.arrays import I32, I64, U64, Bools
from models.join.details import second_record
from models.join.shard_state import ShardState
from models.join.statement_pool import MANY_EDITIONS

_ODD: Final = np.uint64(0xD6E8FEB86659FD93)
REPEATED: Final = ""
"""In place of a detail: the outcome is a duplicate of a record of its id."""


def repeats(shard: ShardState, calls: I32, call: I64, rows: I32) -> dict[int, str]:
    """Find further records of ids among assertions at `rows` of the pool; those of one call in the order of arrival.

    Those that are editions get their number. O(n), and some microseconds for each record of an id that has several.

    Args:
        shard: theirs.
        calls: rows of the calls.
        call: per statement, the place of its call.
        rows: of the statements.

    Returns:
        Why the others do not enter the ledgers, by place: `REPEATED`, or the detail of a conflict.
    """
    found = suspects(shard, call, rows)
    return _examined(shard, calls[call[found]], rows[found], found) if len(found) else {}


def suspects(shard: ShardState, call: I64, rows: I32) -> I64:
    """The places of statements whose ids come twice on their calls; hardly ever others. Arguments as of `repeats`."""
    numbers = shard.held.statements.ids.numbers(rows)
    numbers += call.astype(np.uint64) * _ODD
    return np.flatnonzero(_repeated(numbers))


def _repeated(numbers: U64) -> Bools:
    """Which numbers occur twice."""
    ordered = np.sort(numbers)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(numbers, twice) if len(twice) else np.zeros(len(numbers), np.bool_)


def _examined(shard: ShardState, calls: I32, rows: I32, places: I64) -> dict[int, str]:
    """As `repeats`, of statements one by one."""
    pool, found = shard.held.statements, dict[int, str]()
    known: dict[tuple[int, str], tuple[tuple[Any, ...], set[tuple[Any, ...]]]] = {}
    columns = (pool.source, pool.author, pool.at, pool.given)
    scores = [None if score != score else score for score in pool.score[rows].tolist()]  # noqa: PLR0124 (nan: absent)
    deciding = zip(*(column[rows].tolist() for column in columns), scores, strict=True)
    keys = zip(calls.tolist(), pool.ids.texts(rows), strict=True)
    for place, row, key, fields in zip(places.tolist(), rows.tolist(), keys, deciding, strict=True):
        first, records = known.setdefault(key, (fields, set()))
        detail = REPEATED if fields in records else _problem(shard, key[0], fields, first)
        if detail is None:
            records.add(fields)
            pool.edition[row] = min(len(records), MANY_EDITIONS)
        else:
            found[place] = detail
    return found


def _problem(shard: ShardState, call: int, fields: tuple[Any, ...], first: tuple[Any, ...]) -> str | None:
    """Why a record is no edition of the first one of its id; None where it is, or is that."""
    source = shard.sources[first[0]]
    if fields[:2] != first[:2]:
        return second_record("source" if fields[0] != first[0] else "author", source)
    rules = shard.versions[shard.held.calls.rules.item(call)].verdict
    if fields is first or source in rules.revising:
        return None
    # Behind source, author and time.
    return REPEATED if fields[3:] == first[3:] else second_record("same_id", source)
