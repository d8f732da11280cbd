"""Decides which records of a batch take the fast path through the join.

It takes a new call with at most one outcome beside it in the batch, and an outcome that is alone with such a call, or
alone with a held call that has no statement, and then decides by itself. Second records of calls that touch no ledger
are columns too, see `models.join.seconds`. All others take the slow path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import I32, I64, U64, Bools
from models.join.arrivals import CallColumns, OutcomeColumns
from models.join.held_calls import NO_STATEMENT
from models.join.identity import Identified
from models.join.seconds import Seconds, seconds
from models.join.shard_state import ShardState


class Dispatch(NamedTuple):
    """The path of each record of a batch.

    Attributes:
        fast_calls: per call, whether it takes the fast path.
        fast_outcomes: per outcome, whether it takes the fast path.
        call_rows: per call, the row of a held call with the same key, or -1.
        outcome_rows: per outcome, the row of its held call, or -1.
        is_alone: per record, calls first, whether it is the only one of its call in the batch.
        partner: per outcome, the call of the batch where these two alone share a key, or -1.
        seconds: the call records that complete or repeat a call in columns; for the others it is as if they were not
            there.
    """

    fast_calls: Bools
    fast_outcomes: Bools
    call_rows: I32
    outcome_rows: I32
    is_alone: Bools
    partner: I64
    seconds: Seconds


def dispatch(shard: ShardState, calls: CallColumns, outcomes: OutcomeColumns, found: Identified) -> Dispatch:
    """Choose the path of each record. O(n)."""
    count, held, periods = len(calls.key), shard.held, shard.periods()
    again = seconds(shard, calls, found)
    alone, partner = _companions(found.keys, _without(found.order, again.chosen), count)
    call_rows, outcome_rows = found.rows[:count], found.rows[count:]
    paired = partner >= 0
    single = alone[:count].copy()
    single[partner[paired]] = True
    fast_calls = single & (call_rows < 0) & ~found.awaited[:count] & ~calls.failed
    fast_calls &= calls.at + periods.hold[calls.group] >= calls.wm

    table, row = held.calls, np.maximum(outcome_rows, 0)
    clean = (outcome_rows >= 0) & alone[count:]
    clean &= (table.single[row] == NO_STATEMENT) & (table.rules[row] == periods.version)
    at, group = table.at[row], table.group[row]
    follows = paired.nonzero()[0]
    followed = partner[follows]
    at[follows], group[follows] = calls.at[followed], calls.group[followed]
    clean[follows] = fast_calls[followed] & (outcomes.pos[follows] > calls.pos[followed])
    fast = clean & ~outcomes.retract & (at + periods.hold[group] >= outcomes.wm)
    fast &= outcomes.at <= at + periods.horizon[group]
    fast &= _decides(shard, outcomes) & ~periods.requires[group]
    # A call whose outcome takes the slow path goes with it.
    fast_calls[partner[paired & ~fast]] = False
    is_held = (again.owner < 0) | fast_calls[again.owner]
    again = Seconds(again.chosen[is_held], again.owner[is_held], again.new[is_held])
    return Dispatch(fast_calls, fast, call_rows, outcome_rows, alone, partner, again)


def _without(order: I64, records: I64) -> I64:
    """An order of records without some of them."""
    if not len(records):
        return order
    kept = np.ones(len(order), np.bool_)
    kept[records] = False
    return order[kept[order]]


def _decides(shard: ShardState, outcomes: OutcomeColumns) -> Bools:
    """Which assertions, alone, are the opinion of their source under the rules for new calls."""
    decides: Bools = outcomes.author == 0
    rules = shard.rules.verdict
    if rules.special and len(decides):
        special = [rules.rule(source) if source in rules.special else None for source in shard.sources]
        combined = np.array([rule is not None and rule.combine != "newest" for rule in special], np.bool_)
        bounds = [(np.nan, np.nan) if rule is None else rule.abstain or (np.nan, np.nan) for rule in special]
        low, high = np.array(bounds)[outcomes.source].T
        abstains = (outcomes.success < 0) & (low <= outcomes.score) & (outcomes.score <= high)
        decides &= ~combined[outcomes.source] & ~abstains
    return decides


def _companions(keys: U64, order: I64, count: int) -> tuple[Bools, I64]:
    """Which keys occur once in `order`; per outcome (from `count` on) the call where both alone have a key, else -1."""
    ordered = keys[order]
    same = np.zeros(len(order) + 1, np.bool_)  # as the key before it
    np.equal(ordered[1:], ordered[:-1], out=same[1:-1])
    alone = np.zeros(len(keys), np.bool_)
    alone[order] = ~(same[:-1] | same[1:])
    (second,) = (same[1:-1] & ~same[:-2] & ~same[2:]).nonzero()
    one, other = order[second], order[second + 1]
    call, outcome = np.minimum(one, other), np.maximum(one, other)
    mixed = (call < count) & (outcome >= count)
    partner = np.full(len(keys) - count, -1, np.int64)
    partner[outcome[mixed] - count] = call[mixed]
    return alone, partner
