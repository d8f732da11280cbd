"""Shows where a rule was broken in the text, for those who have asked for it: 60 characters, redacted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from aftercall.contracts.texts.folding import Folded, UnreadableError
from aftercall.printable import printable

LENGTH: Final = 60
REDACTED: Final = "[redacted]"


class Spanning(Protocol):
    """A phrase or a pattern."""

    def span(self, text: Folded) -> tuple[int, int] | None:
        """Where it first stands, in bytes of the folded text."""


class Snippets:
    """Cuts snippets; what matches a pattern of `privacy.redact` is replaced before anything is cut."""

    def __init__(self, redact: Sequence[str]) -> None:
        """`redact`: regular expressions of Python, as the setting has them."""
        self._patterns = [re.compile(pattern) for pattern in redact]

    def around(self, text: str, term: Spanning) -> str:
        """60 characters around a term, in the form in which texts are compared; empty where it was redacted."""
        try:
            folded = Folded(self._redacted(text))
        except UnreadableError:
            return ""
        span = term.span(folded)
        if span is None:
            return ""
        before = folded.data[: span[0]].decode("utf-8", "ignore")[-LENGTH:]
        there = folded.data[span[0] : span[1]].decode("utf-8", "ignore")[:LENGTH]
        after = folded.data[span[1] : span[1] + 4 * LENGTH].decode("utf-8", "ignore")[:LENGTH]
        each = (LENGTH - len(there)) // 2
        return _worded(before[len(before) - min(each, len(before)) :] + there + after[:each])

    def beginning(self, text: str) -> str:
        """The first 60 characters."""
        return _worded(self._redacted(text)[:LENGTH])

    def _redacted(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text


def _worded(text: str) -> str:
    return f" [{printable(' '.join(text.split()))[:LENGTH]}]" if text.strip() else ""
