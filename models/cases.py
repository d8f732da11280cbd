"""The careful way through the join: record by record, for calls that do not fit the columns.

A case is touched, changed by any number of records, and finished once per batch: what leaves is the difference between before and
after, so it does not matter how many records of a call came together.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.arrivals import Arrivals, CallColumns, OutcomeColumns
from models.deltas import Deltas
from models.held import HAS_CASE, NO_STATEMENT, PENDING, Case
from models.ledger import CALL, SILENCE, Statement, Verdict, judge, minute_steps, revisions, standing
from models.streams import I64, MINUTE_US, NEVER, Group
from models.waiting import Waiting, WaitingOutcomes

if TYPE_CHECKING:
    from models.join import Join


class Judgement(NamedTuple):
    """The current verdict of a call whose ledger grew, or which closed with another verdict. `decided_at` NEVER if none."""

    call_id: str
    group: Group
    call_at: int
    verdict: str
    score: float | None
    source: str | None
    outcome_id: str | None
    reason: str | None
    decided_at: int
    seq: int
    statements: int
    revisions: int


class StatementRow(NamedTuple):
    """A statement that is new, or that stands now or no longer."""

    call_id: str
    call_at: int
    outcome_id: str
    source: str | None
    at: int
    retract: bool
    success: bool | None
    score: float | None
    reason: str | None
    stands: bool


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


class _Before(NamedTuple):
    """A call before the batch touched it."""

    verdict: Verdict
    known: bool
    size: int
    stands: frozenset[str]
    steps: dict[int, tuple[int, int, int, int]]


_UNKNOWN = _Before(Verdict(None, None), known=False, size=0, stands=frozenset(), steps={})


class Cases:
    """The cases of one shard, and the outcomes that wait for their call."""

    def __init__(self, join: Join) -> None:
        self._join = join
        self.waiting = WaitingOutcomes()
        self._touched: dict[int, _Before] = {}

    def begin(self, deltas: Deltas, arrivals: Arrivals) -> None:
        """Start a batch."""
        self._deltas = deltas
        self._arrivals = arrivals
        self._accepted: list[int] = []
        self._judgements: list[Judgement] = []
        self._statements: list[StatementRow] = []
        self._refused: list[Refusal] = []
        self._tally: dict[str, int] = {}

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

    def close_if_open(self, row: int) -> None:
        """Close a held call that may change by it: one touched in this batch, or one on which nothing stands."""
        if row in self._touched or self._join.held.calls.verdict[row] == PENDING:
            self.close(row)

    def close(self, row: int) -> None:
        """Close a held call: the watermark is past it."""
        self._touch(row)
        self._finish(row, closing=True)

    def expire_waiting(self, watermark: int) -> None:
        """Outcomes whose wait is over become dead letters."""
        self._orphan(self.waiting.expire(watermark))

    def finish(self) -> CaseResults:
        """End the batch: the differences of all touched calls."""
        for row in list(self._touched):
            self._finish(row, closing=False)
        accepted = np.array(self._accepted, np.int64)
        return CaseResults(accepted, self._judgements, self._statements, self._refused, self._tally)

    # --- records ---------------------------------------------------------------------------------------------------------

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
        self._touched[row] = _UNKNOWN
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
        self._touch(row)
        case = self._join.held.cases[row]
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

    # --- held calls ------------------------------------------------------------------------------------------------------

    def _row(self, key: int, wm: int) -> int:
        """The held call's row as a record with this watermark meets it, -1 where there is none (any more)."""
        self._orphan(self.waiting.expire_of(key, wm))
        keys = np.array([key], np.uint64)
        row = int(self._join.held.index.find(keys)[0])
        if row >= 0 and self._join.closes(row) < wm:
            self.close(row)
            # The row itself is given back when its hour comes due, at the end of this batch.
            self._join.held.index.remove(keys)
            return -1
        return row

    def _case(self, row: int) -> Case:
        """The call's ledger as an object, made from the columns where need be."""
        held = self._join.held
        single = int(held.calls.single[row])
        if single == HAS_CASE:
            return held.cases[row]
        case = Case(None)
        if single != NO_STATEMENT:
            given, score = int(held.singles.given[single]), float(held.singles.score[single])
            case.statements.append(
                Statement(
                    at=int(held.singles.at[single]),
                    outcome_id=held.singles.ids.get(single),
                    source=self._join.sources[held.singles.source[single]],
                    given=None if given < 0 else bool(given),
                    score=None if np.isnan(score) else score,
                    retract=False,
                    retracts=None,
                    reason=held.reasons.pop(single, None),
                    minute=int(held.singles.minute[single]),
                )
            )
            held.singles.give_back(np.array([single], np.int32))
        held.calls.single[row] = HAS_CASE
        held.cases[row] = case
        return case

    def _touch(self, row: int) -> None:
        if row in self._touched:
            return
        case = self._case(row)
        rules, failed = self._join.rules_of(row).verdict, case.error is not None
        self._touched[row] = _Before(
            verdict=judge(case.statements, rules, failed=failed),
            known=True,
            size=len(case.statements),
            stands=frozenset(s.outcome_id for s in standing(case.statements).values()),
            steps=self._steps(row, case),
        )

    def _steps(self, row: int, case: Case, silence: bool | None = None) -> dict[int, tuple[int, int, int, int]]:
        """Changes of verdict by minute; a `silence` verdict takes its place at the minute of closing."""
        rules = self._join.rules_of(row).verdict
        call_minute = int(self._join.held.calls.minute[row])
        ends: dict[int, bool | None] = dict(
            minute_steps(call_minute, case.statements, rules, failed=case.error is not None)
        )
        if silence is not None:
            ends[self._join.closes(row) // MINUTE_US] = silence
        steps: dict[int, tuple[int, int, int, int]] = {}
        before: bool | None = None
        for minute in sorted(ends):
            now = ends[minute]
            if now is not before:
                steps[minute] = _step(before, now)
            before = now
        return steps

    def _finish(self, row: int, *, closing: bool) -> None:
        """Emit the difference since the call was touched."""
        before = self._touched.pop(row)
        join, table = self._join, self._join.held.calls
        case = self._case(row)
        rules, failed = join.rules_of(row).verdict, case.error is not None
        verdict = judge(case.statements, rules, failed=failed)
        group, call_at = int(table.group[row]), int(table.at[row])
        name = {None: "pending", True: "success", False: "failure"}[verdict.success]
        decided_at, source = _decided(verdict, call_at)
        closed = 0
        if closing and verdict.success is None:
            closed = 1
            silence = join.rules_of(row).silence(join.groups[group][0])
            if silence is None:
                name = "expired"
                self._deltas.add_expired(_i32(group), _i64(call_at))
                self._count("expired")
            else:
                name, source, decided_at = "success" if silence else "failure", SILENCE, join.horizon_ends(row)
                verdict = Verdict(silence, None)
        self._deltas.add_steps(group, before.steps, -1)
        self._deltas.add_steps(group, self._steps(row, case, verdict.success if closed else None), 1)
        self._exchange(group, call_at, before.verdict, verdict, decided_at)
        if closed or len(case.statements) > before.size or (failed and not before.known):
            self._speak(row, case, verdict, name, source, decided_at, closed)
        self._changed_statements(row, case, before)
        table.verdict[row] = PENDING if verdict.success is None else int(verdict.success)
        if not closing:
            self._demote(row, case)

    def _exchange(self, group: int, call_at: int, old: Verdict, new: Verdict, decided_at: int) -> None:
        """Cells and delays: the old verdict leaves, the new one comes."""
        old_at, _ = _decided(old, call_at)
        if (old.success, old_at) == (new.success, decided_at):
            return
        for success, at, sign in ((old.success, old_at, -1), (new.success, decided_at, 1)):
            if success is not None:
                flag = np.array([success], np.int8)
                self._deltas.add_verdicts(_i32(group), _i64(call_at), flag, _i64(at), sign)
                self._count("successes" if success else "failures", sign)

    def _speak(
        self, row: int, case: Case, verdict: Verdict, name: str, source: str | None, decided_at: int, closed: int
    ) -> None:
        statement = verdict.statement
        implicit = case.error if source == CALL else None
        self._judgements.append(
            Judgement(
                call_id=self._join.held.calls.ids.get(row),
                group=self._join.groups[self._join.held.calls.group[row]],
                call_at=int(self._join.held.calls.at[row]),
                verdict=name,
                score=None if statement is None else statement.score,
                source=source,
                outcome_id=None if statement is None else statement.outcome_id,
                reason=implicit if statement is None else statement.reason,
                decided_at=decided_at,
                seq=len(case.statements) + closed,
                statements=len(case.statements),
                revisions=revisions(case.statements, self._join.rules_of(row).verdict, failed=case.error is not None),
            )
        )

    def _changed_statements(self, row: int, case: Case, before: _Before) -> None:
        stands = {s.outcome_id for s in standing(case.statements).values()}
        rules = self._join.rules_of(row).verdict
        call_id = self._join.held.calls.ids.get(row)
        call_at = int(self._join.held.calls.at[row])
        for place, s in enumerate(case.statements):
            stands_now = s.outcome_id in stands
            if place >= before.size or stands_now != (s.outcome_id in before.stands):
                success = None if s.retract else rules.success(s.source, s.given, s.score)
                self._statements.append(
                    StatementRow(
                        call_id,
                        call_at,
                        s.outcome_id,
                        s.source,
                        s.at,
                        s.retract,
                        success,
                        s.score,
                        s.reason,
                        stands_now,
                    )
                )

    def _demote(self, row: int, case: Case) -> None:
        """Back into the columns, where the ledger fits."""
        held = self._join.held
        if case.error is not None or len(case.statements) > 1:
            return
        if not case.statements:
            held.calls.single[row] = NO_STATEMENT
        else:
            s = case.statements[0]
            if s.retract or s.source is None:
                return
            single = held.singles.take_rows(1)
            place = int(single[0])
            held.singles.at[place], held.singles.source[place] = s.at, self._join.source_code(s.source)
            held.singles.given[place] = -1 if s.given is None else int(s.given)
            held.singles.score[place] = np.nan if s.score is None else s.score
            held.singles.minute[place] = s.minute
            held.singles.ids.put(single, [s.outcome_id])
            if s.reason is not None:
                held.reasons[place] = s.reason
            held.calls.single[row] = place
        del held.cases[row]

    # --- refusals --------------------------------------------------------------------------------------------------------

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


def _decided(verdict: Verdict, call_at: int) -> tuple[int, str | None]:
    """When and by which source; the call's own error decides at the call's time."""
    if verdict.success is None:
        return NEVER, None
    if verdict.statement is None:
        return call_at, CALL
    return verdict.statement.at, verdict.statement.source


def _step(before: bool | None, now: bool | None) -> tuple[int, int, int, int]:  # noqa: FBT001 (two states, not options)
    """(trial success, trial failure, net successes, net failures) of one change of verdict."""
    return (
        int(now is True),
        int(now is False),
        int(now is True) - int(before is True),
        int(now is False) - int(before is False),
    )


def _fold(digest: int) -> int:
    return (digest ^ (digest >> 32)) & 0xFFFFFFFF


def _i32(value: int) -> Any:
    return np.array([value], np.int32)


def _i64(value: int) -> Any:
    return np.array([value], np.int64)
