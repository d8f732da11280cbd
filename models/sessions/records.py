"""What reaches the session step, and what leaves it. Times are in microseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from models.arrays import F64, I8, I32, I64, U64, Bools, Objects
from models.messages import Group


class SessionCallRecord(Protocol):
    """What the step needs of a decoded call."""

    call_id: str
    session_id: str
    parent_call_id: str | None


class SessionOutcomeRecord(Protocol):
    """What the step needs of a decoded outcome; `call_id` is the call that `descendants` names; `scope` None: last."""

    outcome_id: str
    session_id: str
    call_id: str | None
    scope: str | None
    source: str | None
    author: str | None
    success: bool | None
    score: float | None
    retract: bool
    retracts: str | None
    reason: str | None
    scorer: str | None


class SessionCalls(NamedTuple):
    """Calls that name a session, in reading order.

    `pos`: index in the batch as read. `session`: xxh3_64 of the session's id, `key` of the call's. `task` indexes the
    task types of the message. `uuid`, shape (n, 2): the call's id as two words where it is a canonical UUID, else
    zeros. `wm`: the watermark each one met.
    """

    pos: I64
    session: U64
    key: U64
    at: I64
    task: I32
    uuid: U64
    records: Objects
    wm: I64


class SessionOutcomes(NamedTuple):
    """Outcomes that name a session, likewise.

    `call_at` is NEVER where absent, `success` -1, `score` nan; `retract`: it asserts nothing. `uuid` is that of the
    `outcome_id`. `source` and `partition` index those of the message; one that asserts has a source.
    """

    pos: I64
    session: U64
    at: I64
    call_at: I64
    uuid: U64
    source: I32
    success: I8
    score: F64
    retract: Bools
    records: Objects
    raw: Objects
    partition: I32
    offset: I64
    wm: I64


class SessionArrivals(NamedTuple):
    """The records of one batch in one shard of sessions.

    `passed`: of the watermarks before all records of the batch, in every shard, and the one after it, the greatest in
    each minute, ascending: so the minute in which something becomes due does not depend on the shard. `watermark`: the
    one after the batch. `ended`: all partitions are at their end. `groups`: by the codes of `tasks`, what calls count
    for; only rules of contracts need them.
    """

    tasks: list[str]
    partitions: list[str]
    sources: list[str]
    calls: SessionCalls
    outcomes: SessionOutcomes
    passed: I64
    watermark: int
    ended: bool
    groups: Sequence[Group] = ()


class SessionStatement(NamedTuple):
    """What an outcome of a session says about one call; ids are `session:<outcome_id>`.

    `minute`: the effective minute. `passed`: a call that closes there or later is still open for it. `pos`: that of
    the record on whose arrival it was made, -1 where the watermark made it, or the end.
    """

    call_id: str
    session_id: str
    outcome_id: str
    at: int
    source: str | None
    author: str | None
    success: bool | None
    score: float | None
    retract: bool
    retracts: str | None
    reason: str | None
    scorer: str | None
    minute: int
    passed: int
    pos: int = -1

    @property
    def action(self) -> str:
        """As in an outcome."""
        return "retract" if self.retract else "assert"


class StatementColumns(NamedTuple):
    """Statements as columns: `key` is xxh3_64 of the call's id, `call_uuid` the id as words, as in `SessionCalls`.

    `source` indexes the `sources` beside them, -1 where there is none; `author`: xxh3_64, 0 where there is none; else
    as in `SessionStatement`, `success` and `score` as in `SessionOutcomes`.
    """

    key: U64
    call_uuid: U64
    at: I64
    source: I32
    success: I8
    score: F64
    retract: Bools
    author: U64
    minute: I32
    passed: I64
    pos: I64


class SessionRefusal(NamedTuple):
    """An outcome that becomes a dead letter, with where it lies: its bytes are not kept once it has waited."""

    reason: str
    detail: str
    session_id: str
    outcome_id: str
    partition: str
    offset: int
    raw: bytes | None
    size: int
    sha256: str


class Resolved(NamedTuple):
    """What one batch led to in one shard. `tally` has the counts that are not 0.

    `statements` in the order in which they were made, those of a session at least; `columns`: the same.
    """

    statements: list[SessionStatement]
    columns: StatementColumns
    sources: list[str]
    refused: list[SessionRefusal]
    tally: dict[str, int]


class SessionBook(Protocol):
    """The rules of contracts over sessions; it has no state. Times in microseconds."""

    def may_judge(self, group: Group) -> bool:
        """Whether there are rules for calls of a group, at any time."""

    def excerpt(self, record: object, group: Group) -> dict[str, Any]:
        """What they read of a decoded record, as plain values."""

    def fill(self, first: dict[str, Any], later: dict[str, Any]) -> None:
        """Fill in what a later record of a call has and the first one lacks."""

    def judge(
        self, course: dict[str, Any], group: Group, excerpt: dict[str, Any], at: int, now: int
    ) -> Sequence[tuple[Any, ...]]:
        """What they find about the next call of a session, by version; `course`, plain values, is changed.

        Where no version judges the call, it is none of the session's, and nothing changes. `now`: when the call was
        due, or came if that is later.
        """


class JudgedInSession(NamedTuple):
    """What the rules of one version of a contract found about a call of a session.

    Attributes:
        key: xxh3_64 of the call's id.
        call_id: the id.
        session: xxh3_64 of the session's id.
        group: what the call's first record with this session counts for.
        at: of this record, us.
        minute: in which the results take effect.
        passed: a call that closes there or later is still open for them, us.
        found: what `SessionBook.judge` gave.
    """

    key: int
    call_id: str
    session: int
    group: Group
    at: int
    minute: int
    passed: int
    found: tuple[Any, ...]
