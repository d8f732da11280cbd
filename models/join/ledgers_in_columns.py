"""Reads the ledgers of many calls at once: functions of columns, for ledgers of assertions only.

The rules are those of `models.join.ledger`, which reads one ledger; tests hold the two against each other. Statements
of one call follow each other, in the order of its ledger. Of two on one call the `strength` says which decides: the one
of the higher rank, and of equal rank the later one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import I8, I32, I64, Bools
from models.columns.group_sums import packed, stable_order
from models.columns.id_column import IdColumn


class Ends(NamedTuple):
    """Ends of minutes at which the verdict of a call is another than at the end before.

    Attributes:
        call: place of the call.
        minute: the minute.
        by: the statement that decides then.
        success: the verdict.
        before: that at the end before, -1 for none.
    """

    call: I64
    minute: I32
    by: I64
    success: I8
    before: I8

    def from_minutes(self, first: I32) -> Ends:
        """Those from a minute of each call on."""
        (kept,) = (self.minute >= first[self.call]).nonzero()
        return Ends(self.call[kept], self.minute[kept], self.by[kept], self.success[kept], self.before[kept])


def ledger_order(call: I64, at: I64, ids: IdColumn, rows: I32) -> I64:
    """The order of statements by (call, at, id); the i-th id is that at `rows[i]` of `ids`."""
    key = packed((call, at))
    if key is None:
        return np.lexsort((ids.ranks(rows), at, call))
    order = np.argsort(key)
    ordered = key[order]
    (second,) = (ordered[1:] == ordered[:-1]).nonzero()
    if len(second):
        tied = np.union1d(second, second + 1)
        of_one_instant = order[tied]
        by_id = np.lexsort((ids.ranks(rows[of_one_instant]), key[of_one_instant]))
        order[tied] = of_one_instant[by_id]
    return order


def strengths(call: I64, rank: I32) -> I64:
    """Which statement decides: greater of a higher rank, of a later place, and of a later call.

    Divided by the number of statements, the remainder is the place.
    """
    count, ranks = len(call), int(rank.max(initial=0)) + 1
    return (call * ranks + (ranks - 1 - rank)) * count + np.arange(count)


def deciding(strength: I64, count: int) -> I64:
    """The place of the statement that decides after each of those with this `strength`, of `count` in all."""
    decides: I64 = np.maximum.accumulate(strength)
    decides %= max(count, 1)
    return decides


def last_of(call: I32 | I64) -> Bools:
    """Which rows are the last of their call."""
    last = np.ones(len(call), np.bool_)
    np.not_equal(call[1:], call[:-1], out=last[:-1])
    return last


def revisions(call: I64, success: I8, calls: int) -> I32:
    """By call, how often the verdict changes, given that after each statement."""
    changed = (call[1:] == call[:-1]) & (success[1:] != success[:-1])
    return np.bincount(call[1:][changed], minlength=calls).astype(np.int32)


def ends(call: I64, minute: I32, strength: I64, success: I8) -> Ends:
    """The ends of minutes; `success` is of all statements, the others are of some, in the order of the ledgers."""
    if ((minute[1:] < minute[:-1]) & (call[1:] == call[:-1])).any():
        order = stable_order((call, minute))
        call, minute, strength = call[order], minute[order], strength[order]
    by = deciding(strength, len(success))
    is_end = last_of(call)
    is_end[:-1] |= minute[1:] != minute[:-1]
    call, minute, by = call[is_end], minute[is_end], by[is_end]
    now = success[by]
    before = np.full(len(now), -1, np.int8)
    follows = call[1:] == call[:-1]
    before[1:][follows] = now[:-1][follows]
    (changed,) = (now != before).nonzero()
    return Ends(call[changed], minute[changed], by[changed], now[changed], before[changed])


def standing(call: I64, source: I32) -> Bools:
    """Which statements are the newest of their source on their call: these stand."""
    order = stable_order((call, source))
    newest = np.ones(len(call), np.bool_)
    same = (call[order[1:]] == call[order[:-1]]) & (source[order[1:]] == source[order[:-1]])
    newest[order[:-1][same]] = False
    return newest
