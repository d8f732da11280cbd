"""Tables of names and figures on terminals of any width."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from flows.reports.fitting import Column, fitted, in_the_middle, shared

NAMES = [("anthropic/claude-large-2026-04-01", "prompt-v7-with-tools"), ("gpt-large-2026-09-19", "prompt-v8")]


def printed(names: list[tuple[str, str]], width: int) -> list[str]:
    console = Console(file=StringIO(), width=width)
    columns = [Column("now", ["89.2", "1.0"]), Column("outcomes", ["12,345", "7"], least=80)]
    console.print(fitted(names, ("model", "config"), columns, width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_a_table_fits_and_keeps_both_ends_of_names(width: int) -> None:
    lines = printed(NAMES, width)
    assert max(map(len, lines)) <= width
    assert ("outcomes" in lines[0]) == (width >= 80)
    assert lines[2].startswith("anth")
    assert "-01" in lines[2]
    assert (NAMES[0][0] in lines[2]) == (width >= 80)
    assert "89.2" in lines[2]


def test_configs_that_are_all_the_default_have_no_column() -> None:
    assert "config" not in printed([("atlas", ""), ("birch", "")], 80)[0]


def test_names_share_what_there_is() -> None:
    assert sum(shared([50, 9, 30], 60)) <= 60
    assert shared([50, 9, 30], 60)[1] == 9
    assert shared([50, 50], 4) == [8, 8]
    assert len(in_the_middle("x" * 90, 11)) == 11
