"""Reads CSV as sheets export it: with commas, semicolons or tabs, in UTF-8 or UTF-16."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import Final

from aftercall.evals.case import DatasetError

_SEPARATORS: Final = ",;\t"
_MAX_CELL: Final = 16 * 1024 * 1024


def sheet_rows(raw: bytes, place: str) -> Iterator[tuple[str, dict[str, str]]]:
    r"""Each row of a sheet with its place: its cells by column, names in lower case; empty cells are left out.

    Empty rows are skipped. The separator is the one of comma, semicolon and tab that the first line has most of.

    Args:
        raw: the content of the file.
        place: the file, for messages.

    Raises:
        DatasetError: it is no such sheet.

    >>> [row for _, row in sheet_rows(b"Input;Expected\nhow long?;30 days\n;\n", "x.csv")]
    [{'input': 'how long?', 'expected': '30 days'}]
    """
    text = _text(raw, place)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    before = csv.field_size_limit(_MAX_CELL)
    try:
        names = _names(next(lines, []), place)
        for row in lines:
            yield from _row(names, row, f"{place}, line {lines.line_num}")
    except csv.Error as wrong:
        raise DatasetError(f"{place}, line {lines.line_num}: is no CSV: {wrong} (export the sheet again)") from None
    finally:
        csv.field_size_limit(before)


def _text(raw: bytes, place: str) -> str:
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = raw.count(b"\n", 0, wrong.start) + 1
        raise DatasetError(
            f"{place}, line {line}: is neither UTF-8 nor UTF-16 (export the sheet as CSV UTF-8)"
        ) from None


def _separator(text: str) -> str:
    first = text.partition("\n")[0]
    return max(_SEPARATORS, key=first.count)


def _names(header: list[str], place: str) -> list[str]:
    names = [name.strip().lower() for name in header]
    twice = next((name for at, name in enumerate(names) if name and name in names[:at]), None)
    if twice is not None:
        raise DatasetError(f"{place}, line 1: two columns are named {twice[:40]!r} (rename one of them)")
    return names


def _row(names: list[str], cells: list[str], place: str) -> Iterator[tuple[str, dict[str, str]]]:
    if any(cell.strip() for cell in cells[len(names) :]):
        raise DatasetError(
            f"{place}: a row must have at most {len(names)} cells, as the first line has; got {len(cells)} (put quotes"
            " around cells with a separator)"
        )
    row = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell.strip()}
    if row:
        yield place, row
