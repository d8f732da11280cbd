"""Looks for parts of Markdown in a text: by the lines that CommonMark and its tables ask for, not by a parser."""

from __future__ import annotations

from typing import Final

from aftercall.contracts.texts.linear import compiled

PARTS: Final = {
    "headings": r"(?m)^ {0,3}#{1,6}[ \t]+[^\s#]|^[^\s|>#-][^\n]*\n {0,3}(?:=+|-{2,})[ \t]*$",
    "list": r"(?m)^[ \t]*(?:[-*+]|[0-9]{1,9}[.)])[ \t]+\S",
    "table": r"(?m)^[^\n|]*\|[^\n]*\n[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\r?$",
    "code": r"(?ms)^ {0,3}```[^\n`]*\n.*?^ {0,3}```[ \t]*\r?$|^ {0,3}~~~[^\n]*\n.*?^ {0,3}~~~[ \t]*\r?$",
}
"""By name, as in `require`: a heading with # or underlined, an item with a marker, a row over a row of dashes, a fence
that opens and closes."""


def found(text: str) -> list[str]:
    r"""The parts that are there, in the order of `PARTS`.

    >>> found("# Refund\n\n- ask\n- pay\n"), found("#refund -ask")
    (['headings', 'list'], [])
    """
    data = text.encode("utf-8", "replace")
    return [name for name, pattern in PARTS.items() if compiled(pattern).search(data) is not None]
