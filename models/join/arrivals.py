"""What the split sends to one join shard: columns of accepted records, in reading order.

They are those of `connectors.batch`, declared again because neither package may import the other;
`flows.dataflow.shards` maps one onto the other by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np

from models.arrays import F64, I8, I32, I64, U32, U64, Bools, Objects
from models.messages import Group, Mark
from models.side_messages import SessionCheck, ToolPaths
from models.watermark import LaneClock

AT_THE_END: Final = np.int64(2**61)
"""As `pos`: after all records of a batch."""


class AttemptRecord(Protocol):
    """What the join needs of an attempt, under the names that count."""

    model: str
    config: str | None
    error: str | None
    latency_ms: float | None
    cost_usd: float | None


class CallRecord(Protocol):
    """What the join needs of a decoded call."""

    call_id: str
    segment: str | None
    error: str | None
    attempts: Sequence[AttemptRecord] | None


class OutcomeRecord(Protocol):
    """What the join needs of a decoded outcome."""

    outcome_id: str
    call_id: str
    source: str | None
    author: str | None
    success: bool | None
    score: float | None
    action: str
    retracts: str | None
    reason: str | None
    scorer: str | None


class CallColumns(NamedTuple):
    """Calls. `key` = xxh3_64 of the id, `wm` the watermark each one met.

    `digest`: of names, segment and error; only calls of earlier states are compared by it. `names`, `segment`,
    `session`, `error`: digests of 32 bits, as they were sent, before aliases and redaction; 0 where absent. `filled`:
    which of `FILLED_ONCE` it has, as bits, and above these a hint which name differs from another call's. `uuid`, shape
    (n, 2): the id as two words where it is a canonical UUID, else zeros. `tokens`: in and out together, or -1.
    `tokens_out`: as given, or nan. `facets`: see `aftercall.facets`. `pos`: index in the batch as read. `unit`: see
    `models.join.units`. Times in microseconds.
    """

    pos: I64
    key: U64
    at: I64
    group: I32
    digest: U64
    names: U32
    segment: U32
    session: U32
    unit: U64
    error: U32
    filled: U32
    uuid: U64
    failed: Bools
    latency_ms: F64
    cost_nano: I64
    tokens: I64
    tokens_out: F64
    facets: U32
    records: Objects
    raw: Objects
    partition: I32
    offset: I64
    wm: I64


class OutcomeColumns(NamedTuple):
    """Outcomes. `key` is that of the call they name; `success` -1, `score` nan, `call_at` NEVER where absent.

    `retract`: no plain assertion: it asserts nothing, or has `retracts`, which withdraws nothing where it asserts.
    `bare` ones say neither that they retract nor anything else: they clear an earlier record of their id, or are
    refused. `author`: xxh3_64 of the author, 0 where absent. `uuid` is the `outcome_id`'s, `call_uuid` the `call_id`'s.
    """

    pos: I64
    key: U64
    at: I64
    call_at: I64
    source: I32
    success: I8
    score: F64
    retract: Bools
    bare: Bools
    author: U64
    uuid: U64
    call_uuid: U64
    records: Objects
    raw: Objects
    partition: I32
    offset: I64
    wm: I64


class SessionStatements(NamedTuple):
    """What outcomes of sessions say about calls, as `models.sessions` makes it; columns as in `OutcomeColumns`.

    `records` have what an `OutcomeRecord` has, and a `session_id`; `sources` are the names. `source` is -1 where a
    retraction has none. `minute`: the effective minute. `passed`: a call that closes there or later is still open for
    it, us. `pos`: of the record of the batch right after which it was made, -1 where the watermark made it.
    """

    key: U64
    call_uuid: U64
    at: I64
    minute: I32
    passed: I64
    source: I32
    success: I8
    score: F64
    retract: Bools
    author: U64
    pos: I64
    records: Objects


class SaidOfCalls(NamedTuple):
    """Statements of one session shard; `sources`: the names of their sources."""

    sources: list[str]
    statements: SessionStatements

    def at_the_end(self) -> SaidOfCalls:
        """The same for another batch, after whose records they come."""
        pos = np.full(len(self.statements.pos), AT_THE_END)
        return SaidOfCalls(self.sources, self.statements._replace(pos=pos))


class Answer(NamedTuple):
    """Sessions -> join: what one session shard makes of a batch for the calls of one shard of the join, if anything.

    `number`: of the batch in its lane, from 1. `taken`: how many batches of each lane the session shard had taken by
    then: the statements may be about a call of any of them, and so may `checks`, what rules over sessions found.
    """

    shard: str
    lane: str
    number: int
    taken: Mapping[str, int]
    made: SaidOfCalls | None
    checks: tuple[SessionCheck, ...] = ()

    def at_the_end(self) -> Answer:
        """The same for another batch, after whose records its statements come."""
        return self if self.made is None else self._replace(made=self.made.at_the_end())


class Arrivals(NamedTuple):
    """The records of one batch of one lane in one shard.

    `clock`: the lane's after the batch; `lanes`: their number; `last`: no batch may follow. `made`: what sessions say
    about calls. `marks`: they only pass through, as they have to come no later than the clock behind them.
    `text_results`: per call what rules of contracts found in its texts, before they were dropped; None: there are none.
    `tool_paths`: numbers for the tool calls of each call; None: not asked for. `session_checks`: what rules over
    sessions found about calls, of these or of earlier batches.
    """

    shard: str
    lane: str
    lanes: int
    clock: LaneClock
    last: bool
    groups: list[Group]
    sources: list[str]
    partitions: list[str]
    calls: CallColumns
    outcomes: OutcomeColumns
    made: tuple[SaidOfCalls, ...] = ()
    marks: tuple[Mark, ...] = ()
    text_results: Objects | None = None
    tool_paths: ToolPaths | None = None
    session_checks: tuple[SessionCheck, ...] = ()
