"""The ledgers that one batch touches: opened from the columns together, changed one by one, stored again together.

Any number of records of a batch may change a ledger and it is settled once, so batch cuts do not matter: what leaves
is the difference between the ledger as it was and as it is.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from models.arrays import I32
from models.join.deltas import Deltas
from models.join.joined import Judgement, StatementRow
from models.join.ledger_store import LedgerStore
from models.join.open_ledger import OpenLedger
from models.join.settlement import Settlement
from models.join.shard_state import ShardState


class OpenLedgers:
    """The open ledgers of one batch, by the key of their call."""

    def __init__(self, shard: ShardState, deltas: Deltas, tally: Counter[str]) -> None:
        """Differences go to `deltas`, counts to `tally`."""
        self._held = shard.held
        self._store = LedgerStore(shard)
        self._settlement = Settlement(shard, deltas, tally)
        self._open: dict[int, OpenLedger] = {}
        self._closed: list[OpenLedger] = []

    @property
    def judgements(self) -> list[Judgement]:
        """The verdicts that changed so far."""
        return self._settlement.judgements

    @property
    def statements(self) -> list[StatementRow]:
        """The statements that are new or changed so far."""
        return self._settlement.statements

    def load(self, rows: I32, call_ids: dict[int, str]) -> None:
        """Open the held calls at these distinct rows; `call_ids` by key, from the records about them."""
        for ledger in self._store.load(rows, call_ids):
            self._open[ledger.key] = ledger

    def get(self, key: int) -> OpenLedger | None:
        """The open ledger of a call; None if none is held."""
        return self._open.get(key)

    def add(self, ledger: OpenLedger) -> None:
        """Open the ledger of a call accepted just now."""
        self._open[ledger.key] = ledger

    def close(self, ledger: OpenLedger) -> None:
        """Close a call that a record of this batch met after its closing time."""
        self._settlement.settle(ledger, closing=True)
        del self._open[ledger.key]
        if ledger.stored:
            self._closed.append(ledger)

    def close_rows(self, rows: I32) -> None:
        """Close held calls that have come due; the caller gives their rows back."""
        for ledger in self._store.load(rows, {}):
            self._settlement.settle(ledger, closing=True)

    def finish(self) -> None:
        """Settle what is open and store it."""
        for ledger in self._open.values():
            self._settlement.settle(ledger, closing=False)
        # The rows of closed calls stay scheduled: they are given back when their hour comes due.
        if self._closed:
            self._held.remove(np.array([ledger.key for ledger in self._closed], np.uint64))
        new = [ledger for ledger in self._open.values() if not ledger.stored]
        self._store.add_calls(new)
        self._store.save_contents([ledger for ledger in self._open.values() if ledger.stored and ledger.completed])
        self._store.save([ledger for ledger in self._open.values() if not ledger.stored or ledger.grew])
