"""Defines the messages that the steps send to the snapshot sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aftercall.records import Alert, Digest, Recommendation
from aftercall.trust_record import TrustRecord
from connectors.batch import Warned
from connectors.texts.call_text import CallText
from models.messages import AnyGroup, CellDeltas, DelayDeltas, Group, LatencyDeltas, OpinionDeltas
from models.rates import ToolUses
from models.side_messages import CheckDeltas, CheckedRule, Uses

SNAPSHOT_KEY: Final = "snapshot"
"""Of every message to the snapshot sink: it has one partition."""
Row = tuple[Any, ...]


class Tally(NamedTuple):
    """Counts to add to those of the table `pipeline`; keys from `connectors.snapshot.tables.COUNTERS`.

    `pending` is not sent: the sink computes it as calls and attempts minus those that are decided.
    """

    counts: Mapping[str, int]


class CallRows(NamedTuple):
    """Accepted calls; see `SnapshotStore.append_calls`."""

    rows: Sequence[Row]


class CompletionRows(NamedTuple):
    """What later records of accepted calls filled; see `SnapshotStore.append_completions`."""

    rows: Sequence[Row]


class AttemptRows(NamedTuple):
    """Failed attempts of calls; see `SnapshotStore.append_attempts`."""

    rows: Sequence[Row]


class ToolRows(NamedTuple):
    """Tool calls of calls; see `SnapshotStore.append_tool_calls`."""

    rows: Sequence[Row]


class ToolChanges(NamedTuple):
    """How tools were used, to be added to their counts."""

    uses: ToolUses


class CheckRows(NamedTuple):
    """What rules of contracts found in calls; see `SnapshotStore.append_checks`."""

    rows: Sequence[Row]


class CheckChanges(NamedTuple):
    """Differences of what rules found; the codes in `checks` index `names` and `rules`."""

    names: list[Group]
    rules: Sequence[CheckedRule]
    checks: CheckDeltas


class KnownContract(NamedTuple):
    """A version of a contract; its times in µs, None where it has judged since ever, or will for ever."""

    name: str
    version: str
    hash: str
    effective_from: int | None
    effective_until: int | None


class ContractsUsed(NamedTuple):
    """How many more calls versions of contracts have judged."""

    uses: Sequence[Uses]


class VerdictRows(NamedTuple):
    """Calls whose verdict, statements or revisions changed; see `SnapshotStore.append_verdicts`."""

    rows: Sequence[Row]


class StatementRows(NamedTuple):
    """Statements that are new or whose `stands` has changed; see `SnapshotStore.append_statements`."""

    rows: Sequence[Row]


class MarkRows(NamedTuple):
    """Accepted marks; see `SnapshotStore.append_marks`."""

    rows: Sequence[Row]


class DeadLetterRows(NamedTuple):
    """Refused records as dicts with `received_at` in µs; see `SnapshotStore.append_dead_letters`."""

    rows: Sequence[Mapping[str, Any]]


class AlertRows(NamedTuple):
    """Alert records, as emitted."""

    rows: Sequence[Alert]


class DigestRows(NamedTuple):
    """Weekly digests."""

    rows: Sequence[Digest]


class SuspicionRows(NamedTuple):
    """All suspicions that there are at the end of an hour; they replace those before."""

    rows: Sequence[Row]


class DesignEffects(NamedTuple):
    """Groups and roll-ups, and how far their rates are less certain than counts say, where that has changed."""

    effects: Sequence[tuple[AnyGroup, float]]


class RecommendationRows(NamedTuple):
    """Recommendations, as emitted."""

    rows: Sequence[Recommendation]


class TrustRows(NamedTuple):
    """Records of trust, as emitted."""

    rows: Sequence[TrustRecord]


class WarningRows(NamedTuple):
    """Warnings about records that were accepted."""

    rows: Sequence[Warned]


class UnmatchedIds(NamedTuple):
    """The ids of calls that outcomes wait for in a shard, one for each outcome: all there is to know of it."""

    shard: str
    call_ids: Sequence[str]


class TextRows(NamedTuple):
    """Texts of accepted calls; see `TextStore.add`."""

    texts: Sequence[CallText]


class FailedCalls(NamedTuple):
    """Calls whose verdict is `failure` now, by id and time in µs; see `TextStore.fail`."""

    calls: Sequence[tuple[str, int]]


class EraseRows(NamedTuple):
    """Calls and sessions that a shard has erased, and whose rows must be deleted; see `models.messages.Erased`."""

    request: str
    call_ids: tuple[str, ...]
    held: int
    waiting: int
    sessions: tuple[str, ...] = ()


class CellChanges(NamedTuple):
    """Differences of the rate cells; the codes in them index `names`, and `segments` where any call has one."""

    names: list[Group]
    cells: CellDeltas
    latencies: LatencyDeltas
    delays: DelayDeltas
    segments: list[str] = []  # noqa: RUF012 - never changed


class OpinionChanges(NamedTuple):
    """Opinions of sources gained and withdrawn; the codes in `opinions` index `names` and `sources`."""

    names: list[Group]
    sources: list[str]
    opinions: OpinionDeltas


class Clock(NamedTuple):
    """How far the pipeline has read; the sink ignores values older than its own."""

    watermark: int
    """µs, or `NEVER`."""
    newest_call: int
    """Time of the newest accepted call in µs, or `NEVER`."""
    positions: Mapping[str, Any]
    """Partition or file -> position (JSON values), merged into those of the sink."""


SnapshotMessage = (
    Tally
    | CallRows
    | CompletionRows
    | AttemptRows
    | ToolRows
    | ToolChanges
    | CheckRows
    | CheckChanges
    | ContractsUsed
    | VerdictRows
    | StatementRows
    | MarkRows
    | DeadLetterRows
    | AlertRows
    | DigestRows
    | SuspicionRows
    | DesignEffects
    | RecommendationRows
    | TrustRows
    | WarningRows
    | UnmatchedIds
    | TextRows
    | FailedCalls
    | EraseRows
    | CellChanges
    | OpinionChanges
    | Clock
)
