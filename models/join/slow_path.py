"""The careful way through the join: record by record, for calls that do not fit the columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US, NEVER
from models.arrays import I32, I64
from models.join.arrivals import Arrivals, CallColumns, OutcomeColumns
from models.join.deltas import Deltas
from models.join.early_outcomes import Waiting, WaitingOutcomes
from models.join.ledger import Statement
from models.join.open_ledgers import Casebook, Judgement, OpenCase, StatementRow

if TYPE_CHECKING:
    from models.join.fast_path import Ways
    from models.join.join import Join

_Problem = tuple[str, str]


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
        self._book = Casebook(join)

    def begin(self, deltas: Deltas, arrivals: Arrivals) -> None:
        """Start a batch."""
        self._deltas = deltas
        self._partitions = arrivals.partitions
        self._accepted: list[int] = []
        self._refused: list[Refusal] = []
        self._tally: dict[str, int] = {}
        self._book.begin(deltas, self._tally)

    def run(self, calls: CallColumns, outcomes: OutcomeColumns, way: Ways) -> None:
        """Take the records that are not simple, in reading order."""
        chosen_calls, chosen_outcomes = np.flatnonzero(~way.calls), np.flatnonzero(~way.outcomes)
        if not len(chosen_calls) and not len(chosen_outcomes):
            return
        # Nothing has happened yet to the calls of these records: they are held where they were found.
        rows = np.unique(np.concatenate((way.call_rows[chosen_calls], way.outcome_rows[chosen_outcomes])))
        records = (calls.records[chosen_calls], outcomes.records[chosen_outcomes])
        call_ids = dict(
            zip(
                [*calls.key[chosen_calls].tolist(), *outcomes.key[chosen_outcomes].tolist()],
                [record.call_id for part in records for record in part],
                strict=True,
            )
        )
        self._book.load(rows[rows >= 0], call_ids)
        no_statements: repeat[Statement | None] = repeat(None, len(chosen_calls))
        turns = [
            *_turns(calls, chosen_calls, no_statements),
            *_turns(outcomes, chosen_outcomes, _statements(outcomes, chosen_outcomes)),
        ]
        for _, i, key, wm, statement in sorted(turns):
            if statement is None:
                self._call(calls, i, key, wm)
            else:
                self._outcome(outcomes, i, key, wm, statement)
        self._book.finish()
        if self._accepted:
            self._add_calls(calls, np.array(self._accepted, np.int64))

    def close(self, rows: I32) -> None:
        """Close held calls with a ledger of their own, on which nothing stands."""
        self._book.close_rows(rows)

    def finish(self, watermark: int) -> CaseResults:
        """End the batch: outcomes whose wait is over become dead letters."""
        self._orphan(self.waiting.expire(watermark))
        self.waiting.reindex()
        accepted = np.array(self._accepted, np.int64)
        return CaseResults(accepted, self._book.judgements, self._book.statements, self._refused, self._tally)

    def _add_calls(self, calls: CallColumns, accepted: I64) -> None:
        at = calls.at[accepted]
        minute = (np.maximum(at, calls.wm[accepted]) // MINUTE_US).astype(np.int32)
        columns: tuple[Any, ...] = (calls.latency_ms, calls.cost_nano, calls.tokens, calls.key)
        self._deltas.add_calls(calls.group[accepted], at, minute, *(column[accepted] for column in columns))

    def _call(self, calls: CallColumns, i: int, key: int, wm: int) -> None:
        at, group = calls.at.item(i), calls.group.item(i)
        record = calls.records[i]
        case = self._case(key, wm)
        digest = _fold(calls.digest.item(i))
        if case is not None and (case.at, case.group, case.digest) == (at, group, digest):
            # Under whichever settings it was accepted: it is held, so its repeat is not too old.
            self._count("duplicates")
            return
        if at + self._join.hold_us(group) < wm:
            self._refuse("too_old", "the call arrived after it would have closed", record.call_id, calls, i)
            return
        if case is not None:
            self._refuse("conflict", "another call has this call_id", record.call_id, calls, i)
            return
        join = self._join
        task, minute, version = join.groups[group][0], max(at, wm) // MINUTE_US, len(join.versions) - 1
        case = OpenCase(key, -1, record.call_id, group, at, minute, version, digest, record.error, [], join.rules, task)
        self._book.enroll(case)
        self._accepted.append(i)
        self._count("calls")
        for waited in self.waiting.take(key):
            self._count("waiting", -1)
            problem = self._enter(case, waited.statement)
            if problem is not None:
                self._refuse_waited(*problem, waited)

    def _outcome(self, outcomes: OutcomeColumns, i: int, key: int, wm: int, statement: Statement) -> None:
        case = self._case(key, wm)
        problem = self._early(key, statement, outcomes, i) if case is None else self._enter(case, statement)
        if problem is not None:
            self._refuse(*problem, outcomes.records[i].call_id, outcomes, i)

    def _case(self, key: int, wm: int) -> OpenCase | None:
        """The held call as a record with this watermark meets it; None where there is none (any more)."""
        if over := self.waiting.expire_of(key, wm):
            self._orphan(over)
        case = self._book.get(key)
        if case is not None and case.closes < wm:
            self._book.close(case)
            return None
        return case

    def _enter(self, case: OpenCase, statement: Statement) -> _Problem | None:
        """Enter a statement into the ledger of a held call, or say why not."""
        if statement.at > case.horizon_ends:
            return "late", "the statement is later than the call's horizon"
        owner = case.owner(statement.outcome_id)
        if owner is not None:
            return self._repeated(statement, owner)
        case.enter(statement)
        self._count("outcomes")
        return None

    def _early(self, key: int, statement: Statement, outcomes: OutcomeColumns, i: int) -> _Problem | None:
        """Let an outcome without a held call wait, or say why not."""
        wm, call_at, rules = outcomes.wm.item(i), outcomes.call_at.item(i), self._join.rules
        if call_at != NEVER and call_at + rules.longest_hold() < wm:
            return "late", "its call, by call_occurred_at, has closed"
        deadline = statement.at + rules.orphan_wait_us
        if deadline < wm:
            return "orphan", "no call with this call_id is held"
        owner = self.waiting.owner(key, statement.outcome_id)
        if owner is not None:
            return self._repeated(statement, owner.statement)
        raw: bytes = outcomes.raw[i]
        self.waiting.add(
            key,
            Waiting(
                statement,
                outcomes.records[i].call_id,
                deadline,
                self._partitions[outcomes.partition.item(i)],
                outcomes.offset.item(i),
                len(raw),
                hashlib.sha256(raw).hexdigest(),
            ),
        )
        self._count("waiting")
        return None

    def _repeated(self, statement: Statement, owner: Statement) -> _Problem | None:
        """A second record of an id: a duplicate where it says the same, else a conflict."""
        if owner.same(statement):
            self._count("duplicates")
            return None
        return "conflict", "another outcome of this call has this outcome_id"

    def _refuse(self, reason: str, detail: str, call_id: str, columns: CallColumns | OutcomeColumns, i: int) -> None:
        raw: bytes = columns.raw[i]
        partition = self._partitions[columns.partition.item(i)]
        self._record_refusal(Refusal(reason, detail, call_id, partition, columns.offset.item(i), raw, len(raw), ""))

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


def _turns(
    columns: CallColumns | OutcomeColumns, chosen: I64, statements: Iterable[Statement | None]
) -> Iterator[tuple[int, int, int, int, Statement | None]]:
    """(place in the batch, index, key, watermark, statement) of the chosen records; sorts by the first, distinct."""
    places, keys, wm = columns.pos[chosen].tolist(), columns.key[chosen].tolist(), columns.wm[chosen].tolist()
    return zip(places, chosen.tolist(), keys, wm, statements, strict=True)


def _statements(outcomes: OutcomeColumns, chosen: I64) -> Iterator[Statement]:
    """What the chosen outcomes say."""
    at = outcomes.at[chosen]
    minutes = (np.maximum(at, outcomes.wm[chosen]) // MINUTE_US).tolist()
    facts = zip(outcomes.records[chosen], at.tolist(), outcomes.retract[chosen].tolist(), minutes, strict=True)
    for record, time, retract, minute in facts:
        yield Statement(
            time,
            record.outcome_id,
            record.source,
            record.success,
            record.score,
            retract,
            record.retracts,
            record.reason,
            minute,
        )


def _fold(digest: int) -> int:
    return (digest ^ (digest >> 32)) & 0xFFFFFFFF
