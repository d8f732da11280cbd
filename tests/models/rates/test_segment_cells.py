"""The counts of segments are the cells of rates of their calls alone, across a restart and when hours are forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models import plain
from models.messages import CellDeltas, DelayDeltas, Group, LatencyDeltas
from models.rates import RateCells, SegmentCells

MINUTE = 60_000_000
DAY = 86_400_000_000
NAMES: list[Group] = [("t", "a", "x"), ("t", "a", "x"), ("t", "b", "x"), ("u", "b", "x")]
SEGMENTS = ["long", "", "long", "short"]
BEGIN = 20_000 * 1440


def message(seed: int) -> tuple[CellDeltas, LatencyDeltas, DelayDeltas]:
    draw = np.random.default_rng(seed)
    code, minute = draw.integers(0, 4, 200).astype(np.int32), BEGIN + draw.integers(0, 5000, 200).astype(np.int32)
    good = draw.integers(0, 2, 200).astype(np.int32)
    one, bucket = np.ones(200, np.int32), draw.integers(0, 40, 200).astype(np.int16)
    return (
        CellDeltas(code, minute, one, good, one - good, 0 * one, draw.integers(0, 99, 200)),
        LatencyDeltas(code, minute, bucket, one),
        DelayDeltas(code, minute // 60, good.astype(np.int8), bucket, one),
    )


def of_segment(table: Any, segment: str) -> Any:
    rows = np.array(SEGMENTS)[table.code] == segment
    return type(table)(*(column[rows] for column in table))


@pytest.mark.parametrize("forget", [False, True])
def test_they_are_the_rates_of_the_calls_of_one_segment(forget: bool) -> None:  # noqa: FBT001 - a parameter
    cells, alone = SegmentCells(), {segment: RateCells() for segment in ("long", "short")}
    now = (BEGIN + 20 * 1440) * MINUTE
    for seed in range(4):
        tables = message(seed)
        cells.apply(NAMES, SEGMENTS, *tables)
        for segment, one in alone.items():
            one.apply(NAMES, *(of_segment(table, segment) for table in tables))
        counted: list[SegmentCells | RateCells] = [cells, *alone.values()]
        for kept in counted:
            kept.advance(now, now)
            if forget:
                kept.forget_hours(now - 8 * DAY)
        cells = SegmentCells.from_state(plain.unpack(plain.pack(cells.state())))
    found = cells.frozen().table(now, live=True)
    columns = (
        "task_type",
        "model",
        "config",
        "calls",
        "resolved",
        "successes",
        "failures",
        "cost_usd",
        "latency_p50_ms",
        "window_start",
        "grain",
    )
    for segment, one in alone.items():
        expected, _ = one.tables(now, live=True)
        rows = found["segment"] == segment
        assert rows.any()
        for column in columns:
            np.testing.assert_array_equal(found[column][rows], expected[column])
