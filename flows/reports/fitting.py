"""Fits tables of models to the width of the terminal: names are cut in the middle, and columns left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from aftercall.printable import printable

_GAP: Final = 2
_LEAST: Final = 8
"""Columns that a name has in any case."""


class Column(NamedTuple):
    """One column of figures or words; `least`: it is left out on terminals of fewer columns."""

    title: str
    cells: Sequence[str | Text]
    least: int = 0
    left: bool = False

    @property
    def width(self) -> int:
        """Of the widest cell."""
        return max(len(self.title), *(len(cell) for cell in self.cells), 0)


def fitted(
    names: Sequence[tuple[str, ...]],
    titles: tuple[str, ...],
    columns: Sequence[Column],
    width: int,
    styles: Sequence[str | None] = (),
) -> Table:
    """A table that is at most `width` wide, if `width` is 40 or more.

    Args:
        names: Of each row, one for each of `titles`; a column of names that are all empty is left out.
        titles: Of the columns of names.
        columns: What follows, with a cell for each row.
        width: Of the terminal.
        styles: Of the rows.
    """
    kept = [column for column in columns if column.least <= width]
    present = [at for at in range(len(titles)) if any(row[at] for row in names)] or [0]
    natural = [max(len(titles[at]), *(len(printable(row[at])) for row in names), 0) for at in present]
    room = width - sum(column.width + _GAP for column in kept) - _GAP * (len(natural) - 1)
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, _GAP - 1, 0, 0), pad_edge=False)
    for at in present:
        table.add_column(titles[at], no_wrap=True)
    for column in kept:
        table.add_column(column.title, justify="left" if column.left else "right", no_wrap=True)
    given = shared(natural, room)
    for row, name in enumerate(names):
        cut = [Text(in_the_middle(printable(name[at]), most)) for at, most in zip(present, given, strict=True)]
        table.add_row(*cut, *(column.cells[row] for column in kept), style=styles[row] if styles else None)
    return table


def shared(natural: Sequence[int], room: int) -> list[int]:
    """Widths for names: what each needs, as long as there is room; what is short is shared by the widest.

    >>> shared([10, 5], 40), shared([40, 5], 20), shared([40, 40], 20)
    ([10, 5], [15, 5], [10, 10])
    """
    given: dict[int, int] = {}
    for rank, at in enumerate(sorted(range(len(natural)), key=natural.__getitem__)):
        fair = (room - sum(given.values())) // (len(natural) - rank)
        given[at] = min(natural[at], max(fair, _LEAST))
    return [given[at] for at in range(len(natural))]


def in_the_middle(name: str, most: int) -> str:
    """A name cut in the middle: what tells names apart is mostly at their ends.

    >>> in_the_middle("anthropic/claude-large-2026-04-01", 20)
    'anthropic/…026-04-01'
    """
    if len(name) <= most:
        return name
    head = most // 2
    return f"{name[:head]}…{name[len(name) - (most - head - 1) :]}"


def config_name(config: str | None) -> str:
    """A config, empty where it is the default: a column of these alone is left out."""
    return "" if config in (None, "default") else config or ""
