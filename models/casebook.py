"""The ledgers that one batch touches: what they were before, and the difference that leaves when the batch is done.

A case may be touched by any number of records of a batch and is finished once, so it does not matter how many came
together. Where its ledger fits the columns again, it goes back into them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.deltas import Deltas
from models.held import HAS_CASE, NO_STATEMENT, PENDING, Case
from models.ledger import CALL, SILENCE, Statement, Verdict, judge, minute_steps, revisions, standing
from models.streams import MINUTE_US, NEVER, Group

if TYPE_CHECKING:
    from models.join import Join


class Judgement(NamedTuple):
    """The verdict of a call whose ledger grew, or which closed with another one. `decided_at` NEVER if none."""

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


class _Before(NamedTuple):
    """A call before the batch touched it."""

    verdict: Verdict
    known: bool
    size: int
    stands: frozenset[str]
    steps: dict[int, tuple[int, int, int, int]]


_UNKNOWN = _Before(Verdict(None, None), known=False, size=0, stands=frozenset(), steps={})


class Casebook:
    """The touched cases of one shard."""

    def __init__(self, join: Join) -> None:
        self._join = join
        self._touched: dict[int, _Before] = {}

    def begin(self, deltas: Deltas, tally: dict[str, int]) -> None:
        """Start a batch; differences go to `deltas`, counts to `tally`."""
        self._deltas = deltas
        self._tally = tally
        self.judgements: list[Judgement] = []
        self.statements: list[StatementRow] = []

    def enroll(self, row: int) -> None:
        """A call accepted just now: before it there was nothing."""
        self._touched[row] = _UNKNOWN

    def close_if_open(self, row: int) -> None:
        """Close a held call that may change by it: one touched in this batch, or one on which nothing stands."""
        if row in self._touched or self._join.held.calls.verdict[row] == PENDING:
            self.close(row)

    def close(self, row: int) -> None:
        """Close a held call: the watermark is past it."""
        self.touch(row)
        self._finish(row, closing=True)

    def finish(self) -> None:
        """End the batch."""
        for row in list(self._touched):
            self._finish(row, closing=False)

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

    def touch(self, row: int) -> Case:
        """The ledger of a held call, to be changed: how it is now is remembered."""
        case = self._case(row)
        if row in self._touched:
            return case
        rules, failed = self._join.rules_of(row).verdict, case.error is not None
        self._touched[row] = _Before(
            verdict=judge(case.statements, rules, failed=failed),
            known=True,
            size=len(case.statements),
            stands=frozenset(s.outcome_id for s in standing(case.statements).values()),
            steps=self._steps(row, case),
        )
        return case

    def _steps(self, row: int, case: Case, *, silence: bool | None = None) -> dict[int, tuple[int, int, int, int]]:
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
        self._deltas.add_steps(group, self._steps(row, case, silence=verdict.success if closed else None), 1)
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
        self.judgements.append(
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
                self.statements.append(
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

    def _count(self, name: str, by: int = 1) -> None:
        self._tally[name] = self._tally.get(name, 0) + by


def _decided(verdict: Verdict, call_at: int) -> tuple[int, str | None]:
    """When and by which source; the call's own error decides at the call's time."""
    if verdict.success is None:
        return NEVER, None
    if verdict.statement is None:
        return call_at, CALL
    return verdict.statement.at, verdict.statement.source


def _step(before: bool | None, now: bool | None) -> tuple[int, int, int, int]:  # noqa: FBT001 (two verdicts)
    """(trial success, trial failure, net successes, net failures) of one change of verdict."""
    return (
        int(now is True),
        int(now is False),
        int(now is True) - int(before is True),
        int(now is False) - int(before is False),
    )


def _i32(value: int) -> Any:
    return np.array([value], np.int32)


def _i64(value: int) -> Any:
    return np.array([value], np.int64)
