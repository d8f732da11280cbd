"""Runs aftercall's own steps from bytes to rates, without the sinks for JSON and snapshot.

The steps are lane (decode) -> split -> join per shard -> groups -> rate cells, all through Bytewax and with the state
that recovery would request. The lane computes the watermark of every record as lanes over two topics do.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from typing_extensions import override

from aftercall.times import NEVER
from benchmarks.in_memory import CountingSink
from benchmarks.traffic import CALL, OUTCOME, Traffic
from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from flows.dataflow.shards import split
from flows.dataflow.steps import groups_step, join_step
from flows.dataflow.stored_state import Keeping
from models import plain
from models.groups import Caps, Grouped
from models.join import JoinRules
from models.rates import RateCells
from models.state import Envelopes

BATCH = 50_000
"""Records per batch of a lane that is never idle."""
TOPICS = ["agent.calls/0", "agent.outcomes/0"]
_SKEW_US = 300_000_000


class Lane:
    """Decodes batches and keeps the clocks of both topics; a record's watermark is the smaller clock before it."""

    def __init__(self) -> None:
        self._decoder = Decoder(now_us=time.time_ns() // 1000 + 10 * 365 * 86_400_000_000, max_future_skew_us=_SKEW_US)
        self._clocks = np.full(len(TOPICS), NEVER, np.int64)
        self._offset = 0

    def read(self, part: Traffic) -> Batch:
        """The next records as columns."""
        count = len(part.raws)
        offset = np.arange(self._offset, self._offset + count, dtype=np.int64)
        self._offset += count
        batch = self._decoder.decode(part.raws, part.kinds, part.kinds.astype(np.int32), offset, TOPICS)
        before = []
        times = batch.times()
        for kind in (CALL, OUTCOME):
            at = np.full(count + 1, self._clocks[kind], np.int64)
            at[1:][part.kinds == kind] = times[part.kinds == kind]
            clock = np.maximum.accumulate(np.maximum(at, self._clocks[kind]))
            self._clocks[kind] = clock[-1]
            before.append(clock[:-1])
        watermark = np.minimum(*before)
        batch.met(watermark)
        batch.low, batch.high = int(self._clocks.min()), int(self._clocks.max())
        return batch


class Lanes(FixedPartitionedSource[Batch, int]):
    """One lane over both topics."""

    def __init__(self, traffic: Traffic, batch: int) -> None:
        self._traffic = traffic
        self._batch = batch

    @override
    def list_parts(self) -> list[str]:
        return ["lane"]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> StatefulSourcePartition[Batch, int]:
        return _LanePart(self._traffic, self._batch)


class _LanePart(StatefulSourcePartition[Batch, int]):
    def __init__(self, traffic: Traffic, batch: int) -> None:
        self._parts = cut(traffic, batch)
        self._lane = Lane()

    @override
    def next_batch(self) -> list[Batch]:
        return [self._lane.read(next(self._parts))]

    @override
    def snapshot(self) -> int:
        return 0


class _Cells(StatefulBatchLogic[Any, Any, bytes]):
    """Applies differences to the rate cells, as the snapshot sink does before it writes."""

    def __init__(self, cells: RateCells) -> None:
        self._cells = cells

    @override
    def on_batch(self, values: list[Grouped]) -> tuple[Iterable[RateCells], bool]:
        for grouped in values:
            self._cells.apply(grouped.names, grouped.cells, grouped.latencies, grouped.delays)
        return (), StatefulBatchLogic.RETAIN

    @override
    def snapshot(self) -> bytes:
        return plain.pack(self._cells.state())


def cut(traffic: Traffic, batch: int) -> Iterator[Traffic]:
    """`batch` records at a time."""
    for start in range(0, len(traffic.raws), batch):
        yield Traffic(traffic.raws[start : start + batch], traffic.kinds[start : start + batch])


def flow(traffic: Traffic, cells: RateCells, batch: int = BATCH) -> Dataflow:
    """Build the dataflow: bytes in, rates in `cells`."""
    flow = Dataflow("columnar")
    batches = op.input("lanes", flow, Lanes(traffic, batch))
    arrivals = op.flat_map("split", batches, split)
    joined = op.stateful_batch("join", arrivals, join_step(JoinRules(), Keeping(Envelopes())))
    changes = op.map("to_groups", joined, lambda item: ("groups", item[1].changes))
    grouped = op.stateful_batch("groups", changes, groups_step(Caps(100_000, 2_000, 1_000), Keeping(Envelopes())))
    counted = op.stateful_batch("cells", grouped, lambda _: _Cells(cells))
    op.output("out", counted, CountingSink())
    return flow
