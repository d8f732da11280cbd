"""One call while its ledger is open: what was stored, and the statements that a batch adds."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.join.ledger import Reading, read
from models.join.rules import JoinRules
from models.join.statements import OPEN, UNDECIDED, Deciding, End, Statement, Verdict, end_of


@dataclass(slots=True, eq=False)
class OpenLedger:
    """One call while its ledger is open.

    `row` is its row among the held calls, -1 for a call that is new in this batch; `version` and `rules` are those it
    was accepted under; `success` is the verdict as of its settlement. Times in microseconds.

    Attributes:
        size: how many statements it had when it was opened.
        stored: whether it was held before this batch.
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
    digest: int
    error: str | None
    statements: list[Statement]
    rules: JoinRules
    task: str
    size: int = field(init=False)
    stored: bool = field(init=False)
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
        return len(self.statements) > self.size or (not self.stored and self.error is not None)

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

    def reading(self, size: int) -> Reading:
        """What follows from the first `size` statements: ledgers only grow, so the past is a prefix."""
        if size <= 1 and self.error is None and (not size or self._is_common):
            return self._short_reading(size)
        rules, failed = self.rules.verdict, self.error is not None
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
        return Reading(verdict, {only.outcome_id: 1}, 0, ends)
