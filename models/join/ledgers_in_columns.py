"""Reads the ledgers of many calls at once: functions of columns, for ledgers of assertions only.

The rules are those of `models.join.ledger`, which reads one ledger; tests hold the two against each other. Statements
of one call follow each other, in the order of its ledger. Of two on one call the `strength` says which decides: the one
of the higher rank, and of equal rank the later one.
"""

from __future__ import annotations

from collections.abc import Callable
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
        by: a statement of the source that decides then; of no meaning where none does.
        success: the verdict, -1 for none.
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
    """The order of statements by (call, at, id, place); the i-th id is that at `rows[i]` of `ids`."""
    key = packed((call, at))
    if key is None:
        return np.lexsort((ids.ranks(rows), at, call))
    order = np.argsort(key)
    ordered = key[order]
    (second,) = (ordered[1:] == ordered[:-1]).nonzero()
    if len(second):
        tied = np.union1d(second, second + 1)
        of_one_instant = order[tied]
        by_id = np.lexsort((of_one_instant, ids.ranks(rows[of_one_instant]), key[of_one_instant]))
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
    """By call, how often the verdict changes, given that after each statement; the first departure is left out."""
    changed = success != before(call, success)
    return np.maximum(np.bincount(call[changed], minlength=calls) - 1, 0).astype(np.int32)


def before(call: I64, success: I8) -> I8:
    """The verdict of the row before, on the same call; -1 where there is none."""
    found = np.full(len(call), -1, np.int8)
    follows = call[1:] == call[:-1]
    found[1:][follows] = success[:-1][follows]
    return found


Follow = Callable[[I64], tuple[I8, I64]]
"""Gives the verdict after each of some statements, in an order of their places, and one of the source that decides."""


def ends(call: I64, minute: I32, some: I64, follow: Follow) -> Ends:
    """The ends of minutes, as `some` of the statements give them, by their places, ascending."""
    of, at = call[some], minute[some]
    if ((at[1:] < at[:-1]) & (of[1:] == of[:-1])).any():
        order = stable_order((of, at))
        some, of, at = some[order], of[order], at[order]
    success, by = follow(some)
    is_end = last_of(of)
    is_end[:-1] |= at[1:] != at[:-1]
    of, at, by, success = of[is_end], at[is_end], by[is_end], success[is_end]
    earlier = before(of, success)
    (changed,) = (success != earlier).nonzero()
    return Ends(of[changed], at[changed], by[changed], success[changed], earlier[changed])


def newest_of_voices(*voice: I32 | I64) -> Bools:
    """Which statements are the newest of their voice: these stand; `voice`: columns of call, source and author."""
    order = stable_order(voice)
    newest = np.ones(len(order), np.bool_)
    newest[order[:-1]] = np.any([column[order[1:]] != column[order[:-1]] for column in voice], axis=0)
    return newest
