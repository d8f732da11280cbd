"""Estimates the memory, disk and resume time that held calls take.

A call is held for its horizon and the allowed lateness. By Little's law (J. D. C. Little, Operations Research 9, 1961,
L = lambda W) the mean number of held calls is the mean rate of calls times that span, however irregular the traffic is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

BYTES_PER_HELD_CALL: Final = 112
"""Bytes of memory, where every second call has a statement: `bytes_per_held_call` of benchmarks/results/engine.json.
Calls with several statements, an `error` or a `reason` take more; a `session_id` or a `parent_call_id` 8 bytes."""

STATE_BYTES_PER_HELD_CALL: Final = 90
"""Bytes of stored state per held call in a base, which has each call once."""

BASES_BEFORE_COMPACTION: Final = 2
"""The largest size of the stored state, in bases: the base, and as many bytes of changes until they are compacted."""

CHANGES_PER_CALL: Final = 2
"""How often a call is stored as a change: when it arrives, and with a statement."""

RESUME_S_PER_MILLION: Final = 0.6
"""Seconds in which one process reads the stored state of a million held calls, without the start of the process: by how
much `resume_s` of benchmarks/results/product.json grows with them."""


@dataclass(frozen=True, slots=True)
class HorizonSize:
    """What all calls would take if they had this horizon; over all processes."""

    horizon: timedelta
    task_types: tuple[str, ...]
    """The task types whose own horizon this is, sorted."""

    default: bool
    """Whether this is the horizon of all other task types."""

    calls_held: float
    memory_bytes: float
    state_bytes: float
    """Of the stored state just after a compaction."""

    state_bytes_at_most: float
    """Of the stored state just before a compaction."""

    resume_s: float
    """Seconds until the state is read."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What the configured horizons take at a rate of calls."""

    calls_per_second: float
    """Mean over time, of all task types together."""

    horizons: tuple[HorizonSize, ...]
    """One per distinct horizon, the longest first; the mix of task types, and so their sum, is not known."""

    epoch: timedelta
    epoch_bytes: float
    """Bytes of changes that are stored at the end of each epoch, whatever the horizon."""


def sizing(
    calls_per_second: float,
    *,
    horizon: timedelta,
    task_horizons: Mapping[str, timedelta],
    allowed_lateness: timedelta,
    epoch: timedelta,
) -> Sizing:
    """Estimate what held calls take.

    Args:
        calls_per_second: finite, above 0; the mean over all task types.
        horizon: of task types without their own.
        task_horizons: the horizons of task types that have their own.
        allowed_lateness: how long calls are held beyond their horizon.
        epoch: the time between two writes of the state.

    >>> month = sizing(10, horizon=timedelta(days=30), task_horizons={}, allowed_lateness=timedelta(hours=1),
    ...                epoch=timedelta(seconds=10))
    >>> month.horizons[0].calls_held, month.epoch_bytes
    (25956000.0, 18000.0)
    """
    tasks_by_horizon = defaultdict[timedelta, list[str]](list, {horizon: []})
    for task_type, own in sorted(task_horizons.items()):
        tasks_by_horizon[own].append(task_type)
    return Sizing(
        calls_per_second=calls_per_second,
        horizons=tuple(
            _size(
                calls_per_second * (span + allowed_lateness).total_seconds(),
                horizon=span,
                task_types=tuple(tasks_by_horizon[span]),
                default=span == horizon,
            )
            for span in sorted(tasks_by_horizon, reverse=True)
        ),
        epoch=epoch,
        epoch_bytes=calls_per_second * epoch.total_seconds() * CHANGES_PER_CALL * STATE_BYTES_PER_HELD_CALL,
    )


def _size(calls_held: float, *, horizon: timedelta, task_types: tuple[str, ...], default: bool) -> HorizonSize:
    state_bytes = calls_held * STATE_BYTES_PER_HELD_CALL
    return HorizonSize(
        horizon=horizon,
        task_types=task_types,
        default=default,
        calls_held=calls_held,
        memory_bytes=calls_held * BYTES_PER_HELD_CALL,
        state_bytes=state_bytes,
        state_bytes_at_most=state_bytes * BASES_BEFORE_COMPACTION,
        resume_s=calls_held / 1e6 * RESUME_S_PER_MILLION,
    )
