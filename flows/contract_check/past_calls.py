"""Reads past calls as a replay does, each once, with their texts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from aftercall.contracts.session_calls import are_of_one, fill
from aftercall.events import MAX_RECORD_BYTES
from aftercall.times import DAY_US, duration_us
from connectors.batch import I64, Batch
from connectors.decode.aliases import AliasSettings
from connectors.decode.decoder import Decoder
from connectors.files.index import Index, index
from flows.settings import Settings
from flows.settings.for_models import session_rules
from models.sessions import times_of

_SLICE = 4096
Group = tuple[str, str, str]


class InSession(NamedTuple):
    """A call as rules over its session read it: from its records with this session, up to when it is due."""

    at_us: int
    due_us: int
    record: dict[str, Any]


class PastCall(NamedTuple):
    """One call: where it stands, when it occurred, its plain names, and its record; None where it has no session."""

    file: str
    line: int
    at_us: int
    group: Group
    record: dict[str, Any]
    in_session: InSession | None = None


class PastCalls:
    """The calls of some files, in the order of event time; `refused` and the rest are known once all were read."""

    def __init__(self, paths: Sequence[Path], folder: Path, settings: Settings) -> None:
        """Index the files.

        Args:
            paths: `.jsonl`, `.jsonl.gz` or `.jsonl.zst`.
            folder: for what compressed files unpack to.
            settings: those of the pipeline: aliases, and how far ahead of the clock a record may be.

        Raises:
            InputError: a file cannot be read.
        """
        now_us = time.time_ns() // 1000
        skew_us = duration_us(settings.join.max_future_skew)
        names = settings.alias
        self._files: Index = index(paths, [], folder, settings.limits.unpacked, now_us + skew_us, [])
        self._decoder = Decoder(
            now_us=now_us,
            max_future_skew_us=skew_us,
            keep_payloads=True,
            aliases=AliasSettings(names.task, names.model, names.config),
            ids_as_uuids=settings.join.id_form == "uuid",
        )
        self._rules = session_rules(settings)
        self.refused: Counter[str] = Counter()
        self.completed = 0

    def __iter__(self) -> Iterator[PastCall]:
        """Each call once, when the last record of its id is read: what the later ones add is filled in."""
        left = self._repeats()
        waiting: dict[int, PastCall] = {}
        for key, call in self._records():
            if key not in left:
                yield call
                continue
            if key in waiting:
                self.completed += 1
                waiting[key] = _completed(waiting[key], call)
            else:
                waiting[key] = _apart(call)
            left[key] -= 1
            if not left[key]:
                yield waiting.pop(key)

    def _repeats(self) -> dict[int, int]:
        """How many records calls have that have several, by the hash of their id."""
        keys: list[I64] = [batch.calls.key.view(np.int64) for batch in self._batches()]
        found, count = np.unique(np.concatenate(keys) if keys else np.empty(0, np.int64), return_counts=True)
        several = count > 1
        return dict(zip(found[several].tolist(), count[several].tolist(), strict=True))

    def _records(self) -> Iterator[tuple[int, PastCall]]:
        for batch in self._batches():
            self.refused.update(refused.reason for refused in batch.refused)
            calls = batch.calls
            columns = (calls.key.view(np.int64), calls.at, calls.group, calls.partition, calls.offset)
            rows = zip(*(column.tolist() for column in columns), calls.records.tolist(), strict=True)
            for key, at_us, group, file, line, record in rows:
                names = batch.groups[group]
                fields = msgspec.structs.asdict(record) | dict(
                    zip(("task_type", "model", "config"), names, strict=True)
                )
                in_session = self._in_session(at_us, names, fields)
                yield key, PastCall(self._files.names[file], line, at_us, names, fields, in_session)

    def _in_session(self, at_us: int, group: Group, record: dict[str, Any]) -> InSession | None:
        if record.get("session_id") is None:
            return None
        closes_us = at_us + self._rules.horizon(group[0]) + self._rules.allowed_lateness_us
        return InSession(at_us, times_of(self._rules).due_us(at_us, closes_us), record)

    def _batches(self) -> Iterator[Batch]:
        files = self._files
        for start in range(0, len(files), _SLICE):
            rows = slice(start, start + _SLICE)
            file = files.file[rows]
            places = zip(file.tolist(), files.start[rows].tolist(), files.length[rows].tolist(), strict=True)
            # One byte more than is accepted tells the decoder that a record is too long.
            raws = [files.data[at][begin : begin + min(length, MAX_RECORD_BYTES + 1)] for at, begin, length in places]
            yield self._decoder.decode(raws, files.kinds[file], file, files.line[rows], files.names)


def _apart(call: PastCall) -> PastCall:
    """The first of several records: what its session sees is filled in apart."""
    seen = call.in_session
    return call if seen is None else call._replace(in_session=seen._replace(record=dict(seen.record)))


def _completed(first: PastCall, later: PastCall) -> PastCall:
    """Fill in what a later record of the call has and the first one lacks."""
    fill(first.record, later.record)
    seen, more = first.in_session, later.in_session
    if seen is None:
        return first._replace(in_session=_apart(later).in_session)
    is_seen = more is not None and more.at_us <= seen.due_us and more.at_us - seen.at_us <= DAY_US
    if is_seen and are_of_one(_identity(first.group, seen.record), _identity(later.group, later.record)):
        fill(seen.record, later.record)
    return first


def _identity(group: Group, record: dict[str, Any]) -> tuple[Any, ...]:
    """What two records of one call have in common."""
    return (group, record["session_id"], record.get("segment"), record.get("error") or 0)
