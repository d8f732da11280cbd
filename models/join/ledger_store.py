"""Loads open ledgers from the columns of held calls and their statements, and saves there what has come to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from models.arrays import I32, U32
from models.join.contents import Contents
from models.join.held_calls import IS_MIXED, PENDING, CallTable
from models.join.ledger import Statement
from models.join.open_ledger import OpenLedger
from models.join.shard_state import ShardState
from models.join.statement_pool import ASSERTION, BY_ID, BY_VOICE, MANY_EDITIONS, TEXTS


class LedgerStore:
    """The held calls of one shard, as ledgers."""

    def __init__(self, shard: ShardState) -> None:
        self._shard = shard
        self._held = shard.held

    def load(self, rows: I32, call_ids: dict[int, str]) -> Iterator[OpenLedger]:
        """The ledgers of the calls at `rows`; `call_ids` by key, for those whose id is not kept."""
        shard, held, table = self._shard, self._held, self._held.calls
        contents = map(Contents, *(column[rows].tolist() for column in _contents(table)))
        columns, rare = (table.group, table.at, table.minute, table.rules), (held.units.of(rows), held.facets.of(rows))
        beside = zip(*([0] * len(rows) if column is None else column.tolist() for column in rare), strict=True)
        keys, known = held.index.row_key[rows].tolist(), table.ids.known(rows).tolist()
        stored_ids = [text if is_known else None for text, is_known in zip(table.ids.texts(rows), known, strict=True)]
        values = (column[rows].tolist() for column in columns)
        for key, row, statements, stored_id, of_call, group, at, minute, version, had in zip(
            keys, rows.tolist(), self._statements(rows), stored_ids, beside, *values, contents, strict=True
        ):
            # Earlier versions did not keep the id of a call with a single statement; the record that opens it has it.
            call_id, error = stored_id or call_ids.get(key, ""), held.errors.get(row)
            rules, task, late = shard.versions[version], shard.groups[group][0], held.error_minutes.get(row)
            place = key, row, call_id, group, at, minute, version
            yield OpenLedger(*place, had, error, statements, rules, task, late, *of_call)

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
        table.verdict[rows] = PENDING
        self._held.units.put(rows, np.array([ledger.unit for ledger in ledgers], np.uint64))
        self._held.facets.put(rows, np.array([ledger.facets for ledger in ledgers], np.uint32))
        for ledger, row in zip(ledgers, rows.tolist(), strict=True):
            ledger.row = row
        self.save_contents(ledgers)

    def save_contents(self, ledgers: list[OpenLedger]) -> None:
        """Save what the records of held calls have had."""
        if not ledgers:
            return
        table, rows = self._held.calls, np.array([ledger.row for ledger in ledgers], np.int32)
        contents = zip(*(ledger.contents for ledger in ledgers), strict=True)
        for column, values in zip(_contents(table), contents, strict=True):
            column[rows] = values
        self._held.touch(rows)
        for ledger in ledgers:
            if ledger.error is not None and not ledger.had_error:
                self._held.set_error(ledger.row, ledger.error, ledger.error_minute)

    def save(self, ledgers: list[OpenLedger]) -> None:
        """Save the verdicts of held calls, and the statements that have come since their ledgers were opened."""
        if not ledgers:
            return
        held, table = self._held, self._held.calls
        rows = np.array([ledger.row for ledger in ledgers], np.int32)
        table.verdict[rows] = [PENDING if ledger.success is None else int(ledger.success) for ledger in ledgers]
        held.touch(rows)
        new = [ledger.statements[ledger.size :] for ledger in ledgers]
        owners, statements = np.repeat(rows, [len(some) for some in new]), self._put([s for some in new for s in some])
        held.enter(owners, statements)
        held.note_lengths(rows, np.array([len(ledger.statements) for ledger in ledgers]))
        self._shard.note_kinds(owners, statements)
        # What the columns take for editions is what their own rules allow as such.
        held.note(IS_MIXED, rows[[ledger.said_twice or ledger.violates for ledger in ledgers]])

    def _statements(self, rows: I32) -> list[list[Statement]]:
        """The statements on each of the calls at `rows`, in the order of their arrival."""
        pool, sources = self._held.statements, self._shard.sources
        chosen, owners = pool.chains(self._held.calls.head[rows])
        found: list[list[Statement]] = [[] for _ in range(len(rows))]
        columns = (pool.at, pool.source, pool.given, pool.kind, pool.score, pool.minute, pool.author, pool.edition)
        authors = self._shard.authors.names
        reasons, retracts, scorers = pool.reasons, pool.retracts, pool.scorers
        for owner, row, outcome_id, at, source, given, kind, score, minute, author, edition in zip(
            owners.tolist(),
            chosen.tolist(),
            pool.ids.texts(chosen),
            *(column[chosen].tolist() for column in columns),
            strict=True,
        ):
            statement = Statement(
                at,
                outcome_id,
                sources[source] or None,
                None if given < 0 else given == 1,
                None if score != score else score,  # noqa: PLR0124 (nan: absent)
                retract=kind != ASSERTION,
                retracts=retracts.get(row),
                reason=reasons.get(row),
                minute=minute,
                author=authors[author] or None,
                edition=edition,
                scorer=scorers.get(row),
            )
            found[owner].append(statement)
        return [_numbered(statements) for statements in found]

    def _put(self, statements: list[Statement]) -> I32:
        """The rows of the pool that have these statements now."""
        pool, source_code = self._held.statements, self._shard.source_code
        rows = pool.take_rows(len(statements))
        pool.ids.put(rows, [s.outcome_id for s in statements])
        pool.at[rows] = [s.at for s in statements]
        pool.source[rows] = [source_code(s.source or "") for s in statements]
        pool.given[rows] = [-1 if s.given is None else int(s.given) for s in statements]
        pool.kind[rows] = [kind_of(s) for s in statements]
        pool.score[rows] = [np.nan if s.score is None else s.score for s in statements]
        pool.minute[rows] = [s.minute for s in statements]
        pool.author[rows] = [self._shard.authors.code(s.author or "") for s in statements]
        pool.edition[rows] = [min(s.edition, MANY_EDITIONS) for s in statements]
        pool.put_texts(rows, *([getattr(s, name) for s in statements] for name in TEXTS))
        return rows


def _contents(table: CallTable) -> tuple[U32, ...]:
    """The columns of `Contents`."""
    return table.filled, table.digest, table.segment, table.session, table.error


def kind_of(statement: Statement) -> int:
    """The kind of a statement, as in the pool."""
    if not statement.retract:
        return ASSERTION
    return BY_VOICE if statement.retracts is None else BY_ID


def _numbered(statements: list[Statement]) -> list[Statement]:
    """Statements of a call in order of arrival, with their editions: the columns have no greater than a byte."""
    if all(s.edition < MANY_EDITIONS for s in statements):
        return statements
    seen: Counter[str] = Counter()
    for place, s in enumerate(statements):
        seen[s.outcome_id] += 1
        statements[place] = s._replace(edition=seen[s.outcome_id])
    return statements
