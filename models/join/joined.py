"""The results of the join: what one batch changes in one shard.

Common results are columns (`FirstVerdicts`, `Completed`, `Judged`, `Expired`), uncommon ones a row each (`AttemptRow`,
`Judgement`, `StatementRow`, `Refusal`). Times are in microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from models.arrays import F64, I8, I32, I64, U8, U32, Bools, Objects
from models.columns.id_column import texts_of
from models.messages import Changes, Erased, Group
from models.side_messages import CheckRow, Uses


class FirstVerdicts(NamedTuple):
    """First outcomes of calls: the common verdicts, as columns. `records` are the outcome records."""

    records: Objects
    group: list[Group]
    code: I32
    call_at: I64
    at: I64
    success: I8


class Completed(NamedTuple):
    """Records that complete a call. `call_at`: its time; `new`: what each fills, as bits of `FILLED_ONCE`.

    `latency_ms`: that of the call from now on, where it is filled, else nan.
    """

    records: Objects
    call_at: I64
    new: U32
    latency_ms: F64


class AttemptRow(NamedTuple):
    """A failed attempt of a call; `attempt` is its place among the call's attempts, from 1."""

    call_id: str
    call_at: int
    attempt: int
    group: Group
    latency_ms: float | None
    cost_usd: float | None
    error: str


class Stated(NamedTuple):
    """Statements on the calls of a `Judged`, all of them assertions.

    Attributes:
        call: place of the call.
        ids: of outcomes, as `IdColumn.state_of` gives them.
        edition: number among the records of its id, up to 255, which nothing in columns has.
        source: index into `Judged.sources`.
        author: index into `Judged.authors`.
        at: its time, us.
        success: what it asserts, 0 or 1; -1 where it abstains.
        score: nan where it has none.
        reasons: of those that have one, by place.
        scorers: likewise.
        stands: whether it stands.
        shown: whether it is new, or has begun or ceased to stand; the others are here as verdicts rest on them.
    """

    call: I32
    ids: dict[str, Any]
    edition: U8
    source: I32
    author: I32
    at: I64
    success: I8
    score: F64
    reasons: dict[int, str]
    scorers: dict[int, str]
    stands: Bools
    shown: Bools

    @property
    def outcome_ids(self) -> list[str]:
        """The ids as texts."""
        return texts_of(self.ids) if len(self.call) else []


class Judged(NamedTuple):
    """Calls whose ledgers, of assertions only, grew, other than by a first statement that decides.

    Attributes:
        call_ids: their ids.
        group: by code.
        code: of each call.
        call_at: time of the call, us.
        success: the verdict, 0 or 1; -1 pending.
        by: the statement that it rests on, by place in `stated`; -1 while pending.
        decided_at: since when it is so, us; NEVER while pending.
        score: nan where it has none.
        statements: how many the ledger has.
        revisions: see `docs/reference.md`.
        sources: names, by code.
        authors: the same; the empty text for none.
        stated: statements on these calls.
    """

    call_ids: list[str]
    group: list[Group]
    code: I32
    call_at: I64
    success: I8
    by: I32
    decided_at: I64
    score: F64
    statements: I32
    revisions: I32
    sources: list[str]
    authors: list[str]
    stated: Stated


class Expired(NamedTuple):
    """Calls that closed without a statement. `success`: -1 expired (`decided_at` NEVER), else the silence verdict."""

    call_id: list[str]
    group: list[Group]
    code: I32
    call_at: I64
    decided_at: I64
    success: I8


NO_COMPLETIONS: Final = Completed(np.zeros(0, np.object_), np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0))


class Judgement(NamedTuple):
    """The verdict of a call whose ledger grew, or which closed with another one. `decided_at` NEVER if none.

    `is_news` is false where only `revisions` differ, as an `error` came late: the wire does not have these.
    """

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
    is_news: bool = True


class StatementRow(NamedTuple):
    """A statement that is new, or that began or ceased to stand. `success` is None where it asserts nothing."""

    call_id: str
    call_at: int
    outcome_id: str
    edition: int
    source: str | None
    author: str | None
    at: int
    retract: bool
    success: bool | None
    score: float | None
    reason: str | None
    scorer: str | None
    stands: bool


class Refusal(NamedTuple):
    """A record that becomes a dead letter. An early outcome has no `raw`, as its bytes are not kept: only its hash."""

    reason: str
    detail: str
    call_id: str
    partition: str
    offset: int
    raw: bytes | None
    size: int
    sha256: str


_CODES, _TIMES, _SIGNS, _FLAGS = (
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
    np.zeros(0, np.int8),
    np.zeros(0, np.bool_),
)
NO_STATED: Final = Stated(
    _CODES, {}, _CODES.astype(np.uint8), _CODES, _CODES, _TIMES, _SIGNS, np.zeros(0), {}, {}, _FLAGS, _FLAGS
)
NONE_JUDGED: Final = Judged(
    [], [], _CODES, _TIMES, _SIGNS, _CODES, _TIMES, np.zeros(0), _CODES, _CODES, [], [], NO_STATED
)


class Joined(NamedTuple):
    """What one batch, or one erasure, changed in one shard. `tally` has the counts that are not 0.

    `unmatched`: now and then, the ids of the calls that outcomes wait for, one for each of them.
    """

    changes: Changes
    accepted: Objects
    accepted_at: I64
    first: FirstVerdicts
    expired: Expired
    judgements: list[Judgement]
    statements: list[StatementRow]
    refused: list[Refusal]
    tally: dict[str, int]
    erased: Erased | None = None
    unmatched: list[str] | None = None
    completed: Completed = NO_COMPLETIONS
    attempts: Sequence[AttemptRow] = ()
    judged: tuple[Judged, ...] = ()
    checks: Sequence[CheckRow] = ()
    uses: Sequence[Uses] = ()
