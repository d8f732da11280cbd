"""Splits a batch over twelve shards by call id."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from connectors.batch import I64, Batch
from flows.dataflow.marks_of_batch import marks_of
from models.join import Arrivals, CallColumns, OutcomeColumns
from models.messages import Erasure
from models.side_messages import ToolPaths
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
    of_calls = _Shares.of(batch.calls.key)
    calls = of_calls.all_of(batch.calls, CallColumns._fields)
    outcomes = by_shard(batch.outcomes, OutcomeColumns._fields, batch.outcomes.key)
    texts, paths = (_if_any(of_calls, column) for column in (batch.text_results, batch.tool_paths))
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
                text_results=texts[i],
                tool_paths=None if paths[i] is None else ToolPaths(batch.tool_token, paths[i]),
            ),
        )
        for i, shard in enumerate(SHARDS)
    ]


class _Shares(NamedTuple):
    """In which order records lie by shard, and where each shard begins and ends in it."""

    order: I64
    bounds: I64

    @classmethod
    def of(cls, key: NDArray[np.uint64]) -> Self:
        """Those of records with these hashes."""
        # As uint8, because numpy sorts small integers stably by radix.
        shard = (key % np.uint64(len(SHARDS))).astype(np.uint8)
        order = np.argsort(shard, kind="stable")
        return cls(order, np.searchsorted(shard[order], np.arange(len(SHARDS) + 1)))

    def all_of(self, columns: Any, names: tuple[str, ...]) -> list[list[NDArray[Any]]]:
        """The columns with these names, by shard."""
        ordered = [getattr(columns, name)[self.order] for name in names]
        return [[column[start:end] for column in ordered] for start, end in pairwise(self.bounds.tolist())]


def _if_any(shares: _Shares, column: NDArray[Any] | None) -> list[Any]:
    """A column of calls that few batches have, by shard; None of each where there is none."""
    if column is None:
        return [None] * len(SHARDS)
    ordered = column[shares.order]
    return [ordered[start:end] for start, end in pairwise(shares.bounds.tolist())]


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
    return _Shares.of(key).all_of(columns, names)
