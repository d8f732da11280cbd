"""Splits what is about sessions over twelve shards by session id, and their answers over the shards of the join."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from aftercall.times import MINUTE_US, NEVER
from connectors.batch import NO_SESSION_OUTCOMES, Batch, Calls
from flows.dataflow.shards import SHARDS, by_shard, clock_of
from models.join import Answer, SaidOfCalls, SessionStatements
from models.sessions import JudgedInSession, Resolving, SessionCalls, SessionErasure, SessionOutcomes, SessionPart
from models.side_messages import SessionCheck

_COUNT: Final = len(SHARDS)


def to_sessions(batch: Batch) -> list[tuple[str, SessionPart | SessionErasure]]:
    """A batch, split over the shards of sessions, followed by what each of them must erase."""
    return [*_parts(batch), *_erasures(batch)]


def _parts(batch: Batch) -> list[tuple[str, SessionPart]]:
    """One part per shard, also where it is empty: the join waits for the answer. No message for a heartbeat."""
    if not batch.news:
        return []
    clock, tasks, passed = clock_of(batch), [group[0] for group in batch.groups], _passed(batch)
    calls, outcomes = _calls(batch.calls), _outcomes(batch)
    return [
        (
            shard,
            SessionPart(
                shard,
                batch.lane,
                batch.lanes,
                clock,
                batch.ended,
                tasks,
                batch.partitions,
                batch.sources,
                calls[i],
                outcomes[i],
                passed,
                batch.groups,
            ),
        )
        for i, shard in enumerate(SHARDS)
    ]


def _calls(calls: Calls) -> list[SessionCalls]:
    (chosen,) = calls.session_key.nonzero()
    if not len(chosen):
        return _NO_CALLS
    columns = SessionCalls(
        pos=calls.pos[chosen],
        session=calls.session_key[chosen],
        key=calls.key[chosen],
        at=calls.at[chosen],
        task=calls.group[chosen],
        uuid=calls.uuid[chosen],
        records=calls.records[chosen],
        wm=calls.wm[chosen],
    )
    return [SessionCalls(*parts) for parts in by_shard(columns, SessionCalls._fields, columns.session)]


def _outcomes(batch: Batch) -> list[SessionOutcomes]:
    if not len(batch.said.pos):
        return _NO_OUTCOMES
    unnamed = np.array([not source for source in batch.sources], np.bool_)[batch.said.source]
    said = batch.said._replace(source=np.where(unnamed, np.int32(-1), batch.said.source))
    return [SessionOutcomes(*parts) for parts in by_shard(said, SessionOutcomes._fields, said.session)]


def _passed(batch: Batch) -> NDArray[np.int64]:
    """Of the watermarks before the batch's records the greatest in each minute, ascending."""
    last = []
    for some in (batch.calls, batch.outcomes, batch.said):
        # They never fall.
        minute = some.wm // MINUTE_US
        last.append(some.wm[np.append(minute[1:] != minute[:-1], np.True_)] if len(minute) else some.wm)
    met = np.unique(np.concatenate(last))
    passed: NDArray[np.int64] = met[met != NEVER]
    return passed


def _erasures(batch: Batch) -> list[tuple[str, SessionErasure]]:
    """Calls are looked for in every shard: which sessions they are of is not known here."""
    erasures = []
    for request, call_ids, session_ids in batch.erase:
        calls = tuple((xxh3_64_intdigest(call_id.encode()), call_id) for call_id in call_ids)
        by_place: list[list[tuple[int, str]]] = [[] for _ in SHARDS]
        for session_id in session_ids:
            hash_ = xxh3_64_intdigest(session_id.encode()) or 1
            by_place[hash_ % _COUNT].append((hash_, session_id))
        erasures += [
            (shard, SessionErasure(request, shard, tuple(sessions), calls))
            for shard, sessions in zip(SHARDS, by_place, strict=True)
        ]
    return erasures


def to_join(item: tuple[str, Resolving]) -> list[tuple[str, Answer]]:
    """The answer of one session shard to a batch, for each shard of the join."""
    lane, number, taken, resolved, *_ = item[1]
    if not number:
        return []
    checks = _checks(item[1].checks)
    if resolved is None or not resolved.statements:
        return [(shard, Answer(shard, lane, number, taken, None, checks[i])) for i, shard in enumerate(SHARDS)]
    columns = resolved.columns
    records = np.fromiter(resolved.statements, np.object_, len(resolved.statements))
    made = SessionStatements(**columns._asdict(), records=records)
    parts = by_shard(made, SessionStatements._fields, made.key)
    said = [SaidOfCalls(resolved.sources, SessionStatements(*part)) for part in parts]
    return [(shard, Answer(shard, lane, number, taken, said[i], checks[i])) for i, shard in enumerate(SHARDS)]


def _checks(judged: Sequence[JudgedInSession]) -> list[tuple[SessionCheck, ...]]:
    if not judged:
        return _NO_CHECKS
    by_place: list[list[SessionCheck]] = [[] for _ in SHARDS]
    for one in judged:
        by_place[one.key % _COUNT].append(SessionCheck(*one))
    return [tuple(some) for some in by_place]


_I64, _U64 = np.zeros(0, np.int64), np.zeros(0, np.uint64)
_NO_CALLS: Final = [
    SessionCalls(_I64, _U64, _U64, _I64, np.zeros(0, np.int32), np.zeros((0, 2), np.uint64), np.zeros(0, object), _I64)
    for _ in SHARDS
]
_NO_OUTCOMES: Final = [SessionOutcomes(*NO_SESSION_OUTCOMES) for _ in SHARDS]
_NO_CHECKS: Final[list[tuple[SessionCheck, ...]]] = [() for _ in SHARDS]
