"""Keeps what weighs beside the outcomes of a task type: cost, latency, segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US
from models.arrays import F64, I64
from models.messages import Closed
from models.routing.arm_uses import ArmUses
from models.routing.facts import Usage
from models.routing.wanted import TaskRouting
from models.stats.segment_shares import ALL, ArmSegments, SegmentShares


class UseRows(NamedTuple):
    """What calls took; `arms` are indices, minutes ascend, nan where a value is absent. Shapes (n,)."""

    arms: I64
    minutes: I64
    cost_usd: F64
    latency_ms: F64

    def at(self, rows: slice | I64) -> UseRows:
        """Some of them."""
        return UseRows(self.arms[rows], self.minutes[rows], self.cost_usd[rows], self.latency_ms[rows])


class StrataRows(NamedTuple):
    """Trials by segment, `names[segment]`, and of all calls (-1); minutes ascend. Shapes (n,)."""

    arms: I64
    minutes: I64
    segment: I64
    successes: I64
    failures: I64
    names: Sequence[str]

    def at(self, rows: slice | I64) -> StrataRows:
        """Some of them."""
        arms, minutes, segment, successes, failures, names = self
        return StrataRows(arms[rows], minutes[rows], segment[rows], successes[rows], failures[rows], names)


class Feed(NamedTuple):
    """What a task type has in a message; None: nothing."""

    uses: UseRows | None = None
    strata: StrataRows | None = None


NO_FEED = Feed()


class Beside:
    """Rows wait until the minute they belong to is read, so what is known at an instant does not depend on messages."""

    def __init__(self, memory_us: int, wanted: TaskRouting, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance; one of before has none."""
        kept = state or {}
        self._wanted = wanted
        self._uses = ArmUses(memory_us, wanted.max_latency_p95_ms, kept.get("uses"))
        self._segments = ArmSegments(memory_us, kept.get("segments")) if wanted.segments else None
        self._use_rows: UseRows | None = None
        self._strata_rows: StrataRows | None = None

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy. Between messages no rows wait."""
        segments = {} if self._segments is None else {"segments": self._segments.state()}
        return {"uses": self._uses.state(), **segments}

    def feed(self, rows: Feed) -> None:
        """Give it the rows of a message; `advance` reads them."""
        self._use_rows = rows.uses
        self._strata_rows = rows.strata if self._segments is not None else None

    def advance(self, now: int | None) -> None:
        """Read the rows of minutes that ended by `now` (microseconds); None: all."""
        uses, strata = self._use_rows, self._strata_rows
        if uses is not None:
            end = _end(uses.minutes, now)
            self._uses.add(*uses.at(slice(end)))
            self._use_rows = uses.at(slice(end, None))
        if strata is not None and self._segments is not None:
            end = _end(strata.minutes, now)
            arms, minutes, segment, successes, failures, names = strata.at(slice(end))
            self._segments.add(arms, [names[at] if at >= 0 else ALL for at in segment], minutes, successes, failures)
            self._strata_rows = strata.at(slice(end, None))

    def forget_before(self, arm: int, since: int) -> None:
        """As of the outcomes of an arm: those by segment too count from `since` (microseconds) on. Costs stay known."""
        if self._segments is not None:
            self._segments.forget_before(arm, since)

    def uses(self, now: int, arms: list[int]) -> list[Usage]:
        """What the calls of these arms took."""
        return self._uses.at(now, arms)

    def shares(self, now: int, arms: list[int]) -> SegmentShares | None:
        """Which share of their outcomes each segment of the settings has; None where none is declared."""
        return None if self._segments is None else self._segments.shares(now, arms, self._wanted.segments)


def feeds(closed: Closed, task_names: list[str], task_of: I64, arm_of: I64, *, with_segments: bool) -> dict[str, Feed]:
    """What each task type of a message is fed. `task_of`, `arm_of`: by code, -1 and 0 for groups that are no arms."""
    code, uses = _use_rows(closed, arm_of)
    taken = {name: uses.at(rows) for name, rows in places(task_names, task_of[code]).items()}
    if not with_segments:
        return {name: Feed(rows) for name, rows in taken.items()}
    code, strata = _strata_rows(closed, arm_of)
    by = {name: strata.at(rows) for name, rows in places(task_names, task_of[code]).items()}
    return {name: Feed(taken.get(name), by.get(name)) for name in {**taken, **by}}


def places(task_names: list[str], tasks: I64) -> dict[str, I64]:
    """The rows of each task type that has some, in their order; `tasks`: of each row, -1 for none."""
    order = np.argsort(tasks, kind="stable")
    bounds = np.searchsorted(tasks[order], np.arange(len(task_names) + 1))
    found = {name: order[bounds[index] : bounds[index + 1]] for index, name in enumerate(task_names)}
    return {name: rows for name, rows in found.items() if rows.shape[0]}


def _use_rows(closed: Closed, arm_of: I64) -> tuple[I64, UseRows]:
    """The codes of the rows of `closed.values`, and the rows. `arm_of`: arm by code."""
    values = closed.values
    minutes = values.minute.astype(np.int64)
    return values.code.astype(np.int64), UseRows(arm_of[values.code], minutes, values.cost_usd, values.latency_ms)


def _strata_rows(closed: Closed, arm_of: I64) -> tuple[I64, StrataRows]:
    """The same of the trials by segment, and of all trials of the same message."""
    by, whole = closed.stratified, closed.trials
    code = np.concatenate((by.code, whole.code)).astype(np.int64)
    minutes = np.concatenate((by.minute, whole.minute)).astype(np.int64)
    segment = np.concatenate((by.segment, np.full(len(whole.code), -1))).astype(np.int64)
    successes = np.concatenate((by.trial_successes, whole.trial_successes)).astype(np.int64)
    failures = np.concatenate((by.trial_failures, whole.trial_failures)).astype(np.int64)
    some = np.flatnonzero((successes != 0) | (failures != 0))
    order = some[np.argsort(minutes[some], kind="stable")]
    code = code[order]
    return code, StrataRows(
        arm_of[code], minutes[order], segment[order], successes[order], failures[order], closed.segments
    )


def _end(minutes: I64, now: int | None) -> int:
    return len(minutes) if now is None else int(np.searchsorted(minutes, now // MINUTE_US, side="left"))
