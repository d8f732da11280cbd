"""One call while its ledger is open: what was stored, and the statements that a batch adds."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.join.ledger import UNDECIDED, End, Reading, Statement, Verdict, end_of, read
from models.join.rules import JoinRules


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
    success: bool | None = field(init=False, default=None)
    _owners: dict[str, Statement] = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.statements)
        self.stored = self.row >= 0
        self.horizon_ends = self.at + self.rules.horizon(self.task)
        self.closes = self.horizon_ends + self.rules.allowed_lateness_us
        self._owners = {statement.outcome_id: statement for statement in self.statements}

    @property
    def grew(self) -> bool:
        """Whether this batch added a statement; the call's own error counts as one."""
        return len(self.statements) > self.size or (not self.stored and self.error is not None)

    def owner(self, outcome_id: str) -> Statement | None:
        """The statement that has this id."""
        return self._owners.get(outcome_id)

    def enter(self, statement: Statement) -> None:
        """Add a statement; its id must not have an owner."""
        self.statements.append(statement)
        self._owners[statement.outcome_id] = statement

    def reading(self, size: int) -> Reading:
        """What follows from the first `size` statements: ledgers only grow, so the past is a prefix."""
        if size <= 1 and self.error is None:
            return self._short_reading(size)
        return read(self.minute, self.statements[:size], self.rules.verdict, failed=self.error is not None)

    def _short_reading(self, size: int) -> Reading:
        """The same for no or one statement, by far the most frequent past."""
        ends: dict[int, End] = {self.minute: (None, None)}
        if size == 0 or self.statements[0].retract:
            if size:
                ends[max(self.minute, self.statements[0].minute)] = (None, None)
            return Reading(UNDECIDED, frozenset(), 0, ends)
        only = self.statements[0]
        success = self.rules.verdict.success(only.source, only.given, only.score)
        verdict = Verdict(success, only)
        ends[max(self.minute, only.minute)] = end_of(verdict)
        return Reading(verdict, frozenset((only.outcome_id,)), 0, ends)
