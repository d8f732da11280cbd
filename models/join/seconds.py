"""Completes calls in whole columns: the records of calls that are held, or that come earlier in the batch.

A record that fills no `error` touches no ledger and no verdict, so it makes no difference where it stands among the
outcomes of its call. All call records of a call in the batch are such ones, or none is taken here.
What it does equals the slow path record by record.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from models.arrays import I32, I64, U32, Bools
from models.join.arrivals import CallColumns
from models.join.completions import Filled
from models.join.contents import ERROR_BIT, FIELDS, KNOWN, LATENCY_BIT, MOST_APART_US, SESSION_BIT
from models.join.identity import Identified
from models.join.shard_state import ShardState
from models.side_messages import JudgedBatch

_MOST_RECORDS: Final = 8
"""Of one call in one batch: each is a turn of its own."""


class Seconds(NamedTuple):
    """Records that complete or repeat a call.

    Attributes:
        chosen: indices of the batch's calls; those of one call in reading order.
        owner: for each, the call of the batch that it completes; -1 where that was held before.
        new: what each fills, as bits.
        had: what its call had before.
    """

    chosen: I64
    owner: I64
    new: U32
    had: U32

    def where(self, kept: Bools) -> Seconds:
        """Those that a mask selects."""
        return Seconds(self.chosen[kept], self.owner[kept], self.new[kept], self.had[kept])


NO_SECONDS: Final = Seconds(np.zeros(0, np.int64), np.zeros(0, np.int64), *(np.zeros(0, np.uint32),) * 2)


class _Owners(NamedTuple):
    """The calls that have several records, or are held; `first`: their first records in the batch."""

    first: I64
    row: I32
    closes: I64
    at: I64
    filled: U32
    names: U32
    segment: U32
    session: U32
    error: U32


def seconds(
    shard: ShardState, calls: CallColumns, found: Identified, numbers: I64, judged: JudgedBatch | None = None
) -> Seconds:
    """The records of the batch that may be taken here: provided that, where there is an owner, it is held by then.

    `numbers`: of the key of each call, from 0. `judged`: records that may be a failure are taken one by one.
    """
    records, runs = _of_calls_with_several(calls, found, numbers)
    if not len(records):
        return NO_SECONDS
    is_first = np.diff(runs, prepend=-1) != 0
    (firsts,) = is_first.nonzero()
    owner = np.cumsum(is_first) - 1
    owners = _owners(shard, calls, records[firsts], found.rows[records[firsts]])
    turn = np.arange(len(records)) - firsts[owner]
    is_second = (turn > 0) | (owners.row[owner] >= 0)
    taken = np.diff(firsts, append=len(records)) <= _MOST_RECORDS
    if judged is not None:
        taken[owner[is_second & judged.may_state[records]]] = False
    new, had = np.zeros(len(records), np.uint32), np.zeros(len(records), np.uint32)
    for one in range(min(int(turn.max()) + 1, _MOST_RECORDS)):
        (now,) = ((turn == one) & is_second).nonzero()
        had[now] = owners.filled[owner[now]]
        new[now], fits = _fill(owners, owner[now], calls, records[now])
        taken[owner[now]] &= fits
    kept = is_second & taken[owner]
    first = np.where(owners.row >= 0, -1, owners.first)
    return Seconds(records[kept], first[owner[kept]], new[kept], had[kept])


def fill(shard: ShardState, calls: CallColumns, found: Seconds) -> Filled:
    """Fill the held calls; what was filled. The records that fill nothing are duplicates."""
    (filling,) = (found.new != 0).nonzero()
    chosen, new = found.chosen[filling], found.new[filling]
    rows, table = shard.held.index.find(calls.key[chosen]), shard.held.calls
    np.bitwise_or.at(table.filled, rows, new)
    (named,) = (new & SESSION_BIT).nonzero()
    table.session[rows[named]] = calls.session[chosen[named]]
    shard.held.touch(rows)
    units, facets = shard.held.units.of(rows), shard.held.facets.of(rows)
    unit = np.zeros(len(rows), np.uint64) if units is None else units
    facet = np.zeros(len(rows), np.uint32) if facets is None else facets
    had = found.had[filling]
    return Filled(chosen, table.group[rows], table.at[rows], table.minute[rows], new, unit, had, facet)


def _of_calls_with_several(calls: CallColumns, found: Identified, numbers: I64) -> tuple[I64, I64]:
    """The call records whose call is held or has several in the batch, by call and place; and their calls' numbers."""
    count = len(numbers)
    (records,) = ((np.bincount(numbers)[numbers] > 1) | (found.rows[:count] >= 0)).nonzero()
    order = records[np.lexsort((calls.pos[records], numbers[records]))]
    return order, numbers[order]


def _owners(shard: ShardState, calls: CallColumns, first: I64, row: I32) -> _Owners:
    table, periods, held = shard.held.calls, shard.periods(), row >= 0
    of_batch: tuple[Any, ...] = (calls.at, calls.filled | KNOWN, calls.names, calls.segment, calls.session, calls.error)
    of_table: tuple[Any, ...] = (table.at, table.filled, table.digest, table.segment, table.session, table.error)
    closes = calls.at[first] + periods.hold[calls.group[first]]
    closes[held] = shard.closing_times(row[held])
    columns = [column[first] for column in of_batch]
    for column, stored in zip(columns, of_table, strict=True):
        column[held] = stored[row[held]]
    return _Owners(first, row, closes, *columns)


def _fill(owners: _Owners, owner: I64, calls: CallColumns, records: I64) -> tuple[U32, Bools]:
    """What records fill of their calls, at most one of each, and whether they may be taken here. Fills the owners."""
    filled, given, apart = owners.filled[owner], calls.filled[records], calls.at[records] - owners.at[owner]
    new: U32 = given & ~filled & np.uint32(FIELDS)
    new |= (((given | filled) & LATENCY_BIT == 0) & (apart != 0)) * np.uint32(LATENCY_BIT)
    both = given & filled
    fits: Bools = (filled & KNOWN != 0) & (new & ERROR_BIT == 0) & (owners.closes[owner] >= calls.wm[records])
    fits &= (owners.names[owner] == calls.names[records]) & (owners.segment[owner] == calls.segment[records])
    fits &= (both & ERROR_BIT == 0) | (owners.error[owner] == calls.error[records])
    fits &= (both & SESSION_BIT == 0) | (owners.session[owner] == calls.session[records])
    fits &= np.abs(apart) <= MOST_APART_US
    owners.filled[owner] |= new
    session = np.where(new & SESSION_BIT != 0, calls.session[records], owners.session[owner])
    owners.session[owner] = session
    return new, fits
