"""Finds data of one kind: a pattern that finds candidates, and a check of each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from aftercall.contracts.texts.folding import Folded
from aftercall.contracts.texts.linear import compiled
from aftercall.errors import UserError

MAX_CANDIDATES: Final = 1000
"""Of one kind in one text: 1,000 take 5 ms. Where none of so many is data and there are more, the rule is in error."""


BEFORE: Final = r"(?:\A|[^\pL\pN\pM])"
"""What stands before a candidate that is no part of a word, in RE2."""
_BEFORE: Final = re.compile(rb"\A[^0-9A-Za-z]+")


class TooManyError(UserError, ValueError):
    """More candidates than are examined; one clause."""


class Found(NamedTuple):
    """What stands in a text: values, `all` of them or the first ones."""

    values: list[str]
    all: bool


class DataKind(NamedTuple):
    """A kind of data.

    Attributes:
        name: as in `detect`.
        prefilter: a pattern for the folded text, without which there is none; a term of the one search.
        candidates: a pattern for the text before its case was folded; it has no groups, which would cost a second pass.
            It may begin with the character before a candidate that itself begins with an ASCII letter or digit.
        check: the values that a candidate holds, given the candidate, the text and where in it the candidate ends.
        whole: a candidate that ends within a word is none.
    """

    name: str
    prefilter: str
    candidates: str
    check: Callable[[bytes, bytes, int], Iterator[str]]
    whole: bool = True

    @property
    def words(self) -> str:
        """As messages name it."""
        return self.name

    def stands_in(self, text: Folded) -> bool:
        """Whether it may be there: `find` decides."""
        return text.is_simple or compiled(self.prefilter).search(text.data) is not None

    def find(self, text: Folded, is_allowed: Callable[[str], bool]) -> Found:
        """The values in a text that are not allowed.

        Raises:
            TooManyError: there are more candidates than are examined, and none of those is a value.
        """
        values: list[str] = []
        try:
            for candidate, end in self._candidates(text.cased):
                values += [value for value in self.check(candidate, text.cased, end) if not is_allowed(value)]
        except TooManyError:
            if not values:
                raise
            return Found(values, all=False)
        return Found(values, all=True)

    def _candidates(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """Candidates, without the character before them, and where each ends."""
        pattern, end, bounded = compiled(self.candidates), 0, self.candidates.startswith(r"(?:\A|")
        for _ in range(MAX_CANDIDATES):
            match = pattern.search(data, end)
            if match is None:
                return
            start, end = match.span()
            if not (self.whole and is_of_word(data[end : end + 4])):
                candidate = data[start:end]
                yield (_BEFORE.sub(b"", candidate) if bounded else candidate), end
        raise TooManyError(f"more than {MAX_CANDIDATES:,} places look like {self.name}, of which none of the first is")


def is_of_word(following: bytes) -> bool:
    """Whether bytes begin with a letter, a digit or a mark."""
    first = following.decode("utf-8", "ignore")[:1]
    return bool(first) and unicodedata.category(first)[0] in "LNM"
