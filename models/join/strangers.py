"""Buffers, as columns, outcomes whose call nothing in the batch or in the shard is about: those of a flood."""

from __future__ import annotations

from hashlib import sha256
from operator import attrgetter

import numpy as np

from aftercall.times import NEVER
from models.arrays import I64, Bools
from models.join.arrivals import OutcomeColumns
from models.join.dispatch import Dispatch
from models.join.identity import Identified
from models.join.shard_state import ShardState
from models.join.waiting_table import Strangers
from models.watermark import effective_minute

_reason, _scorer = attrgetter("reason"), attrgetter("scorer")


def strange(shard: ShardState, outcomes: OutcomeColumns, found: Identified, paths: Dispatch) -> Bools:
    """Which outcomes are to be buffered, and meet nothing that needs to be looked at one by one. O(n)."""
    first = len(found.keys) - len(outcomes.key)
    rules = shard.rules
    meets_nothing = paths.is_alone[first:] & (paths.outcome_rows < 0) & ~found.awaited[first:]
    meets_nothing &= ~outcomes.retract & (outcomes.author == 0)
    is_late = (outcomes.call_at != NEVER) & (outcomes.call_at + rules.longest_hold() < outcomes.wm)
    strange: Bools = meets_nothing & ~is_late
    return strange


def strangers(shard: ShardState, outcomes: OutcomeColumns, chosen: I64, partitions: list[str]) -> Strangers:
    """The `chosen` outcomes."""
    raw = outcomes.raw[chosen].tolist()
    digests = b"".join([sha256(one).digest() for one in raw])
    records, at = outcomes.records[chosen], outcomes.at[chosen]
    return Strangers(
        keys=outcomes.key[chosen],
        at=at,
        ends=shard.rules.waits_until(at, outcomes.wm[chosen], outcomes.call_at[chosen]),
        minute=effective_minute(at, outcomes.wm[chosen]),
        source=outcomes.source[chosen],
        given=outcomes.success[chosen],
        score=outcomes.score[chosen],
        partition=outcomes.partition[chosen],
        offset=outcomes.offset[chosen],
        size=np.fromiter(map(len, raw), np.int32, len(raw)),
        hash=np.frombuffer(digests, np.uint64).reshape(len(raw), 4),
        call_uuid=outcomes.call_uuid[chosen],
        uuid=outcomes.uuid[chosen],
        records=records,
        reasons=list(map(_reason, records)),
        scorers=list(map(_scorer, records)),
        sources=shard.sources,
        partitions=partitions,
    )
