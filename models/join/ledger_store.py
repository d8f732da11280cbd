"""Loads open ledgers from the columns of held calls, and saves them there."""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern

import numpy as np

from models.arrays import I32, U32
from models.join.contents import Contents
from models.join.held_calls import HAS_LEDGER, NO_STATEMENT, PENDING, CallTable, StoredLedger
from models.join.ledger import Statement
from models.join.open_ledger import OpenLedger
from models.join.shard_state import ShardState


class LedgerStore:
    """The held calls of one shard, as ledgers."""

    def __init__(self, shard: ShardState) -> None:
        self._shard = shard
        self._held = shard.held

    def load(self, rows: I32, call_ids: dict[int, str]) -> Iterator[OpenLedger]:
        """The ledgers of the calls at `rows`; `call_ids` by key, for those whose id is not kept."""
        shard, held, table = self._shard, self._held, self._held.calls
        single = table.single[rows]
        single_statements = iter(self._single_statements(rows[single >= 0]))
        contents = map(Contents, *(column[rows].tolist() for column in (table.filled, table.digest, *_digests(table))))
        columns = (table.group, table.at, table.minute, table.rules)
        keys, known = held.index.row_key[rows].tolist(), table.ids.known(rows).tolist()
        stored_ids = [text if is_known else None for text, is_known in zip(table.ids.texts(rows), known, strict=True)]
        values = (column[rows].tolist() for column in columns)
        for key, row, kind, stored_id, group, at, minute, version, one in zip(
            keys, rows.tolist(), single.tolist(), stored_ids, *values, contents, strict=True
        ):
            # Earlier versions did not keep the id of a call with a single statement; the record that opens it has it.
            call_id, error, late, statements = stored_id or call_ids.get(key, ""), None, None, []
            if kind == HAS_LEDGER:
                ledger = held.ledgers[row]
                call_id, error, statements = ledger.call_id, ledger.error, ledger.statements
                late = ledger.error_minute
            elif kind != NO_STATEMENT:
                statements = [next(single_statements)]
            rules, task = shard.versions[version], shard.groups[group][0]
            yield OpenLedger(key, row, call_id, group, at, minute, version, one, error, statements, rules, task, late)

    def add_calls(self, ledgers: list[OpenLedger]) -> None:
        """Hold new calls; sets `row` of their ledgers."""
        if not ledgers:
            return
        table = self._held.calls
        keys = np.array([ledger.key for ledger in ledgers], np.uint64)
        closes = np.array([ledger.closes for ledger in ledgers], np.int64)
        rows = self._held.add(keys, closes)
        table.ids.put(rows, [ledger.call_id for ledger in ledgers])
        for name in ("at", "group", "minute"):
            column = getattr(table, name)
            column[rows] = [getattr(ledger, name) for ledger in ledgers]
        table.rules[rows] = [ledger.version for ledger in ledgers]
        table.verdict[rows], table.single[rows] = PENDING, NO_STATEMENT
        for ledger, row in zip(ledgers, rows.tolist(), strict=True):
            ledger.row = row
        self.save_contents(ledgers)

    def save_contents(self, ledgers: list[OpenLedger]) -> None:
        """Save what the records of held calls have had."""
        if not ledgers:
            return
        table, rows = self._held.calls, np.array([ledger.row for ledger in ledgers], np.int32)
        contents = zip(*(ledger.contents for ledger in ledgers), strict=True)
        for column, values in zip((table.filled, table.digest, *_digests(table)), contents, strict=True):
            column[rows] = values
        self._held.touch(rows)

    def save(self, ledgers: list[OpenLedger]) -> None:
        """Save ledgers of held calls: a single assertion in the columns, a longer ledger as an object."""
        if not ledgers:
            return
        held, table = self._held, self._held.calls
        rows = np.array([ledger.row for ledger in ledgers], np.int32)
        table.verdict[rows] = [PENDING if ledger.success is None else int(ledger.success) for ledger in ledgers]
        held.forget_singles(rows)
        held.touch(rows)
        for ledger in ledgers:
            if not ledger.is_single and (ledger.statements or ledger.error is not None):
                held.ledgers[ledger.row] = StoredLedger(
                    ledger.call_id, ledger.error, ledger.statements, ledger.error_minute
                )
                table.single[ledger.row] = HAS_LEDGER
        single = [ledger for ledger in ledgers if ledger.is_single]
        if single:
            self._save_singles(single)

    def _single_statements(self, rows: I32) -> list[Statement]:
        """The only statements of the calls at `rows`."""
        table, singles, sources = self._held.calls, self._held.singles, self._shard.sources
        reasons, scorers = self._held.reasons, self._held.scorers
        single = table.single[rows]
        columns = (singles.at, singles.source, singles.given, singles.score, singles.minute)
        return [
            Statement(
                at,
                outcome_id,
                sources[source],
                None if given < 0 else given == 1,
                None if score != score else score,  # noqa: PLR0124 (nan: absent)
                retract=False,
                retracts=None,
                reason=reasons.get(place),
                minute=minute,
                scorer=scorers.get(place),
            )
            for place, outcome_id, at, source, given, score, minute in zip(
                single.tolist(),
                singles.ids.texts(single),
                *(column[single].tolist() for column in columns),
                strict=True,
            )
        ]

    def _save_singles(self, ledgers: list[OpenLedger]) -> None:
        table, singles = self._held.calls, self._held.singles
        statements = [ledger.statements[0] for ledger in ledgers]
        single = singles.take_rows(len(statements))
        singles.at[single] = [s.at for s in statements]
        singles.source[single] = [self._shard.source_code(s.source or "") for s in statements]
        singles.given[single] = [-1 if s.given is None else int(s.given) for s in statements]
        singles.score[single] = [np.nan if s.score is None else s.score for s in statements]
        singles.minute[single] = [s.minute for s in statements]
        rows = np.array([ledger.row for ledger in ledgers], np.int32)
        singles.ids.put(single, [s.outcome_id for s in statements])
        table.single[rows] = single
        for place, s in zip(single.tolist(), statements, strict=True):
            if s.reason is not None:
                self._held.reasons[place] = s.reason
            if s.scorer is not None:
                self._held.scorers[place] = intern(s.scorer)


def _digests(table: CallTable) -> tuple[U32, U32, U32]:
    """The last columns of `Contents`."""
    return table.segment, table.session, table.error
