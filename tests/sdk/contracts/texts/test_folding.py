"""Phrases are found by what a slow definition says: the folded phrase, with no letter, digit or mark beside it."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import assume, example, given
from hypothesis import strategies as st

from aftercall.contracts.texts.folding import Folded, folded
from aftercall.contracts.texts.one_search import OneSearch
from aftercall.contracts.texts.terms import PatternTerm, PhraseTerm, Term

ALPHABET = "ab\u00e9e\u0301\u00df\u1e9esS_ -+.\n\u00a0\u200b\u00ad1\u0661\u4e2d\u3042\uff21\u03c3\u03c2\u0130\ufb01"
UNSPACED = "\u4e2d\u3042"


def occurs(phrase: str, text: str) -> bool:
    """The slow definition: every place, with the characters beside it."""
    words = folded(phrase).split()
    within = folded(text)
    pattern = re.compile(r"[ \t\n\f\r]+".join(map(re.escape, words)))
    return any(
        _ends(words[0][0], within[:start][-1:]) and _ends(words[-1][-1], within[end:][:1])
        for place in range(len(within))
        if (match := pattern.match(within, place))
        for start, end in [match.span()]
    )


def _ends(edge: str, beside: str) -> bool:
    """Whether a phrase may end with `edge` where `beside` is the next character, or none."""
    if unicodedata.category(edge)[0] not in "LNM" or edge in UNSPACED or not beside:
        return True
    return unicodedata.category(beside)[0] not in "LNM"


@given(st.text(ALPHABET, min_size=1, max_size=4), st.text(ALPHABET, max_size=30))
@example("a", "_a_")
@example("a b", "a_b")
@example("\u00e9", "ae\u0301")
@example("ss", "\u1e9e")
def test_the_search_equals_the_slow_definition(phrase: str, text: str) -> None:
    assume(folded(phrase).split())
    found = OneSearch([("one", PhraseTerm(phrase))]).find(Folded(text))
    assert bool(found) == occurs(phrase, text)


@given(st.text(ALPHABET, max_size=20), st.text(ALPHABET, max_size=20), st.text(ALPHABET, max_size=20))
def test_terms_are_found_together_as_each_is_alone(left: str, right: str, text: str) -> None:
    assume(folded(left).split() and folded(right).split())
    terms: list[tuple[str, Term]] = [
        ("left", PhraseTerm(left)),
        ("right", PhraseTerm(right)),
        ("digits", PatternTerm(r"\d")),
    ]
    alone = [owner for owner, term in terms if OneSearch([(owner, term)]).find(Folded(text))]
    assert [owner for owner, _ in OneSearch(terms).find(Folded(text))] == alone


@given(st.text(ALPHABET))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert folded(folded(text)) == folded(text)
