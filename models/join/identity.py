"""Decides which records are about the same call: those with the same id, not those whose ids have the same hash.

Records come with the hash of their call's id as its key. Wherever a key meets one that is there already, in the batch,
among the held calls or among those that outcomes wait for, the ids are compared; an id that is not that of the key's
call gets a key of its own (`models.join.homonyms`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import I32, I64, U64, Bools
from models.join.arrivals import CallColumns, OutcomeColumns
from models.join.early_outcomes import EarlyOutcomes
from models.join.shard_state import ShardState


class Identified(NamedTuple):
    """The records of a batch by their calls, calls first and then outcomes.

    Attributes:
        keys: of the call of each record.
        order: sorts `keys`.
        rows: of the held call with each key, -1 if none is held.
        awaited: per record, whether no call is held and outcomes wait for it.
    """

    keys: U64
    order: I64
    rows: I32
    awaited: Bools


def identify(shard: ShardState, early: EarlyOutcomes, calls: CallColumns, outcomes: OutcomeColumns) -> Identified:
    """Find out which calls the records of a batch are about. O(n log n) for n records."""
    batch = _Ids(calls, outcomes)
    found = _looked_up(shard, early, np.concatenate((calls.key, outcomes.key)))
    doubtful = _doubtful(shard, early, batch, found)
    if not len(doubtful):
        return found
    return _looked_up(shard, early, _resolved(shard, early, batch, found.keys, doubtful))


def key_of(shard: ShardState, early: EarlyOutcomes, call_id: str, hash_: int) -> int | None:
    """The key of a call that is held or waited for; None if there is none of this id."""
    key = shard.homonyms.key(call_id)
    if key is not None:
        return key
    owner = _owner(shard, early, hash_)
    return hash_ if owner is None or owner == call_id else None


class _Ids:
    """The ids of a batch, by record."""

    def __init__(self, calls: CallColumns, outcomes: OutcomeColumns) -> None:
        self._calls, self._outcomes, self._count = calls.records, outcomes.records, len(calls.key)
        self.words = np.concatenate((calls.uuid, outcomes.call_uuid))
        self.pos = np.concatenate((calls.pos, outcomes.pos))

    def text(self, record: int) -> str:
        """The id of a record."""
        calls = self._count
        call_id: str = (self._calls[record] if record < calls else self._outcomes[record - calls]).call_id
        return call_id

    def differ(self, one: I64, other: I64) -> Bools:
        """Which records have other ids than those beside them."""
        ours, theirs = self.words[one], self.words[other]
        differ: Bools = (ours != theirs).any(axis=1)
        (unknown,) = (((ours[:, 0] | ours[:, 1]) == 0) | ((theirs[:, 0] | theirs[:, 1]) == 0)).nonzero()
        pairs = zip(one[unknown].tolist(), other[unknown].tolist(), strict=True)
        differ[unknown] = [self.text(i) != self.text(j) for i, j in pairs]
        return differ


def _looked_up(shard: ShardState, early: EarlyOutcomes, keys: U64) -> Identified:
    rows = shard.held.index.find(keys)
    awaited = np.zeros(len(keys), np.bool_)
    if len(early):
        (free,) = (rows < 0).nonzero()
        awaited[free] = early.find(keys[free]) >= 0
    return Identified(keys, np.argsort(keys), rows, awaited)


def _doubtful(shard: ShardState, early: EarlyOutcomes, batch: _Ids, found: Identified) -> I64:
    """The records whose key may not be that of their call; nearly always none."""
    keys, order, rows, awaited = found
    (twin,) = (keys[order[1:]] == keys[order[:-1]]).nonzero()
    one, other = order[twin], order[twin + 1]
    wrong = [keys[one[batch.differ(one, other)]]]

    (held,) = (rows >= 0).nonzero()
    ids = shard.held.calls.ids
    same = ids.same(rows[held], batch.words[held], lambda i: batch.text(held.item(i)))
    (other_id,) = (~same).nonzero()
    other_id = other_id[ids.known(rows[held[other_id]])]
    wrong.append(keys[held[other_id]])

    (waited,) = awaited.nonzero()
    same = early.are_for(early.find(keys[waited]), batch.words[waited], lambda i: batch.text(waited.item(i)))
    wrong.append(keys[waited[~same]])

    doubtful = np.isin(keys, np.concatenate(wrong)) if any(map(len, wrong)) else np.zeros(len(keys), np.bool_)
    return np.flatnonzero(doubtful | shard.homonyms.concern(keys))


def _resolved(shard: ShardState, early: EarlyOutcomes, batch: _Ids, keys: U64, doubtful: I64) -> U64:
    """The keys of all records: of the `doubtful` ones one by one, in reading order."""
    keys, homonyms, taken = keys.copy(), shard.homonyms, set(keys.tolist())
    owners: dict[int, str] = {}

    def is_taken(key: int) -> bool:
        return key in taken or _is_there(shard, early, key)

    for i in doubtful[np.argsort(batch.pos[doubtful])].tolist():
        call_id, key = batch.text(i), keys.item(i)
        own = homonyms.key(call_id)
        if own is None:
            owner = owners.get(key) or _owner(shard, early, key)
            if owner is None or owner == call_id:
                owners[key] = call_id
                continue
            own = homonyms.add(call_id, key, is_taken)
        keys[i] = own
    return keys


def _owner(shard: ShardState, early: EarlyOutcomes, key: int) -> str | None:
    """The id of the call that has a key; None if none has, or if its id is not kept."""
    keys = np.array([key], np.uint64)
    row = shard.held.index.find(keys)
    if row[0] >= 0:
        ids = shard.held.calls.ids
        return ids.get(row.item(0)) if ids.known(row)[0] else None
    return early.call_id(key) or shard.homonyms.owner(key)


def _is_there(shard: ShardState, early: EarlyOutcomes, key: int) -> bool:
    keys = np.array([key], np.uint64)
    return bool(shard.held.index.find(keys)[0] >= 0 or early.find(keys)[0] >= 0)
