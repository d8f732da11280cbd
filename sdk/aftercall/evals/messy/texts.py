"""Finds the text that a person wrote in a case's input, and puts another in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

QUESTIONS: Final = ("question", "input", "message", "query", "prompt", "text", "content", "body")
"""Fields of an object in which the text is looked for, in this order; else it is the longest text."""


def text_of(given: Any) -> str | None:
    """The text of an input: of a text itself, of an object one field, of a list of messages the user's last.

    >>> text_of({"question": "Where is it?", "order": "4711"}), text_of([{"role": "user", "content": "Hello"}])
    ('Where is it?', 'Hello')
    >>> text_of(7) is None
    True
    """
    if isinstance(given, str):
        return given if given.strip() else None
    place = _place(given)
    return None if place is None else text_of(given[place])


def with_text(given: Any, text: str) -> Any:
    """The same input with another text; `given` is not changed.

    >>> with_text({"question": "Where is it?", "order": "4711"}, "WHERE IS IT?")
    {'question': 'WHERE IS IT?', 'order': '4711'}
    """
    if isinstance(given, str):
        return text
    place = _place(given)
    if isinstance(given, Mapping):
        return {key: with_text(part, text) if key == place else part for key, part in given.items()}
    return [with_text(part, text) if at == place else part for at, part in enumerate(given)]


def _place(given: Any) -> Any:
    """The key or the index under which the text is; None where there is none."""
    if isinstance(given, Mapping):
        # Who speaks in a message is no question, also where its content is blank.
        texts = {key: part for key, part in given.items() if isinstance(part, str) and part.strip() and key != "role"}
        named = next((name for name in QUESTIONS if name in texts), None)
        return named or max(texts, key=lambda key: len(texts[key]), default=None)
    if isinstance(given, list | tuple):
        asked = [at for at, part in enumerate(given) if isinstance(part, Mapping) and part.get("role") == "user"]
        return next((at for at in reversed(asked) if text_of(given[at]) is not None), None)
    return None
