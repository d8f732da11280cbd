"""The hot path: bytes as they were read -> columns.

Two tiers. msgspec decodes and checks nearly every record; whatever it does not take at once goes to pydantic
(`connectors.decode.validation`), whose word is final. The fast tier never accepts what pydantic refuses, nor gives
other values: `tests/connectors/decode/test_decoder.py` holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from aftercall.events import MAX_RECORD_BYTES, AgentCall
from aftercall.times import NEVER, format_time
from connectors.batch import I32, I64, Batch, Bools, Calls, Objects, Outcomes, Refused, objects
from connectors.decode.fields import CallFields, OutcomeFields
from connectors.decode.structs import CallRecord, OutcomeRecord, call_record, outcome_record
from connectors.decode.validation import CALL, OUTCOME, Refusal, examine

__all__ = ["CALL", "OUTCOME", "Decoder"]

_PIECE: Final = 2048
"""The processor's cache holds so many records from decoding until their last field is read; 50,000 it does not."""


class Decoder:
    """Decodes batches of records. Nothing that matters is carried from one batch to the next."""

    def __init__(
        self, *, now_us: Callable[[], int] | int, max_future_skew_us: int, keep_payloads: bool = False
    ) -> None:
        """Prepare a decoder.

        Args:
            now_us: wall clock, us since 1970 UTC, or a function that tells it (asked once per batch).
            max_future_skew_us: how far ahead of it a record may be; beyond, it is refused as `future`.
            keep_payloads: keep `input` and `output` of calls in their records; otherwise they are checked and dropped.
        """
        self._now_us = now_us if callable(now_us) else lambda: now_us
        self._max_future_skew_us = max_future_skew_us
        self._keep_payloads = keep_payloads
        # Kept until the next batch, so that records are released in the order in which they were made: the shards would
        # do so in theirs, and leave memory in which the next batch lies scattered (0.6 us a record dearer).
        self._spent: tuple[Objects, ...] = ()
        self._decode = (msgspec.json.Decoder(CallRecord).decode, msgspec.json.Decoder(OutcomeRecord).decode)

    def decode(
        self,
        raws: list[bytes],
        kinds: NDArray[np.uint8],
        partition: I32,
        offset: I64,
        partitions: Sequence[str] = (),
    ) -> Batch:
        """Decode, check and transpose records.

        Args:
            raws: the records in reading order.
            kinds: per record `CALL` or `OUTCOME`.
            partition: per record, an index into `partitions`.
            offset: per record, its place in its partition.
            partitions: the lane's partitions, handed on.

        Returns:
            The batch; its `wm` columns are `NEVER`, `low`, `high` and `marks` are left to the lane. About 1 us per
            record of 230 bytes.
        """
        self._spent = ()
        latest = self._now_us() + self._max_future_skew_us
        refusals: dict[int, Refusal] = {}
        origin = _Origin(np.asarray(partition, dtype=np.int32), np.asarray(offset, dtype=np.int64))
        calls, groups = self._calls(raws, np.flatnonzero(kinds == CALL), origin, latest, refusals)
        outcomes, sources = self._outcomes(raws, np.flatnonzero(kinds == OUTCOME), origin, latest, refusals)
        self._spent = (calls.records, outcomes.records)
        refused = [
            Refused(reason, detail, int(partition[row]), int(offset[row]), raws[row])
            for row, (reason, detail) in sorted(refusals.items())
        ]
        return Batch(calls, outcomes, refused, groups, sources, list(partitions), len(raws))

    def _calls(
        self, raws: list[bytes], rows: I64, origin: _Origin, latest: int, refusals: dict[int, Refusal]
    ) -> tuple[Calls, list[tuple[str, str, str]]]:
        fields = CallFields(keep_payloads=self._keep_payloads)
        read = self._read(raws, rows, CALL, fields, refusals)
        said = fields.values()
        keep = _settle(raws, read.rows, CALL, said.at, said.sure, latest, refusals)
        if not keep.all():
            # Anew, so that no refused record leaves its group behind.
            fields, read = CallFields(keep_payloads=self._keep_payloads), read.where(keep)
            fields.add(read.records.tolist())
            said = fields.values()
        calls = Calls(
            pos=read.rows,
            key=said.key,
            at=said.at,
            group=said.group,
            digest=said.digest,
            uuid=said.uuid,
            failed=said.failed,
            latency_ms=said.latency_ms,
            cost_nano=said.cost_nano,
            tokens=said.tokens,
            records=read.records,
            raw=read.raw,
            partition=origin.partition[read.rows],
            offset=origin.offset[read.rows],
            wm=np.full(len(read.rows), NEVER, dtype=np.int64),
        )
        return calls, fields.names

    def _outcomes(
        self, raws: list[bytes], rows: I64, origin: _Origin, latest: int, refusals: dict[int, Refusal]
    ) -> tuple[Outcomes, list[str]]:
        fields = OutcomeFields()
        read = self._read(raws, rows, OUTCOME, fields, refusals)
        said = fields.values()
        keep = _settle(raws, read.rows, OUTCOME, said.at, said.sure, latest, refusals)
        if not keep.all():
            fields, read = OutcomeFields(), read.where(keep)
            fields.add(read.records.tolist())
            said = fields.values()
        outcomes = Outcomes(
            pos=read.rows,
            key=said.key,
            at=said.at,
            call_at=said.call_at,
            source=said.source,
            success=said.success,
            score=said.score,
            retract=said.retract,
            uuid=said.uuid,
            records=read.records,
            raw=read.raw,
            partition=origin.partition[read.rows],
            offset=origin.offset[read.rows],
            wm=np.full(len(read.rows), NEVER, dtype=np.int64),
        )
        return outcomes, fields.names

    def _read(
        self,
        raws: list[bytes],
        rows: I64,
        kind: int,
        fields: CallFields | OutcomeFields,
        refusals: dict[int, Refusal],
    ) -> _Read:
        """Decode the records of one kind piece by piece, and give each to `fields`."""
        read = _Read(rows, np.empty(len(rows), np.object_), np.empty(len(rows), np.object_))
        taken = np.ones(len(rows), dtype=np.bool_)
        for start in range(0, max(len(rows), 1), _PIECE):
            piece = slice(start, start + _PIECE)
            mine = list(map(raws.__getitem__, rows[piece].tolist()))
            records, keep = self._records(mine, rows[piece], kind, refusals)
            fields.add(records if keep.all() else list(compress(records, keep.tolist())))
            read.records[piece], read.raw[piece], taken[piece] = objects(records), objects(mine), keep
        return read if taken.all() else read.where(taken)

    def _records(
        self, raws: list[bytes], rows: I64, kind: int, refusals: dict[int, Refusal]
    ) -> tuple[list[Any], Bools]:
        """Structs, and which records have one: where msgspec does not take a record, pydantic may refuse it."""
        records, doubtful = _decode_fast(self._decode[kind], raws)
        keep = np.ones(len(rows), dtype=np.bool_)
        for i in doubtful:
            verdict = examine(raws[i], kind)
            if isinstance(verdict, Refusal):
                refusals[int(rows[i])] = verdict
                keep[i] = False
            else:
                records[i] = call_record(verdict) if isinstance(verdict, AgentCall) else outcome_record(verdict)
        return records, keep


class _Origin(NamedTuple):
    """Per record of the batch, where it came from."""

    partition: I32
    offset: I64


class _Read(NamedTuple):
    """Records of one kind: their places in the batch, their structs and bytes."""

    rows: I64
    records: Objects
    raw: Objects

    def where(self, keep: Bools) -> _Read:
        """The records of a mask."""
        return _Read(self.rows[keep], self.records[keep], self.raw[keep])


def _decode_fast(decode: Callable[[bytes], Any], raws: list[bytes]) -> tuple[list[Any], list[int]]:
    """What msgspec takes; `None`, and its index, where it does not."""
    doubtful: list[int] = []
    records: list[Any] = []
    waiting = map(decode, raws)
    while True:
        try:
            records.extend(waiting)  # keeps what came before an error, so that the next round goes on behind it
            break
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            doubtful.append(len(records))
            records.append(None)
    if max(map(len, raws), default=0) > MAX_RECORD_BYTES:
        doubtful = sorted({*doubtful, *(i for i, raw in enumerate(raws) if len(raw) > MAX_RECORD_BYTES)})
    return records, doubtful


def _settle(
    raws: list[bytes], rows: I64, kind: int, at: I64, sure: Bools, latest: int, refusals: dict[int, Refusal]
) -> Bools:
    """Which records stay: pydantic words the refusal of those that are not sure; then the future is cut off."""
    keep = sure & (at <= latest)
    for i in np.flatnonzero(~keep).tolist():
        row = int(rows[i])
        verdict = None if sure[i] else examine(raws[row], kind)
        refusals[row] = verdict if isinstance(verdict, Refusal) else _future(int(at[i]), latest)
    return keep


def _future(at: int, latest: int) -> Refusal:
    return Refusal("future", f"field 'occurred_at' is later than {format_time(latest)}; got {format_time(at)}")
