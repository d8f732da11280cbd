"""Counts what sources have said of held calls, where a state of before did not: then each later change is one."""

from __future__ import annotations

import numpy as np

from models.join.deltas import Deltas
from models.join.held_calls import HAS_LEDGER
from models.join.ledger_store import LedgerStore
from models.join.shard_state import ShardState


def count_held_opinions(shard: ShardState, deltas: Deltas) -> None:
    """Gain the opinions of all held calls. O(held calls); once, before the first batch after an upgrade."""
    held, table, singles = shard.held, shard.held.calls, shard.held.singles
    rows = held.index.rows()
    row = rows[table.single[rows] >= 0]
    single = table.single[row]
    ones = np.ones(len(row), np.int8)
    # Under the rules of that version a single statement is its call's verdict.
    deltas.add_opinions(
        table.group[row], singles.source[single], table.at[row], table.verdict[row], singles.at[single], ones
    )
    for ledger in LedgerStore(shard).load(rows[table.single[rows] == HAS_LEDGER], {}):
        for source, (success, at) in ledger.now().opinions.items():
            deltas.add_opinion(ledger.group, ledger.at, source, success, at, 1)
