"""Collects the differences that one batch makes in one shard and sums them per group and minute.

All sums are of integers, so they do not depend on order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import delay, sketch
from models.cells import pack
from models.rate_tables import BUCKET_BITS, DELAY_BITS
from models.streams import (
    F64,
    HOUR_US,
    I8,
    I32,
    I64,
    MINUTE_US,
    U64,
    CellDeltas,
    Changes,
    DelayDeltas,
    Group,
    LatencyDeltas,
    TrialDeltas,
    Values,
)

_CELL = {"calls": np.int32, "successes": np.int32, "failures": np.int32, "expired": np.int32, "cost_nano": np.int64}
_TRIAL = {
    "trial_successes": np.int32,
    "trial_failures": np.int32,
    "successes": np.int32,
    "failures": np.int32,
    "calls": np.int32,
}


class Deltas:
    """Differences of one batch. Groups are the shard's own codes; `changes` translates them to names."""

    def __init__(self) -> None:
        self._cells: list[dict[str, Any]] = []
        self._trials: list[dict[str, Any]] = []
        self._latency: list[tuple[I32, I32, F64]] = []
        self._delays: list[tuple[I32, I64, I8, I64, I32]] = []
        self._values: list[Values] = []
        self._judged: list[tuple[int, int, bool, int, int]] = []
        self._expired: list[tuple[int, int]] = []
        self._steps: list[tuple[int, int, int, int, int, int]] = []

    def add_calls(self, group: I32, at: I64, minute: I32, latency_ms: F64, cost_nano: I64, key: U64) -> None:
        """Calls accepted: counts, cost, latency, and their values for the numeric detectors."""
        call_minute = (at // MINUTE_US).astype(np.int32)
        ones = np.ones(len(group), np.int32)
        cost = np.maximum(cost_nano, 0)
        self._cells.append({"group": group, "minute": call_minute, "calls": ones, "cost_nano": cost})
        self._trials.append({"group": group, "minute": minute, "calls": ones})
        known = ~np.isnan(latency_ms)
        self._latency.append((group[known], call_minute[known], latency_ms[known]))
        cost_usd = np.where(cost_nano >= 0, cost_nano / 1e9, np.nan)
        self._values.append(Values(group, minute, at, key, latency_ms, cost_usd))

    def add_verdicts(self, group: I32, call_at: I64, success: I8, decided_at: I64, sign: I32 | None = None) -> None:
        """Verdicts gained (sign 1, which is meant where there is none) or withdrawn (-1): cells and delay histogram."""
        if sign is None:
            sign = np.ones(len(group), np.int32)
        good = (success == 1).astype(np.int32)
        minute = (call_at // MINUTE_US).astype(np.int32)
        self._cells.append({"group": group, "minute": minute, "successes": sign * good, "failures": sign * (1 - good)})
        self._delays.append((group, call_at, success, decided_at, sign))

    def judge(self, group: int, call_at: int, success: bool, decided_at: int, sign: int) -> None:  # noqa: FBT001
        """One verdict gained or withdrawn."""
        self._judged.append((group, call_at, success, decided_at, sign))

    def expire(self, group: int, call_at: int) -> None:
        """One call closed with nothing standing."""
        self._expired.append((group, call_at))

    def step(self, group: int, ends: dict[int, bool | None], sign: int) -> None:
        """The trials of one call, from its verdicts at the ends of minutes: gained or withdrawn."""
        before: bool | None = None
        for minute in sorted(ends) if len(ends) > 1 else ends:
            now = ends[minute]
            if now is not before:
                good, bad = now is True, now is False
                net = (good - (before is True), bad - (before is False))
                self._steps.append((group, minute, sign * good, sign * bad, sign * net[0], sign * net[1]))
            before = now

    def add_expired(self, group: I32, call_at: I64) -> None:
        """Calls that closed with nothing standing."""
        minute = (call_at // MINUTE_US).astype(np.int32)
        self._cells.append({"group": group, "minute": minute, "expired": np.ones(len(group), np.int32)})

    def add_trials(self, group: I32, minute: I32, success: I8) -> None:
        """First verdicts of calls: a trial each, and a net gain."""
        good = (success == 1).astype(np.int32)
        bad = 1 - good
        self._trials.append(
            {
                "group": group,
                "minute": minute,
                "trial_successes": good,
                "trial_failures": bad,
                "successes": good,
                "failures": bad,
            }
        )

    def _gather(self) -> None:
        """The differences of single calls, as columns."""
        if self._judged:
            rows = np.array(self._judged, np.int64).T
            success, sign = rows[2].astype(np.int8), rows[4].astype(np.int32)
            self.add_verdicts(rows[0].astype(np.int32), rows[1], success, rows[3], sign)
        if self._expired:
            rows = np.array(self._expired, np.int64).T
            self.add_expired(rows[0].astype(np.int32), rows[1])
        if self._steps:
            columns = np.array(self._steps, np.int32).T
            self._trials.append(dict(zip(("group", "minute", *tuple(_TRIAL)[:4]), columns, strict=True)))

    def changes(self, shard: str, watermark: int, groups: list[Group]) -> Changes:
        """The message to the group step; rows whose differences cancelled out are left out."""
        self._gather()
        cells = _sum(self._cells, _CELL)
        trials = _sum(self._trials, _TRIAL)
        latencies = self._latencies()
        delays = self._delay_rows()
        values = _concat(self._values)
        used = np.zeros(len(groups), np.bool_)
        for codes in (cells["group"], trials["group"], latencies.code, delays.code, values.code):
            used[codes] = True
        chosen = np.flatnonzero(used)
        code = np.zeros(len(groups), np.int32)
        code[chosen] = np.arange(len(chosen), dtype=np.int32)
        return Changes(
            shard=shard,
            watermark=watermark,
            names=[groups[i] for i in chosen.tolist()],
            cells=CellDeltas(code[cells.pop("group")], **cells),
            latencies=latencies._replace(code=code[latencies.code]),
            delays=delays._replace(code=code[delays.code]),
            trials=TrialDeltas(code[trials.pop("group")], **trials),
            values=values._replace(code=code[values.code]),
        )

    def _latencies(self) -> LatencyDeltas:
        group = _join([x[0] for x in self._latency], np.int32)
        minute = _join([x[1] for x in self._latency], np.int32)
        bucket = sketch.bucket_of(_join([x[2] for x in self._latency], np.float64))
        order, starts = _runs(pack(group, minute, bucket, BUCKET_BITS))
        first = order[starts]
        counts = np.diff(np.append(starts, len(order))).astype(np.int32)
        return LatencyDeltas(group[first], minute[first], bucket[first], counts)

    def _delay_rows(self) -> DelayDeltas:
        group = _join([x[0] for x in self._delays], np.int32)
        call_at = _join([x[1] for x in self._delays], np.int64)
        success = _join([x[2] for x in self._delays], np.int8)
        decided = _join([x[3] for x in self._delays], np.int64)
        sign = _join([x[4] for x in self._delays], np.int32)
        bucket = delay.bucket_of(np.maximum(decided - call_at, 0))
        hour = (call_at // HOUR_US).astype(np.int32)
        order, starts = _runs(pack(group, hour, bucket * 2 + success, DELAY_BITS))
        counts = np.add.reduceat(sign[order], starts).astype(np.int32) if len(starts) else sign[:0]
        first = order[starts][counts != 0]
        return DelayDeltas(group[first], hour[first], success[first], bucket[first], counts[counts != 0])


def _runs(key: U64) -> tuple[I64, I64]:
    """An order that sorts `key`, and where each run of equal keys starts in it."""
    order = np.argsort(key)
    if not len(order):
        return order, order
    ordered = key[order]
    changed = np.ones(len(order), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=changed[1:])
    return order, changed.nonzero()[0]


def _join(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    if not parts:
        return np.zeros(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _sum(parts: list[dict[str, Any]], columns: dict[str, Any]) -> dict[str, Any]:
    """Sum `parts` per (group, minute); absent columns of a part are zero; rows of zeros are dropped."""
    group = _join([p["group"] for p in parts], np.int32)
    minute = _join([p["minute"] for p in parts], np.int32)
    order, starts = _runs(pack(group, minute))
    first = order[starts]
    sums: dict[str, Any] = {}
    kept = np.zeros(len(first), np.bool_)
    for name, dtype in columns.items():
        column = np.zeros(len(group), dtype)
        at = 0
        for part in parts:
            end = at + len(part["group"])
            if name in part:
                column[at:end] = part[name]
            at = end
        total = np.add.reduceat(column[order], starts) if len(starts) else column
        sums[name] = total.astype(dtype)
        kept |= sums[name] != 0
    return {"group": group[first][kept], "minute": minute[first][kept]} | {n: c[kept] for n, c in sums.items()}


def _concat(parts: list[Values]) -> Values:
    dtypes = (np.int32, np.int32, np.int64, np.uint64, np.float64, np.float64)
    return Values(*(_join([part[i] for part in parts], dtype) for i, dtype in enumerate(dtypes)))
