"""Reads answers that come as text: JSON with `output`, or the text itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from aftercall.evals.answer import AnswerError

_BLANKS: Final = " \t\r\n"


def read_body(text: str) -> Any:
    """An object with `output` where the text is one; else the text as it is.

    >>> read_body('{"output": "30 days", "tool_calls": []}'), read_body('{"days": 30}'), read_body("30 days")
    ({'output': '30 days', 'tool_calls': []}, '{"days": 30}', '30 days')
    """
    if text.lstrip(_BLANKS)[:1] != "{" or '"output"' not in text:
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, Mapping) and "output" in found else text


def json_body(text: str) -> Any:
    """A body that is said to be JSON.

    Raises:
        AnswerError: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise AnswerError("the answer is said to be JSON and is none") from None


def found_at(value: Any, path: str) -> Any:
    """What stands at a path of names and numbers with dots; None where nothing does.

    >>> found_at({"choices": [{"text": "30 days"}]}, "choices.0.text")
    '30 days'
    """
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
