"""Splits a batch over twelve shards by call id."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from connectors.batch import Batch
from flows.dataflow.marks_of_batch import marks_of
from models.join import Arrivals, CallColumns, OutcomeColumns
from models.messages import Erasure
from models.watermark import LaneClock

SHARDS = ("s8", "s0", "s18", "s1", "s5", "s10", "s2", "s7", "s4", "s6", "s9", "s25")
"""Keys of the join step. Bytewax sends a key to worker SipHash-1-3(key) % workers: these names are chosen so that
they spread evenly over 1, 2, 3, 4, 6 and 12 workers. They are part of the stored state: never change them."""


def to_shards(batch: Batch) -> list[tuple[str, Arrivals | Erasure]]:
    """A batch, split over the shards, followed by the calls that each shard must erase."""
    return [*split(batch), *_erasures(batch)]


def clock_of(batch: Batch) -> LaneClock:
    """The clock of a batch's lane."""
    return LaneClock(batch.low, batch.high, batch.idle, batch.calls_low, batch.calls_high)


def split(batch: Batch) -> list[tuple[str, Arrivals]]:
    """One `Arrivals` per shard, also where it is empty: each carries the lane's clock. No message for a heartbeat."""
    if not batch.news:
        return []
    clock, marks = clock_of(batch), marks_of(batch)
    calls = by_shard(batch.calls, CallColumns._fields, batch.calls.key)
    outcomes = by_shard(batch.outcomes, OutcomeColumns._fields, batch.outcomes.key)
    return [
        (
            shard,
            Arrivals(
                shard=shard,
                lane=batch.lane,
                lanes=batch.lanes,
                clock=clock,
                last=batch.last,
                groups=batch.groups,
                sources=batch.sources,
                partitions=batch.partitions,
                calls=CallColumns(*calls[i]),
                outcomes=OutcomeColumns(*outcomes[i]),
                # Marks of one id are of one partition; all of a lane take one way, so that they keep their order.
                marks=marks if i == 0 else (),
            ),
        )
        for i, shard in enumerate(SHARDS)
    ]


def _erasures(batch: Batch) -> list[tuple[str, Erasure]]:
    erasures = []
    for request, call_ids, _ in batch.erase:
        of_shards = dict[str, list[tuple[int, str]]]()
        for call_id in call_ids:
            key = xxh3_64_intdigest(call_id.encode())
            of_shards.setdefault(SHARDS[key % len(SHARDS)], []).append((key, call_id))
        erasures += [(shard, Erasure(request, shard, tuple(calls), batch.lane)) for shard, calls in of_shards.items()]
    return erasures


def by_shard(columns: Any, names: tuple[str, ...], key: NDArray[np.uint64]) -> list[list[NDArray[Any]]]:
    """The columns with these names, by shard."""
    # As uint8, because numpy sorts small integers stably by radix.
    shard = (key % np.uint64(len(SHARDS))).astype(np.uint8)
    order = np.argsort(shard, kind="stable")
    bounds = np.searchsorted(shard[order], np.arange(len(SHARDS) + 1))
    ordered = [getattr(columns, name)[order] for name in names]
    return [[column[bounds[i] : bounds[i + 1]] for column in ordered] for i in range(len(SHARDS))]
