"""The careful way through the join: record by record, for calls that do not fit the columns."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.arrivals import Arrivals, CallColumns, OutcomeColumns
from models.casebook import Casebook, Judgement, StatementRow
from models.deltas import Deltas
from models.held import HAS_CASE, PENDING, Case
from models.ledger import Statement
from models.streams import I64, MINUTE_US, NEVER
from models.waiting import Waiting, WaitingOutcomes

if TYPE_CHECKING:
    from models.join import Join


class Refusal(NamedTuple):
    """A record that becomes a dead letter. One that waited has no `raw` any more: its hash points to it."""

    reason: str
    detail: str
    call_id: str
    partition: str
    offset: int
    raw: bytes | None
    size: int
    sha256: str


class CaseResults(NamedTuple):
    """What the cases of one batch gave; `accepted` indexes the batch's calls."""

    accepted: I64
    judgements: list[Judgement]
    statements: list[StatementRow]
    refused: list[Refusal]
    tally: dict[str, int]


class Cases:
    """The cases of one shard, and the outcomes that wait for their call."""

    def __init__(self, join: Join) -> None:
        self._join = join
        self.waiting = WaitingOutcomes()
        self.book = Casebook(join)

    def begin(self, deltas: Deltas, arrivals: Arrivals) -> None:
        """Start a batch."""
        self._deltas = deltas
        self._arrivals = arrivals
        self._accepted: list[int] = []
        self._refused: list[Refusal] = []
        self._tally: dict[str, int] = {}
        self.book.begin(deltas, self._tally)

    def run(self, calls: CallColumns, chosen_calls: I64, outcomes: OutcomeColumns, chosen_outcomes: I64) -> None:
        """Take the chosen records in reading order."""
        records = [(pos, 0, i) for pos, i in zip(calls.pos[chosen_calls].tolist(), chosen_calls.tolist(), strict=True)]
        pos_of = outcomes.pos[chosen_outcomes].tolist()
        records += [(pos, 1, i) for pos, i in zip(pos_of, chosen_outcomes.tolist(), strict=True)]
        for _, kind, i in sorted(records):
            if kind == 0:
                self._call(calls, i)
            else:
                self._outcome(outcomes, i)

    def expire_waiting(self, watermark: int) -> None:
        """Outcomes whose wait is over become dead letters."""
        self._orphan(self.waiting.expire(watermark))

    def finish(self) -> CaseResults:
        """End the batch: the differences of all touched calls."""
        self.book.finish()
        accepted = np.array(self._accepted, np.int64)
        return CaseResults(accepted, self.book.judgements, self.book.statements, self._refused, self._tally)

    def _call(self, calls: CallColumns, i: int) -> None:
        join, key, at, wm = self._join, int(calls.key[i]), int(calls.at[i]), int(calls.wm[i])
        record, group = calls.records[i], int(calls.group[i])
        row = self._row(key, wm)
        if at + join.hold_us(group) < wm:
            self._refuse("too_old", "the call arrived after it would have closed", record.call_id, calls, i)
            return
        table = join.held.calls
        digest = _fold(int(calls.digest[i]))
        if row >= 0:
            if (int(table.at[row]), int(table.group[row]), int(table.digest[row])) == (at, group, digest):
                self._count("duplicates")
            else:
                self._refuse("conflict", "another call has this call_id", record.call_id, calls, i)
            return
        one = slice(i, i + 1)
        new = join.held.add(calls.key[one], calls.at[one] + join.hold_us(group), [record.call_id])
        row = int(new[0])
        minute = max(at, wm) // MINUTE_US
        table.at[row], table.group[row], table.minute[row] = at, group, minute
        table.verdict[row], table.rules[row] = PENDING, len(join.versions) - 1
        table.digest[row], table.single[row] = digest, HAS_CASE
        join.held.cases[row] = Case(record.error)
        ids = np.array([record.call_id], np.object_)
        minutes = np.array([minute], np.int32)
        self._deltas.add_calls(
            calls.group[one], calls.at[one], minutes, calls.latency_ms[one], calls.cost_nano[one], ids
        )
        self._accepted.append(i)
        self._count("calls")
        self.book.enroll(row)
        for waited in self.waiting.take(key):
            self._count("waiting", -1)
            self._meet(row, waited)

    def _outcome(self, outcomes: OutcomeColumns, i: int) -> None:
        key, at, wm = int(outcomes.key[i]), int(outcomes.at[i]), int(outcomes.wm[i])
        record = outcomes.records[i]
        statement = Statement(
            at=at,
            outcome_id=record.outcome_id,
            source=record.source,
            given=record.success,
            score=record.score,
            retract=bool(outcomes.retract[i]),
            retracts=record.retracts,
            reason=record.reason,
            minute=max(at, wm) // MINUTE_US,
        )
        row = self._row(key, wm)
        problem = self._enter(row, statement) if row >= 0 else self._early(key, statement, outcomes, i)
        if problem is not None:
            self._refuse(*problem, record.call_id, outcomes, i)

    def _enter(self, row: int, statement: Statement) -> tuple[str, str] | None:
        """Enter a statement into the ledger of a held call, or say why not."""
        if statement.at > self._join.horizon_ends(row):
            return "late", "the statement is later than the call's horizon"
        case = self.book.touch(row)
        for known in case.statements:
            if known.outcome_id == statement.outcome_id:
                if known.same(statement):
                    self._count("duplicates")
                    return None
                return "conflict", "another outcome of this call has this outcome_id"
        case.statements.append(statement)
        self._count("outcomes")
        return None

    def _early(self, key: int, statement: Statement, outcomes: OutcomeColumns, i: int) -> tuple[str, str] | None:
        """Let an outcome without a held call wait, or say why not."""
        wm, call_at = int(outcomes.wm[i]), int(outcomes.call_at[i])
        rules = self._join.rules
        if call_at != NEVER and call_at + rules.longest_hold() < wm:
            return "late", "its call, by call_occurred_at, has closed"
        deadline = statement.at + rules.orphan_wait_us
        if deadline < wm:
            return "orphan", "no call with this call_id is held"
        for waited in self.waiting.of(key):
            if waited.statement.outcome_id == statement.outcome_id:
                if waited.statement.same(statement):
                    self._count("duplicates")
                    return None
                return "conflict", "another outcome of this call has this outcome_id"
        raw: bytes = outcomes.raw[i]
        self.waiting.add(
            key,
            Waiting(
                statement,
                outcomes.records[i].call_id,
                deadline,
                self._arrivals.partitions[outcomes.partition[i]],
                int(outcomes.offset[i]),
                len(raw),
                hashlib.sha256(raw).hexdigest(),
            ),
        )
        self._count("waiting")
        return None

    def _meet(self, row: int, waited: Waiting) -> None:
        """An outcome that waited meets its call."""
        problem = self._enter(row, waited.statement)
        if problem is not None:
            self._refuse_waited(*problem, waited)

    def _row(self, key: int, wm: int) -> int:
        """The held call's row as a record with this watermark meets it, -1 where there is none (any more)."""
        self._orphan(self.waiting.expire_of(key, wm))
        keys = np.array([key], np.uint64)
        row = int(self._join.held.index.find(keys)[0])
        if row >= 0 and self._join.closes(row) < wm:
            self.book.close(row)
            # The row itself is given back when its hour comes due, at the end of this batch.
            self._join.held.index.remove(keys)
            return -1
        return row

    def _refuse(self, reason: str, detail: str, call_id: str, columns: CallColumns | OutcomeColumns, i: int) -> None:
        raw: bytes = columns.raw[i]
        partition = self._arrivals.partitions[columns.partition[i]]
        self._record_refusal(Refusal(reason, detail, call_id, partition, int(columns.offset[i]), raw, len(raw), ""))

    def _orphan(self, over: list[Waiting]) -> None:
        for waited in over:
            self._count("waiting", -1)
            self._refuse_waited("orphan", "its call did not come within orphan_wait", waited)

    def _refuse_waited(self, reason: str, detail: str, waited: Waiting) -> None:
        self._record_refusal(
            Refusal(reason, detail, waited.call_id, waited.partition, waited.offset, None, waited.size, waited.sha256)
        )

    def _record_refusal(self, refusal: Refusal) -> None:
        self._refused.append(refusal)
        self._count("dead_letters")
        if refusal.reason in {"orphan", "conflict"}:
            self._count(refusal.reason + "s")
        elif refusal.reason == "late":
            self._count("late")

    def _count(self, name: str, by: int = 1) -> None:
        self._tally[name] = self._tally.get(name, 0) + by


def _fold(digest: int) -> int:
    return (digest ^ (digest >> 32)) & 0xFFFFFFFF
