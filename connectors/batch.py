"""Defines the batch that a lane emits: columns of calls and outcomes, and refused records.

All columns of a `Calls` or `Outcomes` have the same length, in reading order. An absent value is `nan` in floats, `-1`
in counts, money and `success`, `NEVER` in times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aftercall.times import NEVER

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Objects = NDArray[np.object_]


ENDED: Final = 2**63 - 1
"""A clock of calls that no outcome waits for."""


class Calls(NamedTuple):
    """Accepted calls.

    Attributes:
        pos: index in the batch as read, counting calls, outcomes and refused records together.
        key: xxh3_64 of the UTF-8 of `call_id`.
        at: `occurred_at`, us.
        group: index into `Batch.groups`.
        digest: of names, segment and error together; only calls of earlier states are compared by it.
        names: digest of 32 bits of the names as they are read, before aliases.
        segment: such a digest, before anything is redacted; 0 where absent.
        session: the same of `session_id`.
        session_key: xxh3_64 of the UTF-8 of `session_id`, 0 where absent.
        unit: that, else the same of `parent_call_id`.
        error: the same.
        filled: which of `aftercall.vocabulary.FILLED_ONCE` the record has, as bits; the upper 16 are a hint which name
            differs from that of another call: 5 bits of the task type, 5 of the model, 5 of the config. Bit 26 is
            `LISTS_NO_TOOLS`.
        uuid: shape (n, 2), `call_id` as two 64-bit words where it is a canonical UUID; zeros carry no information.
        failed: an `error` is given.
        latency_ms: ms, or nan.
        cost_nano: nano-dollars rounded half to even, or -1.
        tokens: `tokens`, else the sum of `tokens_in` and `tokens_out`, or -1.
        tokens_out: as given, or nan.
        facets: strata of `tokens_in`, tool calls and language, as `aftercall.facets` codes them; 0 for nothing.
        records: `CallRecord`; `input` and `output` are dropped unless the decoder keeps them.
        raw: the records' bytes.
        partition: index into `Batch.partitions`.
        offset: in its partition; in a file, the line, from 1.
        wm: watermark in force before the record, us; filled by the lane.
    """

    pos: I64
    key: U64
    at: I64
    group: I32
    digest: U64
    names: U32
    segment: U32
    session: U32
    session_key: U64
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


class Outcomes(NamedTuple):
    """Accepted outcomes; columns that are not listed are as in `Calls`.

    Attributes:
        call_at: `call_occurred_at`, us, or `NEVER`.
        source: index into `Batch.sources`; a retraction by `retracts` that names no source has the source `""`.
        success: the field as given (0, 1), or -1; nothing is derived from `score` here.
        score: as given, or nan.
        retract: is no plain assertion: `action` is `retract`, the record is `bare`, or it has `retracts`.
        bare: has neither `success` nor `score`, and `action` is not `retract`. By the ledger of its call it clears an
            earlier outcome, or is refused.
        author: xxh3_64 of the UTF-8 of `author`, 0 where it is absent. A hash of 0 counts as 1.
        uuid: as in `Calls`, of `outcome_id`.
        call_uuid: as in `Calls`, of `call_id`.
        records: `OutcomeRecord`.
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


class SessionOutcomes(NamedTuple):
    """Accepted outcomes of sessions, which name a `session_id`; columns are as in `Outcomes`.

    `session`: xxh3_64 of the UTF-8 of the `session_id`. `call_id` of a record is the call that `descendants` names.
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


NO_SESSION_OUTCOMES: Final = SessionOutcomes(
    pos=np.zeros(0, np.int64),
    session=np.zeros(0, np.uint64),
    at=np.zeros(0, np.int64),
    call_at=np.zeros(0, np.int64),
    uuid=np.zeros((0, 2), np.uint64),
    source=np.zeros(0, np.int32),
    success=np.zeros(0, np.int8),
    score=np.zeros(0),
    retract=np.zeros(0, np.bool_),
    records=np.zeros(0, np.object_),
    raw=np.zeros(0, np.object_),
    partition=np.zeros(0, np.int32),
    offset=np.zeros(0, np.int64),
    wm=np.zeros(0, np.int64),
)


class Whole(NamedTuple):
    """Of a record that is too long to be held: its bytes, and their hash."""

    size: int
    sha256: str


class MarkRow(NamedTuple):
    """An accepted mark: something that was changed on purpose, such as a deployment.

    Attributes:
        pos: index in the batch as read.
        mark_id: as it was given, or the hash of its content.
        at: `occurred_at`, us.
        task_type: the one that counts, or `*`.
        text: redacted; None where absent.
        contents: time and hashes of task type and text as they were sent, by which two of one id are compared.
        raw: the record's bytes.
        partition: index into `Batch.partitions`.
        offset: in its partition; in a file, the line, from 1.
        wm: watermark in force before the record, us; filled by the lane.
    """

    pos: int
    mark_id: str
    at: int
    task_type: str
    text: str | None
    contents: tuple[int, int, int]
    raw: bytes
    partition: int
    offset: int
    wm: int = NEVER


class Refused(NamedTuple):
    """A record that is not accepted: why (a slug and one sentence), and where it came from; on Kafka also its key.

    Where `whole` is set, `raw` is only the beginning of the record. `redriven_of`: of a record that was sent again, the
    `event_id` of its dead letter.
    """

    reason: str
    detail: str
    partition: int
    offset: int
    raw: bytes
    key: str | None = None
    whole: Whole | None = None
    redriven_of: str | None = None


class Warned(NamedTuple):
    """Something that users should know about the records, but that stops none of them.

    Attributes:
        kind: such as `dropped_label`.
        subject: what it is about; together with `kind`, what is counted together.
        times: how often.
        first: event time of the first such record, us.
        last: that of the last.
        detail: one sentence with what to do.
    """

    kind: str
    subject: str
    times: int
    first: int
    last: int
    detail: str


class Erase(NamedTuple):
    """A request to erase calls and sessions; see `connectors.erasure.requests`."""

    request: str
    call_ids: tuple[str, ...]
    sessions: tuple[str, ...] = ()


@dataclass(slots=True)
class Batch:
    """Everything a lane read in one go.

    Attributes:
        calls: accepted calls.
        outcomes: accepted outcomes of calls.
        refused: the others, in reading order.
        groups: distinct (task_type, model, config) in this batch.
        sources: distinct sources in this batch.
        partitions: names of the lane's partitions (of topics `topic/3`, of files their path).
        records: how many records were read: `len(calls.pos) + len(outcomes.pos) + len(said.pos) + len(deployed) +
            len(refused)`.
        low: the lane's clock after the batch, us: the minimum over its partitions, where idle ones count as far as the
            others had been read when their end was confirmed; `NEVER` while one of them has no accepted record.
        high: the greatest clock of a partition, us, or `NEVER`.
        idle: the lane has no partition, or its files have ended; `low` has no meaning then.
        calls_low: the same minimum over its partitions of calls, or `ENDED` without any; of files always `ENDED`, as
            they are read in the order of event time: no call that is still to come belongs to an older outcome.
        calls_high: the greatest clock of its partitions of calls; `ENDED` without any, or if no call is waited for.
        news: records or erasure requests came, or one of these clocks changed; otherwise the batch is a heartbeat.
        lane: the lane's name.
        lanes: how many lanes there are in all.
        last: no batch may follow.
        marks: where reading of each partition resumes: the offset (in a file, the line) after the last one read.
        erase: calls to erase, including those in this batch.
        warnings: about accepted records.
        said: accepted outcomes of sessions.
        deployed: accepted marks. They move no clock.
        text_results: per call, what rules of contracts found in its texts before these were dropped: a tuple of
            `aftercall.contracts.results.TextResults`, or None. None for all: no rule looks into texts.
        tool_paths: per call, a number for its tool calls, see `connectors.decode.tool_codes`; None: not asked for.
        tool_token: of its codes.
        ended: all partitions of the lane are at their end: idle, or files that have been read.
    """

    calls: Calls
    outcomes: Outcomes
    refused: list[Refused]
    groups: list[tuple[str, str, str]]
    sources: list[str]
    partitions: list[str]
    records: int
    low: int = NEVER
    high: int = NEVER
    idle: bool = False
    calls_low: int = ENDED
    calls_high: int = ENDED
    news: bool = True
    lane: str = "files"
    lanes: int = 1
    last: bool = True
    marks: dict[str, int] = field(default_factory=dict)
    erase: tuple[Erase, ...] = ()
    warnings: list[Warned] = field(default_factory=list)
    said: SessionOutcomes = NO_SESSION_OUTCOMES
    ended: bool = False
    deployed: list[MarkRow] = field(default_factory=list)
    text_results: Objects | None = None
    tool_paths: I64 | None = None
    tool_token: int = 0

    def times(self) -> I64:
        """The event time of each record as read, us; `NEVER` of marks, and of those that were refused."""
        at = np.full(self.records, NEVER, np.int64)
        for some in (self.calls, self.outcomes, self.said):
            at[some.pos] = some.at
        return at

    def met(self, watermark: I64) -> None:
        """Set the watermark in force before each record, as read."""
        for some in (self.calls, self.outcomes, self.said):
            some.wm[:] = watermark[some.pos]
        self.deployed = [mark._replace(wm=int(watermark[mark.pos])) for mark in self.deployed]


def objects(values: Sequence[object]) -> Objects:
    """A column of Python objects, kept as they are."""
    return np.fromiter(values, dtype=np.object_, count=len(values))
