"""Which records of a batch take the vectorised way through the join, and which are cases.

Simple are a new call with at most one outcome beside it in the batch, and an outcome that is alone with such a call, or
alone with a held call on which nobody has spoken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.arrays import I32, I64, U64, Bools
from models.join.held_calls import NO_STATEMENT

if TYPE_CHECKING:
    from models.join.arrivals import CallColumns, OutcomeColumns
    from models.join.held_calls import HeldCalls


class Ways(NamedTuple):
    """Per call or outcome of a batch.

    Attributes:
        calls: which calls are simple.
        outcomes: which outcomes are.
        call_rows: the held row of a call with the same id, or -1.
        outcome_rows: the held row of the outcome's call, or -1.
        partner: per outcome, the one call of the batch that it alone speaks of, or -1.
    """

    calls: Bools
    outcomes: Bools
    call_rows: I32
    outcome_rows: I32
    partner: I64


class Periods(NamedTuple):
    """By group, under the rules of `version`: how long a call is held, and for how long it is decided, in us."""

    version: int
    hold: I64
    horizon: I64


def ways(calls: CallColumns, outcomes: OutcomeColumns, held: HeldCalls, awaited: Bools, periods: Periods) -> Ways:
    """Tell the simple records from the cases; `awaited` are calls for which outcomes wait already."""
    count = len(calls.key)
    keys = np.concatenate((calls.key, outcomes.key))
    alone, partner = _company(keys, count)
    rows = held.index.find(keys)
    call_rows, outcome_rows = rows[:count], rows[count:]
    paired = partner >= 0
    single = alone[:count]
    single[partner[paired]] = True
    simple_calls = single & (call_rows < 0) & ~awaited & ~calls.failed
    simple_calls &= calls.at + periods.hold[calls.group] >= calls.wm

    table, row = held.calls, np.maximum(outcome_rows, 0)
    clean = (outcome_rows >= 0) & alone[count:]
    clean &= (table.single[row] == NO_STATEMENT) & (table.rules[row] == periods.version)
    at, group = table.at[row], table.group[row]
    follows = paired.nonzero()[0]
    mine = partner[follows]
    at[follows], group[follows] = calls.at[mine], calls.group[mine]
    clean[follows] = simple_calls[mine] & (outcomes.pos[follows] > calls.pos[mine])
    simple = clean & ~outcomes.retract & (at + periods.hold[group] >= outcomes.wm)
    simple &= outcomes.at <= at + periods.horizon[group]
    # A call whose outcome is no simple one goes with it.
    simple_calls[partner[paired & ~simple]] = False
    return Ways(simple_calls, simple, call_rows, outcome_rows, partner)


def _company(keys: U64, count: int) -> tuple[Bools, I64]:
    """Which keys occur once; and per outcome (from `count` on) the call where both alone have a key, else -1."""
    order = np.argsort(keys)
    ordered = keys[order]
    same = np.zeros(len(keys) + 1, np.bool_)  # as the key before it
    np.equal(ordered[1:], ordered[:-1], out=same[1:-1])
    alone = np.empty(len(keys), np.bool_)
    alone[order] = ~(same[:-1] | same[1:])
    (second,) = (same[1:-1] & ~same[:-2] & ~same[2:]).nonzero()
    one, other = order[second], order[second + 1]
    call, outcome = np.minimum(one, other), np.maximum(one, other)
    mixed = (call < count) & (outcome >= count)
    partner = np.full(len(keys) - count, -1, np.int64)
    partner[outcome[mixed] - count] = call[mixed]
    return alone, partner
