"""Defines the rules: each makes one messy variant of a text, or none where it finds nothing to change.

A part that is quoted, code, an address or holds a digit is never misspelt, shortened or capitalised: it may be what
the answer hangs on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from aftercall.evals.messy.words import ANGER, EXCEPTION, QUOTED, REPLY, SHORT

_KEPT: Final = re.compile(
    r"\"[^\"]{0,1000}\"|“[^”]{0,1000}”|„[^“]{0,1000}“|«[^»]{0,1000}»|'[^'\n]{0,1000}'(?!\w)|`[^`]{0,1000}`"
    r"|(?<!\S)\S*[@/\\_<>{}=0-9]\S*"
)
_WORD: Final = re.compile(r"(?<![\w'’-])[a-zà-öø-ÿ]{5,}(?![\w'’-])")
_DETAIL: Final = re.compile(r"(?<!\S)#?[A-Za-z]{0,4}-?[0-9][0-9A-Za-z./:-]*(?=[\s,;.!?)]|$)[,;]?\s*")
_LINE: Final = re.compile(r"(?m)^\s*[\w -]{2,30}:\s*\S.*$\n?")
_TYPOS_PER_WORDS: Final = 6

Change = Callable[[str, str, Random], str | None]
"""Gets the text, that of another case, and what draws; gives the variant, or None."""


class MessyRule(NamedTuple):
    """One rule, and whether it changes the form of a question alone."""

    change: Change
    words: str
    form_only: bool = False
    """Whether the answer stays the same, unless the case is about the text itself."""


def typos(text: str, _: str, draw: Random) -> str | None:
    """One in six words of five letters and more has two neighbouring letters swapped, one dropped, or one doubled."""

    def misspelt(part: str) -> str:
        words = list(_WORD.finditer(part))
        chosen = draw.sample(words, min(len(words), 1 + len(words) // _TYPOS_PER_WORDS))
        for word in sorted(chosen, key=lambda match: -match.start()):
            part = part[: word.start()] + _misspelt(word[0], draw) + part[word.end() :]
        return part

    return _changed(text, misspelt)


def _misspelt(word: str, draw: Random) -> str:
    at = draw.randrange(1, len(word) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    made = draw.choice([swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]])
    return made if made != word else word[:at] + word[at] + word[at:]


def capitals(text: str, _: str, __: Random) -> str | None:
    """All letters are capital, but for those whose capital is no single letter of the same word."""

    def shouted(part: str) -> str:
        return "".join(
            char.upper() if char.upper().lower() == char and len(char.upper()) == 1 else char for char in part
        )

    return _changed(text, shouted)


def abbreviations(text: str, _: str, __: Random) -> str | None:
    """Words and phrases of a list are written as in a chat; English only."""
    phrases = sorted(SHORT, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w'’-])({'|'.join(phrases)})(?![\w'’-])", re.IGNORECASE)
    return _changed(text, lambda part: pattern.sub(lambda found: SHORT[found[1].lower()], part))


def anger(text: str, _: str, draw: Random) -> str | None:
    """A sentence of a list stands before or after it."""
    sentence = draw.choice(ANGER)
    return f"{sentence} {text}" if draw.random() < 0.5 else f"{_closed(text)} {sentence}"


def quoted_contradiction(text: str, _: str, draw: Random) -> str | None:
    """A quotation of a list contradicts what it asks about."""
    return f"{_closed(text)} {draw.choice(QUOTED)}"


def exception(text: str, _: str, draw: Random) -> str | None:
    """An exception from the rules is asked for."""
    return f"{_closed(text)} {draw.choice(EXCEPTION)}"


def repeated(text: str, _: str, __: Random) -> str | None:
    """The question comes again after an answer that says nothing."""
    return f"{text}\n\n> {REPLY}\n\n{text}"


def two_questions(text: str, other: str, _: Random) -> str | None:
    """The question of another case is asked as well."""
    return f"{_closed(text)} And another thing: {other}" if other and other != text else None


def missing_field(text: str, _: str, draw: Random) -> str | None:
    """A line such as `Order: 4711`, or else a number or a code, is left out."""
    found = [*_LINE.finditer(text)] if text.count("\n") else []
    found = found or [*_DETAIL.finditer(text)]
    if not found:
        return None
    gone = draw.choice(found)
    less = (text[: gone.start()] + text[gone.end() :]).strip()
    return less if less and less != text else None


def _closed(text: str) -> str:
    """The text with the end of a sentence."""
    text = text.rstrip()
    return text if not text or text[-1] in ".?!…" else f"{text}."


def _changed(text: str, change: Callable[[str], str]) -> str | None:
    """The text with all parts changed that may be; None where none is."""
    parts, at = [], 0
    for kept in _KEPT.finditer(text):
        parts += [change(text[at : kept.start()]), kept[0]]
        at = kept.end()
    made = "".join([*parts, change(text[at:])])
    return made if made != text else None


MESSY: Final[dict[str, MessyRule]] = {
    "missing_field": MessyRule(missing_field, "a field missing"),
    "two_questions": MessyRule(two_questions, "two questions in one"),
    "typos": MessyRule(typos, "typos", form_only=True),
    "capitals": MessyRule(capitals, "capitals", form_only=True),
    "abbreviations": MessyRule(abbreviations, "abbreviations", form_only=True),
    "anger": MessyRule(anger, "anger"),
    "quoted_contradiction": MessyRule(quoted_contradiction, "a quoted contradiction"),
    "exception": MessyRule(exception, "an exception asked for"),
    "repeated": MessyRule(repeated, "the question repeated after an answer"),
}
