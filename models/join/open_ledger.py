"""One call while its ledger is open: what was stored, and the statements that a batch adds."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.join.contents import Contents
from models.join.ledger import Reading, read
from models.join.rules import JoinRules
from models.join.statements import OPEN, UNDECIDED, Deciding, End, Statement, Verdict, end_of


@dataclass(slots=True, eq=False)
class OpenLedger:
    """One call while its ledger is open.

    `row` is its row among the held calls, -1 for a call that is new in this batch; `version` and `rules` are those it
    was accepted under; `success` is the verdict as of its settlement. Times in microseconds.

    Attributes:
        contents: what its records have had, those of this batch included.
        error_minute: the minute from which on its `error` is known, None where it came with the call.
        unit: see `models.join.units`.
        facets: see `models.join.facets`.
        size: how many statements it had when it was opened.
        stored: whether it was held before this batch.
        had_error: whether it had its error then.
        completed: whether a record of this batch has completed it.
        said_twice: whether this batch has added a further statement of an outcome of a session.
        violates: whether this batch has added a statement of the pipeline's own: delays of these are not learned.
        horizon_ends: up to when outcomes count.
        closes: the call closes once the watermark is later.
        required: the sources that all must say success.
    """

    key: int
    row: int
    call_id: str
    group: int
    at: int
    minute: int
    version: int
    contents: Contents
    error: str | None
    statements: list[Statement]
    rules: JoinRules
    task: str
    error_minute: int | None = None
    unit: int = 0
    facets: int = 0
    size: int = field(init=False)
    stored: bool = field(init=False)
    had_error: bool = field(init=False)
    completed: bool = field(init=False, default=False)
    said_twice: bool = field(init=False, default=False)
    violates: bool = field(init=False, default=False)
    horizon_ends: int = field(init=False)
    closes: int = field(init=False)
    required: tuple[str, ...] = field(init=False)
    success: bool | None = field(init=False, default=None)
    _firsts: dict[str, Statement] = field(init=False)
    """The first record of each id."""
    _editions: dict[str, set[Deciding]] | None = field(init=False, default=None)
    """All records of the ids that have several; None where none has."""

    def __post_init__(self) -> None:
        self.size = len(self.statements)
        self.stored = self.row >= 0
        self.had_error = self.stored and self.error is not None
        self.horizon_ends = self.at + self.rules.horizon(self.task)
        self.closes = self.horizon_ends + self.rules.allowed_lateness_us
        self.required = self.rules.required(self.task)
        self._firsts = {statement.outcome_id: statement for statement in reversed(self.statements)}
        if len(self._firsts) < len(self.statements):
            for statement in self.statements:
                if statement.edition > 1:
                    self._add_edition(statement)

    @property
    def grew(self) -> bool:
        """Whether this batch added a statement; the call's own error counts as one."""
        return len(self.statements) > self.size or (self.error is not None and not self.had_error)

    def first(self, outcome_id: str) -> Statement | None:
        """The first record of this id."""
        return self._firsts.get(outcome_id)

    def has(self, statement: Statement) -> bool:
        """Whether it equals a record of its id in all deciding fields. O(1)."""
        if self._editions is not None and statement.outcome_id in self._editions:
            return statement.deciding() in self._editions[statement.outcome_id]
        first = self._firsts.get(statement.outcome_id)
        return first is not None and first.deciding() == statement.deciding()

    def enter(self, statement: Statement) -> None:
        """Add a statement, as the next edition where its id has one; `second_records` must find no problem in it."""
        if statement.outcome_id in self._firsts:
            edition = self._add_edition(statement)
            statement = statement._replace(edition=edition, retract=statement.retract or statement.bare)
        else:
            self._firsts[statement.outcome_id] = statement
        self.statements.append(statement)

    def _add_edition(self, statement: Statement) -> int:
        """Note a further record of an id; its number."""
        first = self._firsts[statement.outcome_id]
        if self._editions is None:
            self._editions = {}
        editions = self._editions.setdefault(statement.outcome_id, {first.deciding()})
        editions.add(statement.deciding())
        return len(editions)

    def complete(self, other: Contents, error: str | None, minute: int) -> None:
        """Take what another record of the call has, which takes effect in `minute`."""
        if error is not None and self.error is None:
            self.error, self.error_minute = error, max(minute, self.minute)
        self.contents, self.completed = self.contents.and_of(other), True

    def before(self) -> Reading:
        """What followed when it was opened: ledgers only grow, so the past is a prefix."""
        return self._reading(self.size, failed=self.had_error)

    def now(self) -> Reading:
        """What follows now."""
        return self._reading(len(self.statements), failed=self.error is not None)

    def _reading(self, size: int, *, failed: bool) -> Reading:
        if size <= 1 and not failed and (not size or self._is_common):
            return self._short_reading(size)
        reading = self._read(size, failed=failed)
        if not failed or self.error_minute is None or self.error_minute <= self.minute:
            return reading
        without = self._read(size, failed=False)
        return reading._replace(ends=_known_from(self.error_minute, without.ends, reading.ends))

    def _read(self, size: int, *, failed: bool) -> Reading:
        rules = self.rules.verdict
        return read(self.minute, self.statements[:size], rules, failed=failed, required=self.required)

    @property
    def _is_common(self) -> bool:
        """Whether the first statement, alone, decides if it asserts something."""
        first = self.statements[0]
        return first.author is None and not self.required and first.source not in self.rules.verdict.special

    def _short_reading(self, size: int) -> Reading:
        """The same for no or one statement, by far the most frequent past."""
        ends: dict[int, End] = {self.minute: OPEN}
        if size == 0 or self.statements[0].retract:
            if size:
                ends[max(self.minute, self.statements[0].minute)] = OPEN
            return Reading(UNDECIDED, {}, 0, ends)
        only = self.statements[0]
        success = self.rules.verdict.success(only.source, only.given, only.score)
        verdict = Verdict(success, only, only.at, only.score)
        ends[max(self.minute, only.minute)] = end_of(verdict)
        opinions = {} if success is None else {only.source or "": (success, only.at)}
        return Reading(verdict, {only.outcome_id: 1}, 0, ends, opinions)


def _known_from(minute: int, before: dict[int, End], after: dict[int, End]) -> dict[int, End]:
    """The ends of minutes where something became known in `minute`: those `before` it and `after`, and its own."""
    ends = {one: end for one, end in before.items() if one < minute}
    ends |= {one: end for one, end in after.items() if one > minute}
    return ends | {minute: after[max(one for one in after if one <= minute)]}
