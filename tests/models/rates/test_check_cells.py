"""Counts of what rules found: the same however they were cut, stored and read back, and dropped by whole days."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aftercall.times import HOUR_US
from models.rates import CheckCells, ContractUses
from models.side_messages import CheckDeltas, CheckedRule, Uses

GROUPS = [("refund", "m", "v1"), ("triage", "m", "v1")]
RULES = [CheckedRule("c", "1", "fast", "latency"), CheckedRule("c", "1", "cheap", "cost")]
HOUR = 500_000


def deltas(*rows: tuple[int, ...]) -> CheckDeltas:
    return CheckDeltas(*np.array(rows, np.int32).T)


ROWS = [
    (0, 60 * HOUR, HOUR, 0, 3, 1, 2, 0),
    (0, 60 * HOUR + 7, HOUR, 0, 1, 0, -1, 0),
    (1, 60 * HOUR, HOUR + 30, 1, 0, 0, 0, 4),
    (0, 60 * HOUR, HOUR + 1, 0, 5, 0, 0, 0),
]


def counted(*cuts: Sequence[tuple[int, ...]]) -> CheckCells:
    cells = CheckCells()
    for rows in cuts:
        cells.apply(GROUPS, RULES, deltas(*rows))
    return cells


def rows_of(cells: CheckCells, as_of_us: int = (HOUR + 2) * HOUR_US) -> list[tuple[object, ...]]:
    table = cells.frozen().table(as_of_us)
    return [tuple(map(_plain, row)) for row in zip(*table.values(), strict=True)]


def _plain(value: object) -> object:
    """A value of the table; what is NULL there as None."""
    return None if isinstance(value, float) and np.isnan(value) else value


def test_hours_days_and_now_have_the_sums_however_they_were_cut() -> None:
    rows = rows_of(counted(ROWS))
    assert rows == rows_of(counted(*([row] for row in reversed(ROWS))))
    of_fast = [row for row in rows if row[5] == "fast"]
    assert [(row[6], *row[8:13]) for row in of_fast] == [
        ("1h", 5, 4, 1, 1, 0),
        ("1h", 5, 5, 0, 0, 0),
        ("1d", 10, 9, 1, 1, 0),
        ("now", 10, 9, 1, 1, 0),
    ]
    assert [row[13] for row in of_fast] == [0.8, 1.0, 0.9, 0.9]
    assert all(row[14] < row[13] for row in of_fast)  # type: ignore[operator]
    # What was never checked has no rate; errors are counted.
    assert next((*row[8:13], row[13]) for row in rows if row[5] == "cheap") == (0, 0, 0, 0, 4, None)


def test_they_are_stored_and_read_back_and_dropped_by_whole_days() -> None:
    cells = counted(ROWS)
    again = CheckCells.from_state(cells.state())
    assert rows_of(again) == rows_of(cells)
    again.forget_hours((HOUR + 29) * HOUR_US)
    day = (HOUR + 29) // 24 * 24
    assert {row[5] for row in rows_of(again)} == {"cheap"} | ({"fast"} if day <= HOUR else set())
    again.apply(GROUPS, RULES, deltas(ROWS[2]))
    assert [row[12] for row in rows_of(again) if row[6] == "1h" and row[5] == "cheap"] == [8]


def test_uses_of_contracts_add_up_and_are_rows_of_those_that_are_known() -> None:
    uses = ContractUses()
    uses.add([Uses("c", "1", 5, 100, 200), Uses("c", "1", 1, 50, 60)])
    again = ContractUses(uses.state())
    assert again.rows([("c", "1", "h", None, None), ("c", "2", "h", 7, None)]) == [
        ("c", "1", "h", None, None, 6, 50, 200),
        ("c", "2", "h", 7, None, 0, None, None),
    ]
