"""Turns phrases and patterns into what one search looks for, and confirms what it found."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Protocol

from aftercall.contracts.texts.folding import Folded, UnreadableError, folded
from aftercall.contracts.texts.linear import compiled, quoted, re2

_BEFORE: Final = r"(?:\A|[^\pL\pN\pM])"
_AFTER: Final = r"(?:[^\pL\pN\pM]|\z)"
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3005-\u3007\u3040-\u318f"
    "\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaadf\uac00-\ud7ff"
    "\uf900-\ufaff\U00020000-\U000323af]"
)
"""Thai, Lao, Tibetan, Myanmar, Khmer, Chinese, Japanese, Yi, and Korean, whose particles follow without a blank."""


class Term(Protocol):
    """Something to be found in a folded text."""

    @property
    def prefilter(self) -> str:
        """A pattern without which the term is not there: the one search takes these."""

    def stands_in(self, text: Folded) -> bool:
        """Whether the term is there, where its prefilter was."""


class PhraseTerm:
    """A phrase, as whole words: the characters before and after it are no letter, digit or mark.

    In scripts that put no blanks between words it stands anywhere. Blanks in it stand for one or more.
    """

    def __init__(self, phrase: str) -> None:
        """Take a phrase.

        Raises:
            ValueError: nothing of it can be compared.
        """
        try:
            words = folded(phrase).split()
        except UnreadableError as wrong:
            raise ValueError(f"{quoted(phrase)} has {wrong} (shorten it)") from None
        if not words:
            raise ValueError(f"{quoted(phrase)} is empty: it has nothing but blanks (remove it)")
        first, last = words[0][0], words[-1][-1]
        self.words = phrase
        self._plain_ascii = all(map(str.isascii, words)) and "_" not in phrase
        middle = r"\s+".join(map(re2().escape, words))
        # RE2's \b takes a tenth of the states of a class of Unicode, and is never too strict beside an ASCII letter.
        before, after = (r"\b" if _is_alnum(edge) and self._plain_ascii else "" for edge in (first, last))
        self.prefilter = before + middle + after
        self._exact = (_BEFORE if _is_of_word(first) else "") + middle + (_AFTER if _is_of_word(last) else "")

    def stands_in(self, text: Folded) -> bool:
        """Whether its boundaries are those of Unicode; in ASCII without underscores, those of the prefilter are."""
        return (self._plain_ascii and text.is_simple) or self.span(text) is not None

    def span(self, text: Folded) -> tuple[int, int] | None:
        """Where it first stands, in bytes of `text.data`; None where it does not."""
        match = compiled(self._exact).search(text.data)
        return None if match is None else match.span()


class PatternTerm:
    """A regular expression of RE2, for folded texts: upper and lower case are one."""

    def __init__(self, pattern: str) -> None:
        """Take a pattern.

        Raises:
            ValueError: RE2 refuses it, or it matches everywhere.
        """
        if compiled(pattern).search(b"") is not None:
            raise ValueError(f"{quoted(pattern)} matches the empty text, so that it stands everywhere (narrow it)")
        self.words = pattern
        self.prefilter = f"(?i:{_folded_literals(pattern)})"
        compiled(self.prefilter)

    def stands_in(self, text: Folded) -> bool:
        """Whether it was found in the text itself, and not in the one with blanks for underscores."""
        return text.is_simple or self.span(text) is not None

    def span(self, text: Folded) -> tuple[int, int] | None:
        """Where it first stands, in bytes of `text.data`; None where it does not."""
        match = compiled(self.prefilter).search(text.data)
        return None if match is None else match.span()


def _is_alnum(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _is_of_word(char: str) -> bool:
    """Whether there must be a boundary beside it."""
    return unicodedata.category(char)[0] in "LNM" and not _UNSPACED.match(char)


def _folded_literals(pattern: str) -> str:
    """The pattern with its characters beyond ASCII in the form of texts; ASCII ones may be its syntax."""
    if pattern.isascii():
        return pattern
    made, depth, escaped = [], 0, False
    for char in pattern:
        if not escaped and char in "[]":
            depth = max(0, depth + (1 if char == "[" else -1))
        form = char if char.isascii() else folded(char)
        made.append(form if len(form) == 1 or not depth else char)
        if len(form) > 1 and not depth:
            made[-1] = f"(?:{form})"
        escaped = char == "\\" and not escaped
    return "".join(made)
