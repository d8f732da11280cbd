"""Puts what sessions say about calls among the outcomes of a batch (docs/decisions/0023, section 6).

Such a statement enters the ledger of its call without being asked for its identity. It is dropped where the call is not
held, is held under another session, or ends before it.
"""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.times import MINUTE_US
from models.arrays import I64, U32, Bools
from models.join.arrivals import Arrivals, CallColumns, OutcomeColumns, SaidOfCalls
from models.join.held_calls import fold_digest
from models.join.shard_state import ShardState

_session_id, _retracts = attrgetter("session_id"), attrgetter("retracts")


class Spoken(NamedTuple):
    """Of the outcomes of a batch: which are statements of sessions, their session as held calls have it, and `passed`.

    A call that closes at `passed` or later is still open for the statement.
    """

    made: Bools
    session: U32
    passed: I64


class Mixed(NamedTuple):
    """The records of a batch, renumbered, with the statements of sessions among its outcomes."""

    calls: CallColumns
    outcomes: OutcomeColumns
    spoken: Spoken


def mixed(shard: ShardState, arrivals: Arrivals, calls: CallColumns, outcomes: OutcomeColumns) -> Mixed:
    """Put the statements of sessions among `outcomes`, all in the order of their places. O(n log n)."""
    # Records get odd places, so that there is room behind and before each of them.
    calls, outcomes = calls._replace(pos=2 * calls.pos + 1), outcomes._replace(pos=2 * outcomes.pos + 1)
    places = _places(arrivals.made, calls, outcomes)
    columns = [_columns(shard, made, place) for made, place in zip(arrivals.made, places, strict=True)]
    said = [made.statements for made in arrivals.made]
    count, extra = len(outcomes.key), sum(len(one.key) for one in said)
    ids = [session_id for one in said for session_id in map(_session_id, one.records)]
    digests = {one: fold_digest(xxh3_64_intdigest(one.encode()) or 1) for one in set(ids)}
    spoken = Spoken(
        np.arange(count + extra) >= count,
        np.concatenate((np.zeros(count, np.uint32), np.array([digests[one] for one in ids], np.uint32))),
        np.concatenate((np.zeros(count, np.int64), *(one.passed for one in said))),
    )
    both = list(map(np.concatenate, zip(outcomes, *columns, strict=True)))
    # Those of one call have to be in the order of their places.
    order = np.argsort(both[0], kind="stable")
    ordered = Spoken(spoken.made[order], spoken.session[order], spoken.passed[order])
    return Mixed(calls, OutcomeColumns(*(column[order] for column in both)), ordered)


def _columns(shard: ShardState, made: SaidOfCalls, pos: I64) -> OutcomeColumns:
    """The statements of one session shard as outcomes."""
    said, count = made.statements, len(made.statements.key)
    named = said._replace(source=np.where(said.source < 0, len(made.sources), said.source).astype(np.int32))
    aimed = np.array([one is not None for one in map(_retracts, said.records)], np.bool_)
    bare = (said.success < 0) & np.isnan(said.score)
    bare[bare] = [record.action != "retract" for record in said.records[bare]]
    return OutcomeColumns(
        pos=pos,
        key=said.key,
        at=said.at,
        call_at=np.zeros(count, np.int64),
        source=shard.local_sources([*made.sources, ""], named.source),
        success=said.success,
        score=said.score,
        retract=said.retract | aimed,
        bare=bare,
        author=said.author,
        uuid=np.zeros((count, 2), np.uint64),
        call_uuid=said.call_uuid,
        records=said.records,
        raw=np.full(count, b"", np.object_),
        partition=np.zeros(count, np.int32),
        offset=np.zeros(count, np.int64),
        # They take effect in this minute, and not before their own.
        wm=said.minute.astype(np.int64) * MINUTE_US,
    )


def _places(parts: tuple[SaidOfCalls, ...], calls: CallColumns, outcomes: OutcomeColumns) -> list[I64]:
    """The places of statements among the records of the batch.

    One that was made on the arrival of a record comes behind it. Others come before the first record that met a
    watermark which had passed what they waited for, and, of one call, not behind one that was made after them.
    """
    pos, wm = np.concatenate((calls.pos, outcomes.pos)), np.concatenate((calls.wm, outcomes.wm))
    order = np.argsort(pos)
    pos, wm = np.append(pos[order] - 1, np.iinfo(np.int64).max), wm[order]
    found = []
    for said in (part.statements for part in parts):
        place = np.where(said.pos < 0, pos[np.searchsorted(wm, said.passed, side="right")], 2 * said.pos + 2)
        earliest: dict[str, int] = {}
        for i in reversed(range(len(place))) if (place[1:] < place[:-1]).any() else ():
            call_id = said.records[i].call_id
            place[i] = earliest[call_id] = min(place.item(i), earliest.get(call_id, place.item(i)))
        found.append(place)
    return found
