"""Searches a text for all phrases and patterns of a contract at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from aftercall.contracts.texts.folding import Folded
from aftercall.contracts.texts.linear import options, re2
from aftercall.contracts.texts.terms import Term

MAX_BYTES: Final = 32 * 1024 * 1024
"""Memory of the compiled set and of the states that its searches have seen; where it is full, states are made again.
200 phrases take 6 MB, 20,000 all of it."""
_END: Final = r"\z"
"""Found in every text: where it is not, RE2 has given the search up for want of memory, which its wrapper hides."""
_Owner = TypeVar("_Owner")


class OneSearch(Generic[_Owner]):
    """Terms of several owners, found in one pass over a text in linear time."""

    def __init__(self, terms: Sequence[tuple[_Owner, Term]]) -> None:
        """Compile the terms, 20 us each.

        Raises:
            ValueError: together they are too many; one clause.
        """
        self._terms = list(terms)
        module = re2()
        self._set = module.Set.SearchSet(options(MAX_BYTES))
        for _, term in terms:
            self._set.Add(term.prefilter.encode("utf-8", "replace"))
        self._end = self._set.Add(_END.encode())  # the last, and so the greatest index
        self._nothing = [self._end]
        try:
            self._set.Compile()
        except module.error:
            raise ValueError(f"{len(terms):,} phrases and patterns are too many for one search") from None

    def find(self, text: Folded) -> list[tuple[_Owner, Term]]:
        """The terms that stand in a text, by owner, in the order in which they were given.

        About 2 ns a byte; five times that while the set meets states for the first time. A text with underscores is
        searched twice, as these end words for phrases, and are characters like others for patterns.

        Raises:
            MemoryError: the set could not search, which must not look like a text in which nothing is found.
        """
        found = self._indices(text.data)
        if text.spaced is not None:
            found = sorted({*found, *self._indices(text.spaced)})
        return [self._terms[i] for i in found if self._terms[i][1].stands_in(text)] if found else []

    def _indices(self, data: bytes) -> list[int]:
        found: list[int] = self._set.Match(data) or []
        if found == self._nothing:
            return []
        if self._end not in found:
            raise MemoryError("RE2 gave a search up")
        return sorted(found)[:-1]
