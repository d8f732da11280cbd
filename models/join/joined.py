"""The results of the join: what one batch changes in one shard.

Common results are columns (`FirstVerdicts`, `Completed`, `Expired`), uncommon ones a row each (`AttemptRow`,
`Judgement`, `StatementRow`, `Refusal`). Times are in microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from models.arrays import F64, I8, I32, I64, U32, Objects
from models.messages import Changes, Erased, Group


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
