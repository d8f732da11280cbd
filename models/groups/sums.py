"""Sums the rows of closed minutes: one row per key, in order, without those that cancelled out."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.columns.group_sums import total
from models.messages import (
    NO_DELAYS,
    NO_SLICES,
    Attempts,
    ErrorTrials,
    Responses,
    Scores,
    SliceTrials,
    TrialDelays,
    TrialDeltas,
    UnitTrials,
)
from models.side_messages import DatedTrials, FacetTrials


def sum_trials(trials: TrialDeltas) -> TrialDeltas:
    """One row per (minute, group), in that order; rows that cancelled out are dropped."""
    if not len(trials.code):
        return trials
    first, sums = total((trials.minute, trials.code), trials[2:])
    return TrialDeltas(trials.code[first], trials.minute[first], *sums)


def sum_dated(rows: DatedTrials) -> DatedTrials:
    """One row per (minute, group, quarter), in that order; rows that cancelled out are dropped."""
    if not len(rows.code):
        return rows
    first, sums = total((rows.minute, rows.code, rows.quarter), rows[3:])
    return DatedTrials(rows.code[first], rows.minute[first], rows.quarter[first], *sums)


def sum_responses(rows: Responses) -> Responses:
    """One row per (minute, group, source, success, bucket)."""
    if not len(rows.code):
        return rows
    key = (rows.minute, rows.code, rows.source, rows.success, rows.bucket)
    first, sums = total(key, (rows.statements, rows.trials))
    columns: tuple[Any, ...] = rows[:5]
    return Responses(*(column[first] for column in columns), *sums)


def trials_by_delay(rows: Responses) -> TrialDelays:
    """One row per (minute, group, success, bucket)."""
    if not len(rows.code):
        return NO_DELAYS
    first, (count,) = total((rows.minute, rows.code, rows.success, rows.bucket), (rows.trials,))
    return TrialDelays(rows.code[first], rows.minute[first], rows.success[first], rows.bucket[first], count)


def without_source(rows: Responses, sources: list[str], left_out: str | None) -> Responses:
    """The rows of all sources but one, if that is among them."""
    if left_out not in sources:
        return rows
    kept = rows.source != sources.index(left_out)
    columns: tuple[Any, ...] = tuple(rows)
    return Responses(*(column[kept] for column in columns))


def trials_by_source(rows: Responses) -> SliceTrials:
    """One row per (minute, group, source, success)."""
    if not len(rows.code):
        return NO_SLICES
    first, (count,) = total((rows.minute, rows.code, rows.source, rows.success), (rows.trials,))
    return SliceTrials(rows.code[first], rows.minute[first], rows.source[first], rows.success[first], count)


def sum_scores(rows: Scores) -> Scores:
    """One row per (minute, group, source, level)."""
    if not len(rows.code):
        return rows
    first, (count,) = total((rows.minute, rows.code, rows.source, rows.level), (rows.count,))
    return Scores(rows.code[first], rows.minute[first], rows.source[first], rows.level[first], count)


def sum_errors(rows: ErrorTrials) -> ErrorTrials:
    """One row per (minute, group, error)."""
    if not len(rows.code):
        return rows
    first, (count,) = total((rows.minute, rows.code, rows.error), (rows.count,))
    return ErrorTrials(rows.code[first], rows.minute[first], rows.error[first], count)


def sum_units(rows: UnitTrials) -> UnitTrials:
    """One row per (minute, group, unit, success)."""
    if not len(rows.code):
        return rows
    _, place = np.unique(rows.unit, return_inverse=True)  # in the order of the units, and small
    first, (count,) = total((rows.minute, rows.code, place, rows.success), (rows.count,))
    return UnitTrials(rows.code[first], rows.minute[first], rows.unit[first], rows.success[first], count)


def sum_facets(rows: FacetTrials) -> FacetTrials:
    """One row per (minute, group, facets, success)."""
    if not len(rows.code):
        return rows
    first, (count,) = total((rows.minute, rows.code, rows.facets, rows.success), (rows.count,))
    return FacetTrials(rows.code[first], rows.minute[first], rows.facets[first], rows.success[first], count)


def sum_attempts(rows: Attempts) -> Attempts:
    """One row per (minute, group, hour of the call)."""
    if not len(rows.code):
        return rows
    first, (count,) = total((rows.minute, rows.code, rows.hour), (rows.count,))
    return Attempts(rows.code[first], rows.minute[first], rows.hour[first], count)
