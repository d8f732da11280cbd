"""Defines the facets of a call: strata by which a drop is split, read from its first record.

A code of 32 bits has them all, by the values alone: no table of names, and the same in every shard, batch and run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FACETS: Final = ("tokens_in", "tools", "language")
"""In this order they are shown. `session_length` stands beside them; it is not of one record."""
SESSION_LENGTH: Final = "session_length"
IN_WORDS: Final = (*FACETS, SESSION_LENGTH)
OTHER_VALUE: Final = "other"

TOKEN_BOUNDS: Final = (0, 256, 1024, 4096, 16384, 65536, 262144)
"""Least `tokens_in` of each stratum: fourfold, so that few strata have many calls each."""
COUNT_BOUNDS: Final = (0, 1, 2, 4, 8)
"""Least number of tool calls of each stratum."""
LENGTH_BOUNDS: Final = (1, 2, 4, 8)
"""The same of outcomes of a session."""

FAILED: Final = 8
"""Bit of calls of which a tool failed; below it is the stratum of their number, from 1."""
TOKENS_AT: Final = 4
"""First bit of the stratum of `tokens_in`, from 1."""
LANGUAGE_AT: Final = 8
"""First bit of the code of the language, to the highest."""

_OTHER_LANGUAGE: Final = 1
_LETTERS: Final = 27
_LONGEST: Final = 3


def language_code(text: str) -> int:
    """A tag such as `de-AT` by its first part where that is of two or three letters; all others are one. > 0.

    >>> facet_values(language_code("de-AT") << LANGUAGE_AT), facet_values(language_code("German") << LANGUAGE_AT)
    ({'language': 'de'}, {'language': 'other'})
    """
    tag = text.strip().lower().replace("_", "-").partition("-")[0]
    if not (2 <= len(tag) <= _LONGEST and tag.isascii() and tag.isalpha()):
        return _OTHER_LANGUAGE
    code = 0
    for letter in tag:
        code = code * _LETTERS + ord(letter) - ord("a") + 1
    return code + _OTHER_LANGUAGE


def facet_values(code: int) -> dict[str, str]:
    """The facets that a code has, as they are shown.

    >>> facet_values(2 << TOKENS_AT | FAILED | 3)
    {'tokens_in': '256 to 1023', 'tools': '2 to 3, failed'}
    """
    found = {name: read(code) for name, read in _READ.items()}
    return {name: value for name, value in found.items() if value}


def in_words(facet: str, value: str) -> str:
    """Calls of a stratum, as sentences name them.

    >>> in_words("tokens_in", "256 to 1023"), in_words("tools", "2 to 3, failed")
    ('calls with 256 to 1023 input tokens', 'calls with 2 to 3 tool calls of which one failed')
    >>> in_words("language", "de"), in_words(SESSION_LENGTH, "8 and more")
    ("calls in language 'de'", 'sessions with 8 and more outcomes')
    """
    if facet == "tools":
        count, _, failed = value.partition(", ")
        return f"calls with {count} tool calls" + (" of which one failed" if failed else "")
    words = {"tokens_in": "calls with {} input tokens", "language": "calls in language '{}'"}
    return words.get(facet, "sessions with {} outcomes").format(value)


def stratum_text(bounds: tuple[int, ...], at: int) -> str:
    """The numbers of a stratum.

    >>> [stratum_text(COUNT_BOUNDS, at) for at in range(5)]
    ['0', '1', '2 to 3', '4 to 7', '8 and more']
    """
    low = bounds[at]
    if at + 1 == len(bounds):
        return f"{low} and more"
    return f"{low}" if bounds[at + 1] == low + 1 else f"{low} to {bounds[at + 1] - 1}"


def _tokens(code: int) -> str:
    stratum = code >> TOKENS_AT & 15
    return stratum_text(TOKEN_BOUNDS, stratum - 1) if stratum else ""


def _tools(code: int) -> str:
    stratum = code & 7
    return stratum_text(COUNT_BOUNDS, stratum - 1) + (", failed" if code & FAILED else "") if stratum else ""


def _language(code: int) -> str:
    rest = (code >> LANGUAGE_AT) - _OTHER_LANGUAGE
    if rest <= 0:
        return OTHER_VALUE if rest == 0 else ""
    letters = ""
    while rest:
        rest, letter = divmod(rest, _LETTERS)
        letters = chr(ord("a") + letter - 1) + letters
    return letters


_READ: Final[dict[str, Callable[[int], str]]] = {"tokens_in": _tokens, "tools": _tools, "language": _language}
