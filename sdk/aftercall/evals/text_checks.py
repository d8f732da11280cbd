"""Checks the text of an answer: equal, contains, matches, is JSON, fits a schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from aftercall.contracts.texts.linear import compiled
from aftercall.contracts.texts.schemas import Schema as JsonSchema
from aftercall.evals.answer import Answer

AnswerLook = Callable[[Answer], "str | None"]
"""What is wrong with an answer, in a clause without a piece of any text; None where nothing is."""


class TextCheck(NamedTuple):
    """One type of check: what it is made from, and what makes it."""

    make: Callable[[Any], AnswerLook]
    """Takes `value`. Raises ValueError where that is wrong: one clause."""
    wants: str
    """What `value` must be; empty where it takes none."""


def plain_text(text: str) -> str:
    """Without blanks around it, and in lower case.

    >>> plain_text(" 30 Days ")
    '30 days'
    """
    return text.strip().lower()


def is_equal(value: Any) -> AnswerLook:
    """The answer is the expected one: of texts stripped and in lower case, of anything else as JSON."""
    if isinstance(value, str):
        wanted = plain_text(value)
        return lambda answer: None if plain_text(answer.text) == wanted else "is not the expected text"

    def look(answer: Answer) -> str | None:
        found, given = _json_of(answer)
        return "is no JSON" if not found else None if _same(given, value) else "is not the expected JSON"

    return look


def is_equal_strictly(value: Any) -> AnswerLook:
    """The answer is the expected one to the character; of what is no text, as JSON."""
    return (
        is_equal(value)
        if not isinstance(value, str)
        else (lambda answer: None if answer.text == value else "is not the expected text")
    )


def is_one_of(value: Any) -> AnswerLook:
    """The answer is one of several, each compared as `exact` does."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("must be a list of answers that are right")
    looks = [is_equal(one) for one in value]
    return lambda answer: None if any(look(answer) is None for look in looks) else "is none of the expected answers"


def contains(value: Any) -> AnswerLook:
    """Each text stands in the answer."""
    texts = _texts(value)
    return lambda answer: _missing(answer.text, texts)


def contains_in_any_case(value: Any) -> AnswerLook:
    """Each text stands in the answer, in upper or lower case."""
    texts = [text.lower() for text in _texts(value)]
    return lambda answer: _missing(answer.text.lower(), texts)


def lacks(value: Any) -> AnswerLook:
    """None of the texts stands in the answer, in upper or lower case."""
    texts = [text.lower() for text in _texts(value)]

    def look(answer: Answer) -> str | None:
        there = [at for at, text in enumerate(texts, 1) if text in answer.text.lower()]
        return f"contains {_which(there[0], texts)}" if there else None

    return look


def matches(value: Any) -> AnswerLook:
    """The answer has a match of a pattern of RE2, whose time is linear in the text."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a pattern of RE2")
    pattern = compiled(value)

    def look(answer: Answer) -> str | None:
        found = pattern.search(answer.text.encode("utf-8", "replace"))
        return "has no match of the pattern" if found is None else None

    return look


def is_json(_: Any) -> AnswerLook:
    """The answer is JSON."""
    return lambda answer: None if _json_of(answer)[0] else "is no JSON"


def fits(value: Any) -> AnswerLook:
    """The answer is JSON that fits a schema."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a JSON Schema, which is an object")  # noqa: TRY004 - of the data set
    schema = JsonSchema(value)

    def look(answer: Answer) -> str | None:
        found, given = _json_of(answer)
        if not found:
            return "is no JSON"
        return None if schema.fits(given) else f"does not fit the schema: {schema.misfit(given)}"

    return look


TEXT_CHECKS: Final[dict[str, TextCheck]] = {
    "exact": TextCheck(is_equal, "a text, or JSON"),
    "equals": TextCheck(is_equal_strictly, "a text, or JSON"),
    "one_of": TextCheck(is_one_of, "a list of answers"),
    "contains": TextCheck(contains, "a text, or a list of texts"),
    "icontains": TextCheck(contains_in_any_case, "a text, or a list of texts"),
    "not_contains": TextCheck(lacks, "a text, or a list of texts"),
    "regex": TextCheck(matches, "a pattern of RE2"),
    "json": TextCheck(is_json, ""),
    "json_schema": TextCheck(fits, "a JSON Schema"),
}
"""By `type`. Where a check has no `value`, it is the `expected` of its case."""


def _texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(one, str) and one for one in texts):
        raise ValueError("must be a text, or a list of texts, and none of them empty")
    return list(texts)


def _missing(text: str, wanted: list[str]) -> str | None:
    missing = [at for at, one in enumerate(wanted, 1) if one not in text]
    return f"does not contain {_which(missing[0], wanted)}" if missing else None


def _which(at: int, texts: list[str]) -> str:
    return "the text" if len(texts) == 1 else f"text {at} of {len(texts)}"


def _json_of(answer: Answer) -> tuple[bool, Any]:
    """Whether the output is JSON, and what it holds: as it was given, or read from text."""
    if not isinstance(answer.output, str):
        return True, answer.output
    try:
        return True, json.loads(answer.output, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False, None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _same(given: Any, wanted: Any) -> bool:
    """Equal as JSON: 2 is 2.0, and true is not 1."""
    if isinstance(given, bool) or isinstance(wanted, bool):
        return given is wanted
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        return given.keys() == wanted.keys() and all(_same(given[key], one) for key, one in wanted.items())
    if isinstance(wanted, list | tuple) and isinstance(given, list | tuple):
        return len(given) == len(wanted) and all(map(_same, given, wanted))
    return bool(given == wanted)
