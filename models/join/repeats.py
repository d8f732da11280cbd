"""Finds outcomes that repeat the id of another one of their call, among statements in columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import I32, I64, U64, Bools
from models.join.statement_pool import StatementPool

_ODD = np.uint64(0xD6E8FEB86659FD93)


class Repeats(NamedTuple):
    """Statements that are not the first of their id, by place. A duplicate equals the first in all deciding fields.

    `owners`: the first of the id of each conflict.
    """

    duplicates: I64
    conflicts: I64
    owners: I64


def repeats(pool: StatementPool, call: I64, rows: I32) -> Repeats:
    """Find them among assertions at `rows` of the pool, on `call`; those of one call in the order of arrival. O(n)."""
    numbers = pool.ids.numbers(rows)
    numbers += call.astype(np.uint64) * _ODD
    suspects = np.flatnonzero(_repeated(numbers))
    first: dict[tuple[int, str], int] = {}
    ids = zip(call[suspects].tolist(), pool.ids.texts(rows[suspects]), strict=True)
    owner = np.array(
        [first.setdefault(key, place) for place, key in zip(suspects.tolist(), ids, strict=True)], np.int64
    )
    again = owner != suspects
    repeated, owner = suspects[again], owner[again]
    same = _equal(pool, rows[repeated], rows[owner])
    return Repeats(repeated[same], repeated[~same], owner[~same])


def _repeated(numbers: U64) -> Bools:
    """Which numbers occur twice."""
    ordered = np.sort(numbers)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(numbers, twice) if len(twice) else np.zeros(len(numbers), np.bool_)


def _equal(pool: StatementPool, one: I32, other: I32) -> Bools:
    """Whether statements are equal in all deciding fields."""
    equal: Bools = (pool.at[one] == pool.at[other]) & (pool.source[one] == pool.source[other])
    equal &= pool.given[one] == pool.given[other]
    score, other_score = pool.score[one], pool.score[other]
    equal &= (score == other_score) | (np.isnan(score) & np.isnan(other_score))
    return equal
