"""Makes the messages of closed minutes that the dataflow would make of calls and their outcomes."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US
from models.arrays import F64, I8, I16, I32, I64, Bools
from models.columns.group_sums import total
from models.messages import (
    NO_DELAYS,
    NO_RESPONSES,
    NO_SLICES,
    Closed,
    Responses,
    SliceTrials,
    TrialDelays,
    TrialDeltas,
    Values,
)
from models.side_messages import NO_DATED, DatedTrials
from models.stats.minute_delays import bucket_of

TASK: Final = "t"
QUARTER: Final = 15


class Calls(NamedTuple):
    """Calls in the order of their minutes; shape (n,) each. `cost_usd`: nan where it is not recorded."""

    arm: I64
    minute: I64
    cost_usd: F64


class Known(NamedTuple):
    """Outcomes, ascending in the minute in which they came; shape (n,) each. `called`: minute of the call."""

    arm: I64
    minute: I64
    called: I64
    success: Bools


def closed(arms: tuple[str, ...], calls: Calls, known: Known, through: int) -> Closed:
    """All minutes up to before `through`, minutes since 1970."""
    # Codes are in the order of names, as rows of equal minutes must be.
    names = sorted(arms)
    place = np.array([names.index(arm) for arm in arms], np.int32)
    sent, of = place[calls.arm], place[known.arm]
    at, came, success = calls.minute.astype(np.int32), known.minute.astype(np.int32), known.success.astype(np.int8)
    rows = _trials(sent, at, of, came, success)
    responses, delays, slices = _said(of, came, success, bucket_of(known.minute - known.called))
    n = len(sent)
    values = Values(
        sent, at, at.astype(np.int64) * MINUTE_US, np.arange(n, dtype=np.uint64),
        np.full(n, np.nan), calls.cost_usd, np.full(n, -1),
    )  # fmt: skip
    return Closed(
        through,
        [(TASK, name, "default") for name in names],
        _summed(rows),
        values,
        ("tests",),
        delays=delays,
        slices=slices,
        responses=responses,
        dated=_dated(rows, np.concatenate((known.called, calls.minute))),
    )


def _trials(sent: I32, at: I32, of: I32, came: I32, success: I8) -> TrialDeltas:
    """One row for each outcome, then one for each call."""
    none = np.zeros(len(sent), np.int32)
    won = success.astype(np.int32)
    gains, losses = np.concatenate((won, none)), np.concatenate((1 - won, none))
    counted = np.concatenate((np.zeros(len(of), np.int32), none + 1))
    return TrialDeltas(
        np.concatenate((of, sent)), np.concatenate((came, at)), gains, losses, gains, losses, counted
    )  # fmt: skip


def _summed(rows: TrialDeltas) -> TrialDeltas:
    if not len(rows.code):
        return rows
    first, sums = total((rows.minute, rows.code), rows[2:])
    return TrialDeltas(rows.code[first], rows.minute[first], *sums)


def _said(of: I32, came: I32, success: I8, bucket: I16) -> tuple[Responses, TrialDelays, SliceTrials]:
    """Statements, all by one source, each of which decides; and their sums by delay and by source."""
    if not len(of):
        return NO_RESPONSES, NO_DELAYS, NO_SLICES
    ones = np.ones(len(of), np.int32)
    first, (count,) = total((came, of, success, bucket), (ones,))
    codes, minutes, good, late = of[first], came[first], success[first], bucket[first]
    source = np.zeros(len(codes), np.int32)
    responses = Responses(codes, minutes, source, good, late, count, count)
    delays = TrialDelays(codes, minutes, good, late, count)
    first, (count,) = total((came, of, success), (ones,))
    source = np.zeros(len(count), np.int32)
    return responses, delays, SliceTrials(of[first], came[first], source, success[first], count)


def _dated(rows: TrialDeltas, called: I64) -> DatedTrials:
    if not len(called):
        return NO_DATED
    quarter = (called // QUARTER).astype(np.int32)
    first, sums = total((rows.minute, rows.code, quarter), (rows.successes, rows.failures, rows.calls))
    return DatedTrials(rows.code[first], rows.minute[first], quarter[first], *sums)
