"""Sums the parts of some tables of `Changes`, which the differences of one batch come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aftercall.times import QUARTERS_PER_HOUR
from models.arrays import F64, I8, I16, I32
from models.columns.group_sums import runs, total
from models.columns.keyed_sums import pack_key
from models.join.late_calls import has_late
from models.join.parts import columns_of, concatenated, renumbered
from models.messages import NO_ATTEMPTS, Attempts, DelayDeltas, LatencyDeltas
from models.side_messages import CheckDeltas, CheckedRule, CountedCalls
from models.stats import delay_distribution as delay
from models.stats import quantile_sketch as sketch


def latency_table(parts: Sequence[tuple[I32, I32, F64]]) -> LatencyDeltas:
    """Of columns of group, minute and latency in ms."""
    group = concatenated([x[0] for x in parts], np.int32)
    minute = concatenated([x[1] for x in parts], np.int32)
    bucket = sketch.value_bucket(concatenated([x[2] for x in parts], np.float64))
    order, starts = runs(pack_key(group, minute, bucket, sketch.VALUE_KEY_BITS))
    first = order[starts]
    counts = np.diff(np.append(starts, len(order))).astype(np.int32)
    return LatencyDeltas(group[first], minute[first], bucket[first], counts)


def delay_table(parts: Sequence[tuple[I32, I32, I8, I16, I32]]) -> DelayDeltas:
    """Of columns of group, hour, success, bucket and sign; without rows that cancel out."""
    group = concatenated([x[0] for x in parts], np.int32)
    hour = concatenated([x[1] for x in parts], np.int32)
    success = concatenated([x[2] for x in parts], np.int8)
    bucket = concatenated([x[3] for x in parts], np.int16)
    sign = concatenated([x[4] for x in parts], np.int32)
    order, starts = runs(pack_key(group, hour, bucket * 2 + success, delay.DELAY_KEY_BITS))
    counts = np.add.reduceat(sign[order], starts).astype(np.int32) if len(starts) else sign[:0]
    first = order[starts][counts != 0]
    return DelayDeltas(group[first], hour[first], success[first], bucket[first], counts[counts != 0])


def attempt_table(parts: Sequence[tuple[I32, I32, I32]]) -> Attempts:
    """Of columns of group, minute and hour."""
    if not parts:
        return NO_ATTEMPTS
    columns = columns_of(parts)
    first, (count,) = total(columns, (np.ones(len(columns[0]), np.int32),))
    group, minute, hour = (column[first] for column in columns)
    return Attempts(group, minute, hour, count)


def counted_calls(trials: dict[str, Any]) -> CountedCalls | None:
    """The calls of sums of trials; None where some came late, as they have rows of their own."""
    group, calls = trials["group"], trials["calls"]
    if not len(group) or has_late(group):
        return None
    (used,) = calls.nonzero()
    minute, hour = trials["minute"][used], trials["quarter"][used] // QUARTERS_PER_HOUR
    columns = (group[used], minute, hour)
    # Quarters of one hour lie together, as the sums ascend.
    begins = np.ones(len(used), np.bool_)
    begins[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    (first,) = begins.nonzero()
    counts = np.add.reduceat(calls[used], first) if len(first) else calls[used]
    return CountedCalls(group[used][first], minute[first], hour[first], counts)


def check_table(checks: CheckDeltas, rules: Sequence[CheckedRule]) -> dict[str, Any]:
    """The fields of `Changes` for results of rules, which index `rules`: only those that occur are named."""
    if not len(checks.code):
        return {}
    if np.bincount(checks.rule, minlength=len(rules)).all():
        return {"checks": checks, "rules": tuple(rules)}
    used, place = renumbered(len(rules), [checks.rule])
    return {"checks": checks._replace(rule=place[checks.rule]), "rules": tuple(rules[i] for i in used.tolist())}
