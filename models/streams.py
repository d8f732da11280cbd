"""The messages between the steps of the dataflow: columns, never single events.

Codes index the `names` of the same message. Minutes are integers since 1970 UTC, times are microseconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEVER = -(2**63)
"""Watermark before every partition has spoken; absent time."""
MINUTE_US = 60_000_000
HOUR_US = 3_600_000_000

I8 = NDArray[np.int8]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Objects = NDArray[np.object_]

Group = tuple[str, str, str]
"""(task_type, model, config)."""
AnyGroup = tuple[str, str | None, str | None]
"""A group or a roll-up: (task, model, None), (task, None, None)."""


class CellDeltas(NamedTuple):
    """Differences per (group, minute of the call's time); each row is distinct."""

    code: I32
    minute: I32
    calls: I32
    successes: I32
    failures: I32
    expired: I32
    cost_nano: I64


class LatencyDeltas(NamedTuple):
    """Calls added per (group, minute of the call's time, latency bucket of models.sketch)."""

    code: I32
    minute: I32
    bucket: I16
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


class DelayDeltas(NamedTuple):
    """Verdicts gained (+) or withdrawn (-) per (group, hour of the call, success, bucket of models.delay)."""

    code: I32
    hour: I32
    success: I8
    bucket: I16
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


class TrialDeltas(NamedTuple):
    """Differences per (group, effective minute), only ever for minutes still open.

    `trial_*`: calls whose verdict at the end of the minute is success or failure and differs from the minute before.
    `successes`, `failures`: net change of the number of calls that stand as such (may be negative).
    `calls`: calls accepted.
    """

    code: I32
    minute: I32
    trial_successes: I32
    trial_failures: I32
    successes: I32
    failures: I32
    calls: I32


class Values(NamedTuple):
    """One row per accepted call, for the numeric detectors. `key` is that of the join, so distinct; it settles ties.

    `latency_ms` and `cost_usd` are nan where absent.
    """

    code: I32
    minute: I32
    at: I64
    key: U64
    latency_ms: F64
    cost_usd: F64


class Changes(NamedTuple):
    """Join -> groups: what one batch changed in one shard, and how far that shard has seen."""

    shard: str
    watermark: int
    names: list[Group]
    cells: CellDeltas
    latencies: LatencyDeltas
    delays: DelayDeltas
    trials: TrialDeltas
    values: Values
    erased: tuple[int, ...] = ()
    """Keys of calls that nobody may remember any more."""


class Erasure(NamedTuple):
    """Split -> join: what one shard is to forget on behalf of a request, as (key, call_id); see `models.erasure`."""

    request: str
    shard: str
    calls: tuple[tuple[int, str], ...]


class Erased(NamedTuple):
    """Join -> sinks: these calls are gone from a shard. `held`, `waiting`: how many calls and early outcomes it had."""

    request: str
    call_ids: tuple[str, ...]
    held: int
    waiting: int


class Closed(NamedTuple):
    """Groups -> drift -> routing: all that happened in minutes that have closed since the last message.

    Every minute < `through` is closed. `trials` is sorted by (minute, names[code]), `values` by (minute, at, key).
    """

    through: int
    names: list[Group]
    trials: TrialDeltas
    values: Values
