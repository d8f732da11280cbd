"""Decodes records, as they were read, into columns: the hot path of every lane.

It has two tiers. msgspec decodes and checks nearly every record; a record that msgspec rejects, also when put right
(`connectors.decode.repair`), goes to pydantic (`connectors.decode.validation`), which decides. The fast tier never
accepts what pydantic refuses, nor gives other values: `tests/connectors/decode/test_decoder_equals_pydantic.py`
compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from aftercall.events import MAX_RECORD_BYTES, AgentCall
from aftercall.times import NEVER, format_time
from connectors.batch import (
    I32,
    I64,
    NO_SESSION_OUTCOMES,
    U64,
    Batch,
    Bools,
    Calls,
    Objects,
    Outcomes,
    Refused,
    SessionOutcomes,
    objects,
)
from connectors.decode.aliases import AliasSettings
from connectors.decode.contents import forget_payloads
from connectors.decode.fields import CallFields, CallValues, OutcomeFields
from connectors.decode.labels import LeftOut, Lost, left_out_of
from connectors.decode.marks import read_marks
from connectors.decode.renaming import Group, Renamer, rename
from connectors.decode.repair import repaired
from connectors.decode.scales import off_scale
from connectors.decode.structs import CallRecord, OutcomeRecord, call_record, outcome_record
from connectors.decode.text_keeper import TextKeeper
from connectors.decode.tool_codes import ToolCodes
from connectors.decode.uuids import spell
from connectors.decode.validation import CALL, MARK, OUTCOME, Refusal, examine

if TYPE_CHECKING:  # it loads all kinds of rules, .1 s of processor time that only contracts are worth
    from connectors.decode.contract_texts import ContractTexts

__all__ = ["CALL", "MARK", "OUTCOME", "Decoder"]

_PIECE: Final = 2048
"""Records decoded at a time: they stay in the processor's cache until their last field is read; 50,000 do not."""

_IDS: Final = {CALL: ("call_id", "parent_call_id"), OUTCOME: ("call_id", "outcome_id", "retracts")}
"""The ids that name calls and outcomes."""


class Decoder:
    """Decodes batches of records; no result depends on an earlier batch."""

    def __init__(
        self,
        *,
        now_us: Callable[[], int] | int,
        max_future_skew_us: int,
        keep_payloads: bool = False,
        aliases: AliasSettings | None = None,
        ids_as_uuids: bool = False,
        score_bounds: Mapping[str, tuple[float, float] | None] | None = None,
        texts: TextKeeper | None = None,
        contracts: ContractTexts | None = None,
        number_tools: bool = False,
    ) -> None:
        """Prepare a decoder.

        Args:
            now_us: wall clock, us since 1970 UTC, or a function that returns it (called once per batch).
            max_future_skew_us: how far ahead of it a record may be; one further ahead is refused as `future`.
            keep_payloads: keep `input` and `output` of calls in their records; otherwise they are checked and dropped.
            aliases: names that count as others; absent: none.
            ids_as_uuids: ids of calls and outcomes that are UUIDs in another spelling are read as UUIDs.
            score_bounds: of sources with settings for scores, the least and the greatest score where these name them.
            texts: decides which of the `input` and `output` that stay are kept, and how.
            contracts: judge texts before these are dropped; absent: no rule looks into texts.
            number_tools: give what calls did with their tools numbers, as rules look at it.
        """
        self._now_us = now_us if callable(now_us) else lambda: now_us
        self._max_future_skew_us = max_future_skew_us
        self._keep_payloads, self._texts = keep_payloads or texts is not None, texts
        self._contracts, self._tools = contracts, ToolCodes() if number_tools else None
        self._read_payloads = self._keep_payloads or contracts is not None
        self._ids_as_uuids = ids_as_uuids
        self._score_bounds = score_bounds or {}
        self._renamer = Renamer(aliases or AliasSettings())
        # Kept until the next batch, so that records are released in the order in which they were created: the shards
        # would release them in theirs, and the next batch would lie scattered in memory (0.6 us a record dearer).
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
            kinds: per record `CALL`, `OUTCOME` or `MARK`.
            partition: per record, an index into `partitions`.
            offset: per record, its place in its partition.
            partitions: names of the lane's partitions, copied into the batch.

        Returns:
            The batch; its `wm` columns are `NEVER`, `low`, `high` and `marks` are left to the lane. About 1 us per
            record of 230 bytes.
        """
        self._spent = ()
        latest = self._now_us() + self._max_future_skew_us
        seen = _Seen({}, {})
        origin = _Origin(np.asarray(partition, dtype=np.int32), np.asarray(offset, dtype=np.int64))
        if self._tools is not None:
            self._tools.renew()
        calls, groups, text_results, paths = self._calls(raws, np.flatnonzero(kinds == CALL), origin, latest, seen)
        everything, session, sources = self._outcomes(raws, np.flatnonzero(kinds == OUTCOME), origin, latest, seen)
        self._spent = (calls.records, everything.records)
        outcomes, said = _apart(everything, session)
        marks = np.flatnonzero(kinds == MARK).tolist()
        deployed, unreadable = read_marks(raws, marks, origin, latest, self._renamer.task) if marks else ([], {})
        seen.refusals.update(unreadable)
        refused = [
            Refused(reason, detail, int(partition[row]), int(offset[row]), raws[row])
            for row, (reason, detail) in sorted(seen.refusals.items())
        ]
        warnings = left_out_of(seen.left_out, seen.refusals) if seen.left_out else []
        warnings += off_scale(everything, sources, self._score_bounds)
        batch = Batch(calls, outcomes, refused, groups, sources, list(partitions), len(raws), warnings=warnings)
        batch.said, batch.deployed, batch.text_results = said, deployed, text_results
        if self._tools is not None:
            batch.tool_paths, batch.tool_token = paths, self._tools.token
        return batch

    def _calls(
        self, raws: list[bytes], rows: I64, origin: _Origin, latest: int, seen: _Seen
    ) -> tuple[Calls, list[tuple[str, str, str]], Objects | None, I64]:
        fields = self._call_fields()
        read = self._read(raws, rows, CALL, fields, seen)
        columns = fields.values()
        keep = _settle(raws, read.rows, CALL, columns.at, columns.sure, latest, seen.refusals)
        if not keep.all():
            # Read again, so that no refused record leaves its group behind.
            fields, read = self._call_fields(), read.where(keep)
            fields.add(read.records.tolist())
            # The payloads are gone by now, but the calls had them.
            columns = fields.values()._replace(filled=columns.filled[keep])
        for i in np.flatnonzero(columns.renamed).tolist():
            rename(read.records[i], fields.names[columns.group[i]])
        if columns.tried.any():
            self._renamer.alias_attempts(read.records, columns.tried)
        judged = self._judged(read.records, columns, fields.names)
        if self._texts is not None:
            self._texts.apply(read.records, columns.key)
        calls = Calls(
            pos=read.rows,
            key=columns.key,
            at=columns.at,
            group=columns.group,
            digest=columns.digest,
            names=columns.names,
            segment=columns.segment,
            session=columns.session,
            session_key=columns.session_key,
            unit=columns.unit,
            error=columns.error,
            filled=columns.filled,
            uuid=columns.uuid,
            failed=columns.failed,
            latency_ms=columns.latency_ms,
            cost_nano=columns.cost_nano,
            tokens=columns.tokens,
            tokens_out=columns.tokens_out,
            facets=columns.facets,
            records=read.records,
            raw=read.raw,
            partition=origin.partition[read.rows],
            offset=origin.offset[read.rows],
            wm=np.full(len(read.rows), NEVER, dtype=np.int64),
        )
        return calls, fields.names, judged, columns.path

    def _call_fields(self) -> CallFields:
        return CallFields(self._renamer, keep_payloads=self._read_payloads, tools=self._tools)

    def _judged(self, records: Objects, columns: CallValues, names: list[Group]) -> Objects | None:
        """What contracts find in the texts of calls, which are dropped then unless they are kept."""
        if self._contracts is None:
            return None
        found = self._contracts.results(records, columns.group, names, columns.at)
        if not self._keep_payloads:
            forget_payloads(records.tolist(), columns.filled)
        return found

    def _outcomes(
        self, raws: list[bytes], rows: I64, origin: _Origin, latest: int, seen: _Seen
    ) -> tuple[Outcomes, U64, list[str]]:
        fields = OutcomeFields()
        read = self._read(raws, rows, OUTCOME, fields, seen)
        columns = fields.values()
        keep = _settle(raws, read.rows, OUTCOME, columns.at, columns.sure, latest, seen.refusals)
        if not keep.all():
            fields, read = OutcomeFields(), read.where(keep)
            fields.add(read.records.tolist())
            columns = fields.values()
        outcomes = Outcomes(
            pos=read.rows,
            key=columns.key,
            at=columns.at,
            call_at=columns.call_at,
            source=columns.source,
            success=columns.success,
            score=columns.score,
            retract=columns.retract,
            bare=columns.bare,
            author=columns.author,
            uuid=columns.uuid,
            call_uuid=columns.call_uuid,
            records=read.records,
            raw=read.raw,
            partition=origin.partition[read.rows],
            offset=origin.offset[read.rows],
            wm=np.full(len(read.rows), NEVER, dtype=np.int64),
        )
        return outcomes, columns.session, fields.names

    def _read(self, raws: list[bytes], rows: I64, kind: int, fields: CallFields | OutcomeFields, seen: _Seen) -> _Read:
        """Decode the records of one kind piece by piece, and add each piece to `fields`."""
        read = _Read(rows, np.empty(len(rows), np.object_), np.empty(len(rows), np.object_))
        accepted = np.ones(len(rows), dtype=np.bool_)
        for start in range(0, max(len(rows), 1), _PIECE):
            piece = slice(start, start + _PIECE)
            piece_raws = list(map(raws.__getitem__, rows[piece].tolist()))
            records, keep = self._records(piece_raws, rows[piece], kind, seen)
            kept = records if keep.all() else list(compress(records, keep.tolist()))
            if self._ids_as_uuids:
                spell(kept, _IDS[kind])
            fields.add(kept)
            read.records[piece], read.raw[piece], accepted[piece] = objects(records), objects(piece_raws), keep
        return read if accepted.all() else read.where(accepted)

    def _records(self, raws: list[bytes], rows: I64, kind: int, seen: _Seen) -> tuple[list[Any], Bools]:
        """Structs, and which records have one: pydantic decides on those that msgspec rejects."""
        records, doubtful = _decode_fast(self._decode[kind], raws)
        keep = np.ones(len(rows), dtype=np.bool_)
        for i in doubtful:
            lost: list[Lost] = []
            records[i] = repaired(raws[i], kind, lost) if len(raws[i]) <= MAX_RECORD_BYTES else None
            if records[i] is not None:
                if lost:
                    seen.left_out[int(rows[i])] = kind, records[i].occurred_at, lost
                continue
            verdict = examine(raws[i], kind, lost)
            if isinstance(verdict, Refusal):
                seen.refusals[int(rows[i])] = verdict
                keep[i] = False
                continue
            records[i] = call_record(verdict) if isinstance(verdict, AgentCall) else outcome_record(verdict)
            if lost:
                seen.left_out[int(rows[i])] = kind, verdict.occurred_at, lost
        return records, keep


class _Origin(NamedTuple):
    """Where each record of the batch came from."""

    partition: I32
    offset: I64


class _Seen(NamedTuple):
    """What is noted while records are decoded, by place in the batch."""

    refusals: dict[int, Refusal]
    left_out: LeftOut


class _Read(NamedTuple):
    """Records of one kind: their places in the batch, their structs and bytes."""

    rows: I64
    records: Objects
    raw: Objects

    def where(self, keep: Bools) -> _Read:
        """The records that a mask selects."""
        return _Read(self.rows[keep], self.records[keep], self.raw[keep])


def _apart(outcomes: Outcomes, session: U64) -> tuple[Outcomes, SessionOutcomes]:
    """Outcomes of calls, and those of sessions, whose hash is not 0."""
    is_said = session != 0
    if not is_said.any():
        return outcomes, NO_SESSION_OUTCOMES
    names = (name for name in SessionOutcomes._fields if name != "session")
    said = SessionOutcomes(session=session[is_said], **{name: getattr(outcomes, name)[is_said] for name in names})
    return Outcomes(*(column[~is_said] for column in outcomes)), said


def _decode_fast(decode: Callable[[bytes], Any], raws: list[bytes]) -> tuple[list[Any], list[int]]:
    """The struct of each record, `None` where msgspec rejects it; and the indices that pydantic must examine."""
    doubtful: list[int] = []
    records: list[Any] = []
    structs = map(decode, raws)
    while True:
        try:
            records.extend(structs)  # keeps those before an error, so that the next round resumes after it
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
    """Which records are accepted; the others get a refusal: pydantic's where `sure` is false, else `future`."""
    keep = sure & (at <= latest)
    for i in np.flatnonzero(~keep).tolist():
        row = int(rows[i])
        verdict = None if sure[i] else examine(raws[row], kind)
        refusals[row] = verdict if isinstance(verdict, Refusal) else _future(int(at[i]), latest)
    return keep


def _future(at: int, latest: int) -> Refusal:
    return Refusal("future", f"field 'occurred_at' is later than {format_time(latest)}; got {format_time(at)}")
