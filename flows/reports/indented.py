"""Prints text indented, without blanks at the ends of lines."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def indented(text: str, console: Console, by: int = 2) -> None:
    """Print a text, wrapped to the width that is left."""
    for line in Text(text).wrap(console, max(console.width - by, 1)):
        line.rstrip()
        console.print(Text(" " * by) + line)
