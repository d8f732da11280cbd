"""The ledgers that one batch touches: opened from the columns together, changed one by one, put back together.

A case may be touched by any number of records of a batch and is settled once, so it does not matter how many came
together: what leaves is the difference between the ledger as it was and as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US, NEVER
from aftercall.vocabulary import CALL, SILENCE
from models.arrays import I32
from models.join import held_calls as tables
from models.join.deltas import Deltas
from models.join.held_calls import HAS_CASE, NO_STATEMENT, Case
from models.join.ledger import PENDING, End, Reading, Statement, Verdict, end_of, read
from models.join.rules import JoinRules
from models.messages import Group

if TYPE_CHECKING:
    from models.join.join import Join


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


_NOTHING = Reading(PENDING, frozenset(), 0, {})


@dataclass(slots=True, eq=False)
class OpenCase:
    """One call while its ledger is open.

    `row` is -1 for a call that this batch brought, `version` and `rules` what it was accepted under, `size` how many
    statements it had when it was opened.
    """

    key: int
    row: int
    call_id: str
    group: int
    at: int
    minute: int
    version: int
    digest: int
    error: str | None
    statements: list[Statement]
    rules: JoinRules
    task: str
    size: int = field(init=False)
    known: bool = field(init=False)
    horizon_ends: int = field(init=False)
    closes: int = field(init=False)
    success: bool | None = field(init=False, default=None)
    _owners: dict[str, Statement] = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.statements)
        self.known = self.row >= 0
        self.horizon_ends = self.at + self.rules.horizon(self.task)
        self.closes = self.horizon_ends + self.rules.allowed_lateness_us
        self._owners = {statement.outcome_id: statement for statement in self.statements}

    def owner(self, outcome_id: str) -> Statement | None:
        """The statement that has this id."""
        return self._owners.get(outcome_id)

    def enter(self, statement: Statement) -> None:
        """Add a statement whose id nobody has."""
        self.statements.append(statement)
        self._owners[statement.outcome_id] = statement

    def reading(self, size: int) -> Reading:
        """What follows from the first `size` statements: ledgers only grow, so the past is a prefix."""
        if size <= 1 and self.error is None:
            return self._short(size)
        return read(self.minute, self.statements[:size], self.rules.verdict, failed=self.error is not None)

    def _short(self, size: int) -> Reading:
        """The same for none or one, by far the commonest past."""
        ends: dict[int, End] = {self.minute: (None, None)}
        if size == 0 or self.statements[0].retract:
            if size:
                ends[max(self.minute, self.statements[0].minute)] = (None, None)
            return Reading(PENDING, frozenset(), 0, ends)
        only = self.statements[0]
        success = self.rules.verdict.success(only.source, only.given, only.score)
        verdict = Verdict(success, only)
        ends[max(self.minute, only.minute)] = end_of(verdict)
        return Reading(verdict, frozenset((only.outcome_id,)), 0, ends)


class Casebook:
    """The open cases of one shard."""

    def __init__(self, join: Join) -> None:
        self._join = join

    def begin(self, deltas: Deltas, tally: dict[str, int]) -> None:
        """Start a batch; differences go to `deltas`, counts to `tally`."""
        self._deltas = deltas
        self._tally = tally
        self._open: dict[int, OpenCase] = {}
        self._gone: list[OpenCase] = []
        self.judgements: list[Judgement] = []
        self.statements: list[StatementRow] = []

    def load(self, rows: I32, call_ids: dict[int, str]) -> None:
        """Open the held calls at these distinct rows; `call_ids` by key, as the records say them."""
        for case in self._opened(rows, call_ids):
            self._open[case.key] = case

    def get(self, key: int) -> OpenCase | None:
        """The open case of a held call."""
        return self._open.get(key)

    def enroll(self, case: OpenCase) -> None:
        """Open the case of a call accepted just now."""
        self._open[case.key] = case

    def close(self, case: OpenCase) -> None:
        """A record of this batch met the call after it had closed."""
        self._settle(case, closing=True)
        del self._open[case.key]
        if case.row >= 0:
            self._gone.append(case)

    def close_rows(self, rows: I32) -> None:
        """Close held calls that have come due; their rows are given back by the caller."""
        for case in self._opened(rows, {}):
            self._settle(case, closing=True)

    def finish(self) -> None:
        """Settle what is open, and put it back into the columns."""
        for case in self._open.values():
            self._settle(case, closing=False)
        # The rows of calls that have closed stay scheduled: they are given back when their hour comes due.
        if self._gone:
            self._join.held.index.remove(np.array([case.key for case in self._gone], np.uint64))
        self._store_new([case for case in self._open.values() if case.row < 0])
        self._store_ledgers(
            [case for case in self._open.values() if not case.known or len(case.statements) > case.size]
        )

    def _opened(self, rows: I32, call_ids: dict[int, str]) -> Iterable[OpenCase]:
        join, table = self._join, self._join.held.calls
        single = table.single[rows]
        said = iter(self._single_statements(rows[single >= 0]))
        columns = (table.group, table.at, table.minute, table.rules, table.digest)
        keys, names = join.held.index.row_key[rows].tolist(), table.ids.texts(rows)
        for key, row, kind, name, group, at, minute, version, digest in zip(
            keys, rows.tolist(), single.tolist(), names, *(column[rows].tolist() for column in columns), strict=True
        ):
            call_id, error, statements = name, None, []
            if kind == HAS_CASE:
                case = join.held.cases[row]
                call_id, error, statements = case.call_id, case.error, case.statements
            elif kind != NO_STATEMENT:
                statements = [next(said)]
            rules = join.versions[version]
            # A call somebody has spoken of is opened by a record about it, which brings its id.
            call_id, task = call_ids.get(key, call_id), join.groups[group][0]
            yield OpenCase(key, row, call_id, group, at, minute, version, digest, error, statements, rules, task)

    def _single_statements(self, rows: I32) -> list[Statement]:
        """The only statements of the calls at `rows`."""
        held = self._join.held
        singles, single = held.singles, held.calls.single[rows]
        columns = (singles.at, singles.source, singles.given, singles.score, singles.minute)
        sources, reasons = self._join.sources, held.reasons
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
            )
            for place, outcome_id, at, source, given, score, minute in zip(
                single.tolist(),
                held.calls.ids.texts(rows),
                *(column[single].tolist() for column in columns),
                strict=True,
            )
        ]

    def _settle(self, case: OpenCase, *, closing: bool) -> None:
        """Emit the difference since the case was opened."""
        size, statements = case.size, case.statements
        grew = len(statements) > size or (not case.known and case.error is not None)
        if not grew and not closing and case.known:
            return
        before = case.reading(size) if case.known else _NOTHING
        now = case.reading(len(statements)) if grew or not case.known else before
        verdict, ends = now.verdict, now.ends
        case.success = verdict.success
        name = {None: "pending", True: "success", False: "failure"}[verdict.success]
        decided_at, source = _decided(verdict, case.at)
        closed = int(closing and verdict.success is None)
        if closed:
            silence = case.rules.silence(self._join.groups[case.group][0])
            if silence is None:
                name = "expired"
                self._deltas.expire(case.group, case.at)
                self._count("expired")
            else:
                name, source, decided_at = "success" if silence else "failure", SILENCE, case.horizon_ends
                verdict, ends = Verdict(silence, None), ends | {case.closes // MINUTE_US: (silence, SILENCE)}
        if grew or closed:
            self._deltas.step(case.group, case.minute, before.ends, -1, case.error)
            self._deltas.step(case.group, case.minute, ends, 1, case.error)
            self._exchange(case, before.verdict, verdict, decided_at)
            self._speak(case, now, verdict, name, source, decided_at, closed)
        if len(statements) > size:
            self._heard(case)
            self._changed_statements(case, before.stands, now.stands)

    def _heard(self, case: OpenCase) -> None:
        """Count the assertions that are new."""
        success = case.rules.verdict.success
        for s in case.statements[case.size :]:
            if not s.retract:
                said = bool(success(s.source, s.given, s.score))
                self._deltas.hear(case.group, case.minute, max(case.minute, s.minute), s.source, said, s.score)

    def _exchange(self, case: OpenCase, old: Verdict, new: Verdict, decided_at: int) -> None:
        """Cells and delays: the old verdict leaves, the new one comes."""
        old_at, _ = _decided(old, case.at)
        if (old.success, old_at) == (new.success, decided_at):
            return
        for success, at, sign in ((old.success, old_at, -1), (new.success, decided_at, 1)):
            if success is not None:
                self._deltas.judge(case.group, case.at, success, at, sign)
                self._count("successes" if success else "failures", sign)

    def _speak(
        self,
        case: OpenCase,
        now: Reading,
        verdict: Verdict,
        name: str,
        source: str | None,
        decided_at: int,
        closed: int,
    ) -> None:
        statement = verdict.statement
        implicit = case.error if source == CALL else None
        self.judgements.append(
            Judgement(
                call_id=case.call_id,
                group=self._join.groups[case.group],
                call_at=case.at,
                verdict=name,
                score=None if statement is None else statement.score,
                source=source,
                outcome_id=None if statement is None else statement.outcome_id,
                reason=implicit if statement is None else statement.reason,
                decided_at=decided_at,
                seq=len(case.statements) + closed,
                statements=len(case.statements),
                revisions=now.revisions,
            )
        )

    def _changed_statements(self, case: OpenCase, stood: frozenset[str], stands: frozenset[str]) -> None:
        success = case.rules.verdict.success
        for place, s in enumerate(case.statements):
            stands_now = s.outcome_id in stands
            if place >= case.size or stands_now != (s.outcome_id in stood):
                said = None if s.retract else success(s.source, s.given, s.score)
                self.statements.append(
                    StatementRow(
                        case.call_id,
                        case.at,
                        s.outcome_id,
                        s.source,
                        s.at,
                        s.retract,
                        said,
                        s.score,
                        s.reason,
                        stands_now,
                    )
                )

    # Back into the columns

    def _store_new(self, cases: list[OpenCase]) -> None:
        if not cases:
            return
        held, table = self._join.held, self._join.held.calls
        keys = np.array([case.key for case in cases], np.uint64)
        closes = np.array([case.closes for case in cases], np.int64)
        rows = held.add(keys, closes)
        table.ids.put(rows, [case.call_id for case in cases])
        for name in ("at", "group", "minute", "digest"):
            column = getattr(table, name)
            column[rows] = [getattr(case, name) for case in cases]
        table.rules[rows] = [case.version for case in cases]
        table.verdict[rows], table.single[rows] = tables.PENDING, NO_STATEMENT
        for case, row in zip(cases, rows.tolist(), strict=True):
            case.row = row

    def _store_ledgers(self, cases: list[OpenCase]) -> None:
        """The first statement of a call goes into the table of singles, a longer ledger stays an object."""
        if not cases:
            return
        held, table = self._join.held, self._join.held.calls
        rows = np.array([case.row for case in cases], np.int32)
        table.verdict[rows] = [tables.PENDING if case.success is None else int(case.success) for case in cases]
        held.forget_singles(rows)
        fitting = [case for case in cases if _fits(case)]
        for case in cases:
            if case.error is not None or (case.statements and not _fits(case)):
                held.cases[case.row] = Case(case.call_id, case.error, case.statements)
                table.single[case.row] = HAS_CASE
        if fitting:
            self._store_singles(fitting)

    def _store_singles(self, cases: list[OpenCase]) -> None:
        held, singles = self._join.held, self._join.held.singles
        said = [case.statements[0] for case in cases]
        single = singles.take_rows(len(said))
        singles.at[single] = [s.at for s in said]
        singles.source[single] = [self._join.source_code(s.source or "") for s in said]
        singles.given[single] = [-1 if s.given is None else int(s.given) for s in said]
        singles.score[single] = [np.nan if s.score is None else s.score for s in said]
        singles.minute[single] = [s.minute for s in said]
        rows = np.array([case.row for case in cases], np.int32)
        held.calls.ids.drop(rows)
        held.calls.ids.put(rows, [s.outcome_id for s in said])
        held.calls.single[rows] = single
        for place, s in zip(single.tolist(), said, strict=True):
            if s.reason is not None:
                held.reasons[place] = s.reason

    def _count(self, name: str, by: int = 1) -> None:
        self._tally[name] = self._tally.get(name, 0) + by


def _fits(case: OpenCase) -> bool:
    return case.error is None and len(case.statements) == 1 and not case.statements[0].retract


def _decided(verdict: Verdict, call_at: int) -> tuple[int, str | None]:
    """When and by which source; the call's own error decides at the call's time."""
    if verdict.success is None:
        return NEVER, None
    if verdict.statement is None:
        return call_at, CALL
    return verdict.statement.at, verdict.statement.source
