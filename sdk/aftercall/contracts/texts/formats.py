"""Judges the rule on the format of the output, on the text as it was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic_core import from_json

from aftercall.contracts.params.texts import Format
from aftercall.contracts.results import Finding, fails, in_error, passes
from aftercall.contracts.texts import markdown
from aftercall.contracts.texts.linear import compiled
from aftercall.contracts.texts.schemas import Schema

MOST_PLACED: Final = 16_384
"""Characters of a text up to which the place is named where it does not fit its schema: naming it may cost much."""
_FENCE: Final = "```"
_BLANKS: Final = " \t\r\n\ufeff\u200b\u200c\u200d\u2060"

FormatCheck = Callable[[str], Finding]


def check_of(params: Format) -> FormatCheck:
    """What judges the output by a rule.

    Raises:
        ValueError: the rule's pattern or schema is refused; one clause that begins with its key.
    """
    if params.as_ == "json":
        return lambda text: _parsed(text)[1]
    if params.as_ == "non_empty":
        return _non_empty
    if params.as_ == "markdown":
        return lambda text: _markdown(text, params.require)
    if params.as_ == "json_schema":
        return _fitting(params)
    return _bare if params.as_ is None else _matching(params)


def _matching(params: Format) -> FormatCheck:
    try:
        pattern = compiled(params.pattern or "")
    except ValueError as wrong:
        raise ValueError(f"pattern: {wrong}") from None

    def judge(text: str) -> Finding:
        if pattern.search(text.encode("utf-8", "replace")) is not None:
            return passes("the output has a match of the pattern")
        return fails("the output has no match of the pattern")

    return judge


def _fitting(params: Format) -> FormatCheck:
    try:
        schema = Schema(params.schema_ or {})
    except ValueError as wrong:
        raise ValueError(f"schema: {wrong}") from None

    def judge(text: str) -> Finding:
        value, finding = _parsed(text)
        if finding.result != "pass":
            return finding
        if schema.fits(value):
            return passes("the output fits the schema")
        if len(text) > MOST_PLACED:
            return fails(f"the output does not fit the schema (the place is named up to {MOST_PLACED:,} characters)")
        return fails(f"the output does not fit the schema: {schema.misfit(value)}")

    return judge


def _bare(text: str) -> Finding:
    """Not empty, and JSON where it begins like JSON: a bare rule is no silent pass."""
    if text.lstrip(_BLANKS)[:1] in {"{", "["}:
        return _parsed(text)[1]
    return _non_empty(text)


def _non_empty(text: str) -> Finding:
    if text.strip(_BLANKS).strip():
        return passes("the output is not empty", float(len(text)))
    return fails("the output is nothing but blanks", 0.0)


def _markdown(text: str, require: list[Any]) -> Finding:
    there = markdown.found(text)
    if not require:
        if there:
            return passes(f"the output has {', '.join(there)}")
        return fails(f"the output has none of {', '.join(markdown.PARTS)}")
    missing = [part for part in dict.fromkeys(require) if part not in there]
    if missing:
        return fails(f"the output has no {', '.join(missing)} (looked for {', '.join(require)})")
    return passes(f"the output has {', '.join(dict.fromkeys(require))} (nothing else was looked for)")


def _parsed(text: str) -> tuple[Any, Finding]:
    """The value that a text is as JSON (RFC 8259), and whether it is one."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return None, fails("the output is not JSON: it has half of a surrogate pair")
    try:
        return from_json(data, allow_inf_nan=False, cache_strings="none"), passes("the output is JSON")
    except ValueError as wrong:
        said = str(wrong)  # what is wrong and where, without a piece of the text
        if "recursion limit" in said:
            return None, in_error("the output is nested over 200 levels deep, which is not read")
        if "number out of range" in said:
            return None, in_error("the output has a number of over 4,300 digits, which is not read")
        hint = "; it stands in a code fence" if text.lstrip().startswith(_FENCE) else ""
        return None, fails(f"the output is not JSON: {said}{hint}")
