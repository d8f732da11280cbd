"""Brings texts and phrases into one form, in which what reads the same is the same.

The form is NFKC, case-folded, without characters that have no width: "STRASSE" and "Straße" are one, and so are
"refund" and "re\u00adfund" with a soft hyphen in it. Blanks and underscores stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from typing import Final

from aftercall.contracts.texts.linear import compiled
from aftercall.errors import UserError

MAX_MARKS: Final = 30
"""Combining marks in a row, as Unicode's stream-safe format has them. Normalizing a run costs the square of its length:
a text of 4,000 takes 16 ms, and one of 1 MiB minutes."""
MAX_EXPANDING: Final = 1000
"""Characters of a long text that stand for 5 to 18 others: 1 MiB of them takes .3 s to normalize."""
_SHORT: Final = 10_000
_EXPANDING: Final = "㌇㌕㌖㌗㌙㌚㌠㌫㌮㌲㌴㌶㍇㍊㍖㎮㎯ﷺﷻ"
_NO_WIDTH: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_MARKS: Final = rf"[\pM\x{{ff9e}}\x{{ff9f}}]{{{MAX_MARKS + 1}}}"


class UnreadableError(UserError, ValueError):
    """A text that cannot be brought into the form in reasonable time; one clause, without a piece of it."""


def normalized(text: str) -> str:
    r"""The text without characters that have no width, in NFKC; upper and lower case stay.

    About 10 ns a character that is not ASCII; a text in ASCII is returned as it is.

    Raises:
        UnreadableError: over 30 combining marks in a row, or over 1,000 characters that stand for many.

    >>> normalized("\uff32e\u00adfund \u2460")
    'Refund 1'
    """
    if text.isascii():
        return text
    text = _NO_WIDTH.sub("", text)
    if compiled(_MARKS).search(text.encode("utf-8", "replace")):
        raise UnreadableError(f"over {MAX_MARKS} combining marks in a row, which no comparison can read")
    if len(text) > _SHORT and sum(map(text.count, _EXPANDING)) > MAX_EXPANDING:
        raise UnreadableError(
            f"over {MAX_EXPANDING:,} characters that each stand for many, which take too long to compare"
        )
    return unicodedata.normalize("NFKC", text)


def folded(text: str) -> str:
    r"""The text in the form in which texts are compared.

    Raises:
        UnreadableError: see `normalized`.

    >>> folded("STRASSE"), folded("Stra\u00dfe"), folded("caf\u00e9") == folded("cafe\u0301")
    ('strasse', 'strasse', True)
    """
    return text.casefold() if text.isascii() else _case_folded(normalized(text))


def _case_folded(text: str) -> str:
    # Folding the case can undo the form: an accent after a sharp s belongs to the second of the two letters.
    return unicodedata.normalize("NFKC", text.casefold())


class Folded:
    """One text in the forms that searches take.

    Lone surrogates become question marks: they are no letters and no digits.
    """

    def __init__(self, text: str) -> None:
        """Fold a text.

        Raises:
            UnreadableError: see `normalized`.
        """
        self.is_ascii = text.isascii()
        self._plain = text if self.is_ascii else normalized(text)
        folded = text.casefold() if self.is_ascii else _case_folded(self._plain)
        self.data = folded.encode("utf-8", "replace")
        self.spaced = self.data.replace(b"_", b" ") if b"_" in self.data else None
        """`data` with blanks for underscores, which are no part of a word; None where it has none."""

    @cached_property
    def is_simple(self) -> bool:
        """ASCII without underscores: there, RE2's word boundaries are those of Unicode."""
        return self.is_ascii and self.spaced is None

    @cached_property
    def cased(self) -> bytes:
        """The text before its case was folded."""
        return self._plain.encode("utf-8", "replace")
