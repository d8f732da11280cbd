"""Splits a change between two spans into that of the mix of models, configs and segments, and that within them."""

from __future__ import annotations

import duckdb
import numpy as np

from flows.reports.insights_arms import Arms
from flows.reports.insights_spans import Spans
from flows.reports.snapshot_reader import has_table
from models.arrays import F64
from models.stats.traffic_mix import Portion, SegmentCounts, portions

_SEGMENTS = """
    SELECT model, config, segment, sum(CASE WHEN window_start < $start THEN failures ELSE 0 END)::DOUBLE,
           sum(CASE WHEN window_start < $start THEN resolved ELSE 0 END)::DOUBLE,
           sum(CASE WHEN window_start >= $start THEN failures ELSE 0 END)::DOUBLE,
           sum(CASE WHEN window_start >= $start THEN resolved ELSE 0 END)::DOUBLE
    FROM segment_rates WHERE task_type = $task AND grain = '1h' AND window_start >= $before AND window_start < $end
    GROUP BY ALL ORDER BY ALL
"""


def mix_of(base: duckdb.DuckDBPyConnection, task: str, arms: Arms, spans: Spans) -> list[Portion]:
    """The parts of the change of the plain rate of all arms; see `models.stats.traffic_mix`. O(arms and segments)."""
    columns = arms.columns
    names = [(task, *name) for name in zip(columns.models.tolist(), columns.configs.tolist(), strict=True)]
    n0, n1 = columns.resolved
    sides = np.array([columns.before[2], n0, columns.after[2], n1], np.float64)
    segments = _segments(base, task, names, spans)
    if segments is not None:
        # Of calls that are newer than the watermark the hours count some already, and the spans do not.
        for side, part in zip(sides, (*segments.before, *segments.since), strict=True):
            np.maximum(side, np.bincount(segments.leaf, part, len(names)), out=side)
    before: tuple[F64, F64] = (sides[0], sides[1])
    return portions(names, np.ones(len(names), np.bool_), before, (sides[2], sides[3]), segments)


def _segments(
    base: duckdb.DuckDBPyConnection, task: str, names: list[tuple[str, str, str]], spans: Spans
) -> SegmentCounts | None:
    """Of the arms; None where there are none, or the lookback does not begin at a full hour."""
    if spans.named == "1h" or not has_table(base, "segment_rates"):
        return None
    ends = {name: getattr(spans, name).replace(tzinfo=None) for name in ("before", "start", "end")}
    found = base.execute(_SEGMENTS, {"task": task, **ends}).fetchall()
    place = {name[1:]: at for at, name in enumerate(names)}
    rows = [row for row in found if (row[0], row[1]) in place]
    if not rows:
        return None
    f0, n0, f1, n1 = np.array([row[3:] for row in rows], np.float64).T
    leaf = np.array([place[row[0], row[1]] for row in rows], np.int64)
    before: tuple[F64, F64] = (f0, n0)
    return SegmentCounts(leaf, [row[2] for row in rows], before, (f1, n1))
