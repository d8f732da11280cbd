"""What watched sources say waits for its minute to close, by group, source and delay; uploads teach no delay."""

from __future__ import annotations

from typing import Any

import numpy as np

from models import plain
from models.groups.open_opinions import OpenOpinions, sum_opinions
from models.groups.usual_lateness import STRIDE
from models.side_messages import NO_OPINION_TRIALS, OpinionTrials

Row = tuple[int, int, int, int, int, int, int]


def table(*rows: Row) -> OpinionTrials:
    """Rows of (code, minute, source, success, bucket, unit, count)."""
    types = (np.int32, np.int32, np.int32, np.int8, np.int16, np.uint64, np.int32)
    columns = np.array(rows, np.int64).reshape(-1, 7).T
    typed: list[Any] = [column.astype(kind) for column, kind in zip(columns, types, strict=True)]
    return OpinionTrials(*typed)


def rows(found: OpinionTrials) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_rows_wait_for_their_minute_also_over_a_restart_and_those_that_cancel_out_are_dropped() -> None:
    opinions = OpenOpinions()
    said = table((0, 7, 0, 1, 2, 0, 1), (0, 8, 0, 1, 2, 0, 1), (0, 7, 0, 0, 3, 9, 1), (0, 7, 0, 0, 3, 9, -1))
    opinions.add(said, said.code, np.array([1], np.int32))
    opinions = OpenOpinions(plain.unpack(plain.pack(opinions.state())))
    names, sources = np.array([0], np.int32), np.array([0, 0], np.int32)
    assert rows(sum_opinions(opinions.pop(8), names, sources)) == [(0, 7, 0, 1, 2, 0, 1)]
    assert rows(opinions.pop(8)) == []
    assert rows(sum_opinions(opinions.pop(9), names, sources)) == [(0, 8, 0, 1, 2, 0, 1)]
    assert opinions.state() == []


def test_an_upload_says_nothing_of_how_long_a_source_takes() -> None:
    opinions, said = OpenOpinions(), table((0, 7, 0, 1, 30, 0, 1), (0, 7, 0, 1, 31, 0, 1))
    opinions.add(said, np.array([0, STRIDE], np.int32), np.array([0], np.int32))
    assert [row[4] for row in rows(opinions.pop(8))] == [30, 0]


def test_rows_are_distinct_and_in_order_of_minute_group_source_and_verdict() -> None:
    said = table((1, 7, 1, 1, 2, 0, 1), (0, 7, 0, 1, 2, 0, 1), (1, 7, 1, 1, 2, 0, 2), (1, 6, 1, 0, 2, 5, 1))
    found = sum_opinions(said, np.array([4, 3], np.int32), np.array([1, 0], np.int32))
    assert rows(found) == [(3, 6, 0, 0, 2, 5, 1), (3, 7, 0, 1, 2, 0, 3), (4, 7, 1, 1, 2, 0, 1)]
    assert sum_opinions(NO_OPINION_TRIALS, said.code, said.source) == NO_OPINION_TRIALS
