"""What the steps send to the snapshot sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aftercall.records import Alert, Digest, Recommendation
from models.messages import CellDeltas, DelayDeltas, Group, LatencyDeltas

SNAPSHOT_KEY: Final = "snapshot"
"""Of every message to the snapshot sink: it has one partition."""
Row = tuple[Any, ...]


class Tally(NamedTuple):
    """Counts to add to those of the table `pipeline`; keys from `connectors.snapshot.tables.COUNTERS`.

    `pending` is not sent: it is what remains of the calls.
    """

    counts: Mapping[str, int]


class CallRows(NamedTuple):
    """Accepted calls; see `SnapshotStore.append_calls`."""

    rows: Sequence[Row]


class VerdictRows(NamedTuple):
    """Calls whose verdict, statements or revisions changed; see `SnapshotStore.append_verdicts`."""

    rows: Sequence[Row]


class StatementRows(NamedTuple):
    """Statements that are new, or stand otherwise than before; see `SnapshotStore.append_statements`."""

    rows: Sequence[Row]


class DeadLetterRows(NamedTuple):
    """Refused records as dicts with `received_at` in µs; see `SnapshotStore.append_dead_letters`."""

    rows: Sequence[Mapping[str, Any]]


class AlertRows(NamedTuple):
    """Alerts issued."""

    rows: Sequence[Alert]


class DigestRows(NamedTuple):
    """Weekly digests."""

    rows: Sequence[Digest]


class RecommendationRows(NamedTuple):
    """Recommendations issued."""

    rows: Sequence[Recommendation]


class EraseRows(NamedTuple):
    """Calls that are gone from a shard, and of which no row is to remain; see `models.messages.Erased`."""

    request: str
    call_ids: tuple[str, ...]
    held: int
    waiting: int


class CellChanges(NamedTuple):
    """Differences of the rate cells; codes index `names`."""

    names: list[Group]
    cells: CellDeltas
    latencies: LatencyDeltas
    delays: DelayDeltas


class Clock(NamedTuple):
    """How far the pipeline has seen. Older news than what is known already is passed over."""

    watermark: int
    """µs, or `NEVER`."""
    newest_call: int
    """Time of the newest accepted call in µs, or `NEVER`."""
    positions: Mapping[str, Any]
    """Partition or file -> position (JSON values), merged into what is known."""


SnapshotMessage = (
    Tally
    | CallRows
    | VerdictRows
    | StatementRows
    | DeadLetterRows
    | AlertRows
    | DigestRows
    | RecommendationRows
    | EraseRows
    | CellChanges
    | Clock
)
