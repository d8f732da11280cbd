"""Decides which records of a batch take the fast path through the join.

All records of a call in the batch take the same path: the fast one where they are at most one record of the call
itself, which is new and comes first, and any number of assertions about a call without error and retractions. Further
records of a call that touch no ledger do not count here: see `models.join.seconds`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import I32, I64, U64, Bools
from models.join.arrivals import CallColumns, OutcomeColumns
from models.join.held_calls import BY_RECORD, IS_VOICED
from models.join.identity import Identified
from models.join.seconds import Seconds, seconds
from models.join.shard_state import ShardState
from models.join.spoken import Spoken
from models.join.statement_pool import NO_STATEMENT
from models.side_messages import JudgedBatch


class Dispatch(NamedTuple):
    """The path of each record of a batch.

    Attributes:
        fast_calls: per call, whether it takes the fast path.
        fast_outcomes: per outcome, whether it takes the fast path.
        first: per outcome, whether it does so alone with a call on which there is no statement, and decides.
        voiced: per outcome, whether its call is read by voices and sources; see `opinions_in_columns`.
        call_rows: per call, the row of a held call with the same key, or -1.
        outcome_rows: per outcome, the row of its held call, or -1.
        is_alone: per record, calls first, whether it is the only one of its call in the batch.
        owner: per outcome, a call of the batch with the same key, or -1.
        seconds: the call records that complete or repeat a call in columns.
    """

    fast_calls: Bools
    fast_outcomes: Bools
    first: Bools
    voiced: Bools
    call_rows: I32
    outcome_rows: I32
    is_alone: Bools
    owner: I64
    seconds: Seconds


class _Runs(NamedTuple):
    """The records of a batch by their key, numbered from 0.

    Attributes:
        keys: how many keys there are.
        of_call: per call, the number of its key.
        of_outcome: per outcome, the number of its key.
    """

    keys: int
    of_call: I64
    of_outcome: I64


def dispatch(
    shard: ShardState,
    calls: CallColumns,
    outcomes: OutcomeColumns,
    found: Identified,
    spoken: Spoken | None = None,
    judged: JudgedBatch | None = None,
) -> Dispatch:
    """Choose the path of each record; `spoken`: which of them are statements of sessions. O(n).

    `judged`: a call that violates a contract is read record by record, as one with an `error`.
    """
    count = len(calls.key)
    call_rows, outcome_rows = found.rows[:count], found.rows[count:]
    runs = _runs(found.keys, found.order, count)
    again = seconds(shard, calls, found, runs.of_call, judged)
    firsts = np.ones(count, np.bool_)
    firsts[again.chosen] = False
    (records,) = firsts.nonzero()
    call_of = np.full(runs.keys, -1, np.int64)
    call_of[runs.of_call[records]] = records
    owner = call_of[runs.of_outcome]

    of = runs.of_call[records], runs.of_outcome
    calls_of, outcomes_of = (np.bincount(one, minlength=runs.keys) for one in of)
    is_new = (call_rows < 0) & ~found.awaited[:count] & ~calls.failed & (calls_of[runs.of_call] == 1)
    fits, voiced = _fits(shard, calls, outcomes, outcome_rows, owner, spoken)
    if judged is not None:
        is_new &= ~judged.states
    is_first = ~voiced & (outcomes_of[runs.of_outcome] == 1)
    is_first &= (owner >= 0) | (shard.held.calls.head[outcome_rows] == NO_STATEMENT)
    if spoken is not None:
        fits &= ~spoken.made | _in_session(shard, calls, outcome_rows, owner, spoken)
    slow = np.zeros(runs.keys, np.bool_)
    slow[runs.of_call[firsts & ~(is_new & (calls.at + shard.periods().hold[calls.group] >= calls.wm))]] = True
    slow[runs.of_outcome[~fits]] = True

    fast_outcomes = ~slow[runs.of_outcome]
    if voiced.any():
        some_voiced = np.zeros(runs.keys, np.bool_)
        some_voiced[runs.of_outcome[voiced]] = True
        voiced = some_voiced[runs.of_outcome]
    first = fast_outcomes & is_first & ~voiced
    alone = (calls_of + outcomes_of == 1)[np.concatenate(runs[1:])]
    fast_calls = firsts & ~slow[runs.of_call]
    again = again.where((again.owner < 0) | fast_calls[again.owner])
    return Dispatch(fast_calls, fast_outcomes, first, voiced, call_rows, outcome_rows, alone, owner, again)


def _in_session(shard: ShardState, calls: CallColumns, rows: I32, owner: I64, spoken: Spoken) -> Bools:
    """Which statements are of the session of their call."""
    session = shard.held.calls.session[rows]
    (follows,) = (owner >= 0).nonzero()
    session[follows] = calls.session[owner[follows]]
    same: Bools = session == spoken.session
    return same


def _fits(
    shard: ShardState,
    calls: CallColumns,
    outcomes: OutcomeColumns,
    rows: I32,
    owner: I64,
    spoken: Spoken | None,
) -> tuple[Bools, Bools]:
    """Which outcomes assert something in time about a held call that is read in columns, or about one before them.

    And which of all are not plain, or about a call that is not.
    """
    table, periods = shard.held.calls, shard.periods()
    row = np.maximum(rows, 0)
    at, group, version = table.at[row], table.group[row], table.rules[row]
    traits = np.where(owner >= 0, 0, table.traits[row])
    fits: Bools = (rows >= 0) & (traits & BY_RECORD == 0)
    (follows,) = (owner >= 0).nonzero()
    followed = owner[follows]
    at[follows], group[follows], version[follows] = calls.at[followed], calls.group[followed], periods.version
    fits[follows] = outcomes.pos[follows] > calls.pos[followed]
    signed, tables, source = outcomes.author != 0, shard.source_tables(), outcomes.source
    fits &= ~outcomes.retract
    if tables.mixed.any():
        fits &= ~tables.mixed[version, source]
    if tables.alone.any():
        fits &= ~(signed & tables.alone[version, source])
    passed = outcomes.wm if spoken is None else np.where(spoken.made, spoken.passed, outcomes.wm)
    fits &= at + periods.holds[version, group] >= passed
    fits &= outcomes.at <= at + periods.horizons[version, group]
    voiced = signed | (traits & IS_VOICED != 0)
    if not tables.plain.all():
        voiced |= ~tables.plain[version, source]
    if periods.requires.any():
        voiced |= periods.requires[version, group]
    return fits, voiced


def _runs(keys: U64, order: I64, count: int) -> _Runs:
    """Number the keys, which `order` sorts; the first `count` are those of calls."""
    ordered = keys[order]
    changed = np.ones(len(keys), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=changed[1:])
    numbers = np.cumsum(changed) - 1
    run = np.empty(len(keys), np.int64)
    run[order] = numbers
    return _Runs(int(np.count_nonzero(changed)), run[:count], run[count:])
