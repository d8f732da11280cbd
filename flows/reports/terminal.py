"""Prints results for people: what records hold is shown, and never executed, by their terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typing_extensions import override

from aftercall.printable import printable


class SafeConsole(Console):
    """A console whose output has no control codes but its own styles, and that replaces neither numbers nor emoji."""

    def __init__(self, **how: Any) -> None:
        """As rich's."""
        super().__init__(highlight=False, emoji=False, **how)

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is to be printed, piece by piece."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.replace("\n", "").isprintable():
                yield segment
            else:
                yield Segment("\n".join(map(printable, segment.text.split("\n"))), segment.style)
