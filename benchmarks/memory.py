"""Measures the resident memory of the join's shards per held call, without records."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.columnar import Lane
from benchmarks.traffic import Traffic, held_calls
from flows.dataflow.shards import SHARDS, split
from models.join import Join, JoinRules

CALLS = 1_000_000
BATCH = 10_000


def bytes_per_held_call(calls: int = CALLS) -> dict[str, float]:
    """Hold `calls` calls, every second one with one statement, and measure the growth of the process per call.

    Records are generated, decoded, joined and dropped a batch at a time. A second join holds a third as many calls
    throughout, so that modules, buffers and the memory that the allocator keeps for records exist before the
    measurement: without held calls, the allocator returns a random part of that memory to the system.
    """
    others = _hold(calls // 3)
    before = _resident()
    joins = _hold(calls)
    after = _resident()
    del others
    held = sum(len(join.shard.held) for join in joins.values())
    if held != calls:
        raise RuntimeError(
            f"benchmarks.memory: all of {calls} calls must be held; got {held} (correct benchmarks/memory.py)"
        )
    return {"held": held, "bytes": after - before, "per_call": (after - before) / held}


def _hold(calls: int) -> dict[str, Join]:
    lane, nothing = Lane(), Traffic([], np.zeros(0, np.uint8))
    joins = {shard: Join(JoinRules()) for shard in SHARDS}
    # An empty batch comes last, so that no shard still refers to the last records, which must not be measured.
    for part in chain(held_calls(calls, BATCH), [nothing]):
        for shard, arrivals in split(lane.read(part)):
            joins[shard].process(arrivals)
    return joins


def _resident() -> int:
    """Resident memory in bytes, after free memory was returned to the system."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
