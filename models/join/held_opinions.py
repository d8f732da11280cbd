"""Counts what sources have said of held calls, where a state of before did not: then each later change is one."""

from __future__ import annotations

import numpy as np

from models.join.deltas import Deltas
from models.join.held_calls import HAS_ERROR
from models.join.ledger_store import LedgerStore
from models.join.shard_state import ShardState
from models.join.statement_pool import ASSERTION, NO_STATEMENT


def count_held_opinions(shard: ShardState, deltas: Deltas) -> None:
    """Gain the opinions of all held calls. O(held calls); once, before the first batch after an upgrade."""
    held, table, pool = shard.held, shard.held.calls, shard.held.statements
    rows = held.index.rows()
    rows = rows[table.head[rows] != NO_STATEMENT]
    head = table.head[rows]
    single = (pool.next[head] == NO_STATEMENT) & (pool.kind[head] == ASSERTION) & (table.traits[rows] & HAS_ERROR == 0)
    row, only = rows[single], head[single]
    ones = np.ones(len(row), np.int8)
    # Under the rules of that version a single statement is its call's verdict.
    deltas.add_opinions(table.group[row], pool.source[only], table.at[row], table.verdict[row], pool.at[only], ones)
    for ledger in LedgerStore(shard).load(rows[~single], {}):
        for source, (success, at) in ledger.now().opinions.items():
            deltas.add_opinion(ledger.group, ledger.at, source, success, at, 1)
