"""The hot path: bytes as they were read -> columns.

Two tiers. msgspec decodes and checks nearly every record; whatever it does not take at once goes to pydantic
(`connectors.refusals`), whose word is final. The fast tier never accepts what pydantic refuses, nor gives other values:
`tests/connectors/test_decode.py` holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from aftercall.events import MAX_RECORD_BYTES, RESERVED_SOURCES, AgentCall
from aftercall.times import format_time
from connectors.columns import F64, I8, I32, I64, NEVER, U64, Batch, Bools, Calls, Objects, Outcomes, Refused, objects
from connectors.records import CallRecord, OutcomeRecord, call_record, outcome_record
from connectors.refusals import CALL, OUTCOME, Refusal, examine
from connectors.time_columns import parse_times

__all__ = ["CALL", "OUTCOME", "Decoder"]

_NANO: Final = 1e9
_NO_PAYLOADS: Final = (None, None)
_SUCCESS_CODES: Final = {None: -1, False: 0, True: 1}

_call_ids = attrgetter("call_id")
_times = attrgetter("occurred_at")
_call_facts = attrgetter("task_type", "model", "config", "segment", "error")
_latencies = attrgetter("latency_ms")
_costs = attrgetter("cost_usd")
_payloads = attrgetter("input", "output")
_outcome_facts = attrgetter("source", "success", "action")
_call_times = attrgetter("call_occurred_at")
_scores = attrgetter("score")

_Key = TypeVar("_Key")


class _Codes(dict[_Key, int]):
    """Numbers the distinct values it is asked for, in the order of asking."""

    def __missing__(self, key: _Key) -> int:
        code = self[key] = len(self)
        return code


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
        origin = _Origin(objects(raws), np.asarray(partition, dtype=np.int32), np.asarray(offset, dtype=np.int64))
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
        rows, records = self._records(raws, rows, CALL, refusals)
        at, sure = parse_times(list(map(_times, records)))
        keep = _settle(raws, rows, CALL, at, sure, latest, refusals)
        if not keep.all():
            rows, records, at = rows[keep], list(compress(records, keep.tolist())), at[keep]
        if not self._keep_payloads:
            _drop_payloads(records)
        return _call_columns(rows, records, at, origin)

    def _outcomes(
        self, raws: list[bytes], rows: I64, origin: _Origin, latest: int, refusals: dict[int, Refusal]
    ) -> tuple[Outcomes, list[str]]:
        rows, records = self._records(raws, rows, OUTCOME, refusals)
        at, sure = parse_times(list(map(_times, records)))
        call_at, call_at_sure = _call_at(records)
        statements = _statements(records)
        keep = _settle(raws, rows, OUTCOME, at, sure & call_at_sure & statements.sure, latest, refusals)
        if not keep.all():
            rows, records, at, call_at = rows[keep], list(compress(records, keep.tolist())), at[keep], call_at[keep]
            statements = _statements(records)  # anew, so that no refused record leaves its source behind
        return _outcome_columns(rows, records, at, call_at, statements, origin), statements.sources

    def _records(self, raws: list[bytes], rows: I64, kind: int, refusals: dict[int, Refusal]) -> tuple[I64, list[Any]]:
        """Structs of one kind and their rows, without those that pydantic refused where msgspec did not take them."""
        if len(rows) == 0:
            return rows, []
        mine = raws if len(rows) == len(raws) else list(map(raws.__getitem__, rows.tolist()))
        records, doubtful = _decode_fast(self._decode[kind], mine)
        if not doubtful:
            return rows, records
        keep = np.ones(len(rows), dtype=np.bool_)
        for i in doubtful:
            verdict = examine(mine[i], kind)
            if isinstance(verdict, Refusal):
                refusals[int(rows[i])] = verdict
                keep[i] = False
            else:
                records[i] = call_record(verdict) if isinstance(verdict, AgentCall) else outcome_record(verdict)
        return rows[keep], list(compress(records, keep.tolist()))


class _Origin(NamedTuple):
    """Per record of the batch: its bytes and where they came from."""

    raw: Objects
    partition: I32
    offset: I64


class _Statements(NamedTuple):
    """What outcomes say; `sure` where that is enough to be accepted."""

    source: I32
    success: I8
    score: F64
    retract: Bools
    sure: Bools
    sources: list[str]


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
    if max(map(len, raws)) > MAX_RECORD_BYTES:
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


def _drop_payloads(records: list[CallRecord]) -> None:
    payloads = list(map(_payloads, records))
    if payloads.count(_NO_PAYLOADS) == len(payloads):
        return
    for record, payload in zip(records, payloads, strict=True):
        if payload != _NO_PAYLOADS:
            msgspec.structs.force_setattr(record, "input", None)
            msgspec.structs.force_setattr(record, "output", None)


def _keys(records: list[Any]) -> U64:
    return np.fromiter(map(xxh3_64_intdigest, map(str.encode, map(_call_ids, records))), np.uint64, len(records))


def _call_columns(
    rows: I64, records: list[CallRecord], at: I64, origin: _Origin
) -> tuple[Calls, list[tuple[str, str, str]]]:
    count = len(records)
    codes: _Codes[tuple[str, str, str, str | None, str | None]] = _Codes()
    code = np.fromiter(map(codes.__getitem__, map(_call_facts, records)), np.int32, count)
    group_codes: _Codes[tuple[str, str, str]] = _Codes()
    group_of = np.array([group_codes[facts[:3]] for facts in codes], dtype=np.int32)
    digest_of = np.array([_digest(facts[3], facts[4]) for facts in codes], dtype=np.uint64)
    failed_of = np.array([facts[4] is not None for facts in codes], dtype=np.bool_)
    cost = _floats(list(map(_costs, records)))
    cost_nano = np.where(np.isnan(cost), -1, np.rint(cost * _NANO)).astype(np.int64)
    calls = Calls(
        pos=rows,
        key=_keys(records),
        at=at,
        group=group_of[code],
        digest=digest_of[code],
        failed=failed_of[code],
        latency_ms=_floats(list(map(_latencies, records))),
        cost_nano=cost_nano,
        records=objects(records),
        raw=origin.raw[rows],
        partition=origin.partition[rows],
        offset=origin.offset[rows],
        wm=np.full(count, NEVER, dtype=np.int64),
    )
    return calls, list(group_codes)


def _digest(segment: str | None, error: str | None) -> int:
    return xxh3_64_intdigest(msgspec.json.encode((segment, error)))


def _floats(values: list[float | None]) -> F64:
    """A column with nan where absent."""
    if values.count(None) == len(values):
        return np.full(len(values), np.nan)
    return np.array(values, dtype=np.float64)


def _call_at(records: list[OutcomeRecord]) -> tuple[I64, Bools]:
    texts = list(map(_call_times, records))
    found, sure = np.full(len(texts), NEVER, dtype=np.int64), np.ones(len(texts), dtype=np.bool_)
    if texts.count(None) < len(texts):
        given = np.flatnonzero([text is not None for text in texts])
        found[given], sure[given] = parse_times([texts[i] for i in given.tolist()])
    return found, sure


def _statements(records: list[OutcomeRecord]) -> _Statements:
    codes: _Codes[tuple[str | None, bool | None, str]] = _Codes()
    code = np.fromiter(map(codes.__getitem__, map(_outcome_facts, records)), np.int32, len(records))
    source_codes: _Codes[str] = _Codes()
    source_of = np.array([source_codes[source or ""] for source, _, _ in codes], dtype=np.int32)
    success_of = np.array([_SUCCESS_CODES[success] for _, success, _ in codes], dtype=np.int8)
    retract_of = np.array([action == "retract" for _, _, action in codes], dtype=np.bool_)
    named_of = np.array([source is not None and source not in RESERVED_SOURCES for source, _, _ in codes], np.bool_)
    reserved_of = np.array([source in RESERVED_SOURCES for source, _, _ in codes], np.bool_)
    score = _floats(list(map(_scores, records)))
    retract, named = retract_of[code], named_of[code]
    sure = named & (retract | (success_of[code] >= 0) | ~np.isnan(score))
    for i in np.flatnonzero(retract & ~named & ~reserved_of[code]).tolist():
        sure[i] = records[i].retracts is not None
    return _Statements(source_of[code], success_of[code], score, retract, sure, list(source_codes))


def _outcome_columns(
    rows: I64, records: list[OutcomeRecord], at: I64, call_at: I64, said: _Statements, origin: _Origin
) -> Outcomes:
    return Outcomes(
        pos=rows,
        key=_keys(records),
        at=at,
        call_at=call_at,
        source=said.source,
        success=said.success,
        score=said.score,
        retract=said.retract,
        records=objects(records),
        raw=origin.raw[rows],
        partition=origin.partition[rows],
        offset=origin.offset[rows],
        wm=np.full(len(records), NEVER, dtype=np.int64),
    )
