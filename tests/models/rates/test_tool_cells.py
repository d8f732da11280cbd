"""Counts of tools: sums, names, forgetting, and what is stored."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.errors import StateError
from aftercall.times import HOUR_US
from models import plain
from models.rates import tool_cells
from models.rates.tool_cells import Tool, ToolCells, ToolUses

DAY = 24


def uses(*rows: tuple[Tool, int, int, int, int]) -> ToolUses:
    return ToolUses(*zip(*rows, strict=True))


def table(cells: ToolCells) -> list[tuple[Any, ...]]:
    made = cells.frozen().table()
    rows = zip(*(column.tolist() for column in made), strict=True)
    return [(task, tool, start // HOUR_US, *counts) for task, tool, start, *counts in rows]


def test_uses_add_up_in_any_order_and_over_a_stored_state() -> None:
    rows = [(("b", "crm"), 3, 2, 1, 0), (("a", None), 3, 1, 0, 0), (("a", "x"), 2, 1, 1, 4), (("b", "crm"), 3, 5, 0, 2)]
    together, apart = ToolCells(), ToolCells()
    together.apply(uses(*rows))
    for made in reversed(rows):
        apart.apply(uses(made))
        apart = ToolCells.from_state(dict(plain.unpack(plain.pack(apart.state()))))
    assert (
        table(together)
        == table(apart)
        == [
            ("a", None, 3, 1, 0, 0),
            ("a", "x", 2, 1, 1, 4),
            ("b", "crm", 3, 7, 1, 2),
        ]
    )
    with pytest.raises(StateError):
        ToolCells.from_state({**together.state(), "version": 99})


def test_the_tools_with_the_fewest_calls_share_a_name_and_no_count_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_cells, "MOST_NAMED", 2)
    cells = ToolCells()
    cells.apply(uses(*((("a", f"tool{i}"), i % 2, i + 1, i, 0) for i in range(6)), (("b", "tool0"), 0, 1, 1, 1)))
    assert table(cells) == [
        ("a", "__other__", 0, 1 + 3, 0 + 2, 0),
        ("a", "__other__", 1, 2 + 4, 1 + 3, 0),
        ("a", "tool4", 0, 5, 4, 0),
        ("a", "tool5", 1, 6, 5, 0),
        ("b", "tool0", 0, 1, 1, 1),
    ]


def test_beyond_the_most_that_are_kept_tools_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_cells, "MOST_KEPT", 3)
    cells = ToolCells()
    cells.apply(uses(*((("a", f"tool{i}"), 0, 1, 1, 0) for i in range(3)), (("new", "new"), 0, 7, 2, 1)))
    cells.apply(uses((("a", "tool1"), 0, 1, 0, 0), (("newer", "newest"), 0, 1, 0, 0)))
    assert table(cells) == [
        ("__other__", "__other__", 0, 8, 2, 1),
        *(("a", f"tool{i}", 0, 1 + (i == 1), 1, 0) for i in range(3)),
    ]
    assert len(cells.state()["names"]) == 4


def test_hours_are_forgotten_by_whole_days_and_make_room_for_other_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_cells, "MOST_KEPT", 2)
    cells = ToolCells()
    cells.apply(uses((("a", "old"), DAY - 1, 1, 0, 0), (("a", "both"), 0, 1, 0, 0), (("a", "both"), DAY, 2, 1, 1)))
    cells.forget_hours((DAY + 5) * HOUR_US)
    cells.forget_hours((DAY + 6) * HOUR_US)
    cells.apply(uses((("a", "new"), DAY + 1, 4, 0, 0)))
    assert table(cells) == [("a", "both", DAY, 2, 1, 1), ("a", "new", DAY + 1, 4, 0, 0)]
    assert cells.state()["names"] == [("a", "both"), ("a", "new")]


def test_nothing_is_an_empty_table() -> None:
    cells = ToolCells()
    cells.forget_hours(HOUR_US)
    assert table(ToolCells.from_state(cells.state())) == []
