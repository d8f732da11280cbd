"""Formats are checked on the text as it was sent; details say where it breaks them, never with what."""

from __future__ import annotations

from typing import Any

import pytest

from harness.text_rules import judged

FENCED = '```json\n{"a": 1}\n```'
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["answer"],
    "properties": {
        "answer": {"type": "string", "minLength": 1},
        "next": {"enum": ["close", "escalate"]},
        "amount": {"type": "number", "maximum": 50},
        "id": {"type": "string", "pattern": "^[a-z]+$"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "additionalProperties": False,
    "$defs": {"line": {"type": "object", "additionalProperties": {"type": "integer"}}},
}
TABLES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "json": (
        {"as": "json"},
        [
            ('{"a": 1}', "pass"),
            (" [1, 2.5e3, null]\n", "pass"),
            ('"text"', "pass"),
            ("12", "pass"),
            ('{"a": 1', "fail"),
            ('{"a": 1,}', "fail"),
            ("{'a': 1}", "fail"),
            ("{a: 1}", "fail"),
            ('{"a": NaN}', "fail"),
            ("[Infinity]", "fail"),
            ('{"a": 1} {"b": 2}', "fail"),
            (FENCED, "fail"),
            ("Sure! {}", "fail"),
            ('"a\nb"', "fail"),
            ("[" * 300 + "]" * 300, "error"),
            ("1" * 5000, "error"),
        ],
    ),
    "json_schema": (
        {"as": "json_schema", "schema": SCHEMA},
        [
            ('{"answer": "yes"}', "pass"),
            ('{"answer": "yes", "next": "close", "amount": 50}', "pass"),
            ('{"answer": "yes", "lines": [{"a": 1}, {}]}', "pass"),
            ('{"answer": ""}', "fail"),
            ("{}", "fail"),
            ("[]", "fail"),
            ('{"answer": "yes", "next": "stop"}', "fail"),
            ('{"answer": "yes", "amount": 50.01}', "fail"),
            ('{"answer": "yes", "id": "A"}', "fail"),
            ('{"answer": "yes", "lines": [{"a": "1"}]}', "fail"),
            ('{"answer": "yes", "more": 1}', "fail"),
            ("not JSON", "fail"),
            ("[" * 300, "error"),
        ],
    ),
    "markdown": (
        {"as": "markdown", "require": ["headings", "list"]},
        [
            ("# A\n\n- b", "pass"),
            ("A\n===\n1. b", "pass"),
            ("text\n## A\n* b\n* c", "pass"),
            ("### A ###\n+ b", "pass"),
            ("#A\n- b", "fail"),
            ("# A\n-b", "fail"),
            ("# A", "fail"),
            ("- b", "fail"),
            ("####### A\n- b", "fail"),
            ("text # A\n- b", "fail"),
            ("    # A\n- b", "fail"),
            ("", "not_applicable"),
        ],
    ),
    "markdown, table": (
        {"as": "markdown", "require": ["table"]},
        [
            ("| a | b |\n|---|---|\n| 1 | 2 |", "pass"),
            ("a | b\n:-- | --:\n1 | 2", "pass"),
            ("| a |\n| - |", "pass"),
            ("a | b\n1 | 2", "fail"),
            ("---\n|---|", "fail"),
        ],
    ),
    "markdown, code": (
        {"as": "markdown", "require": ["code"]},
        [
            ("```\nx\n```", "pass"),
            ("a\n~~~ python\nx\n~~~", "pass"),
            ("```python\nx", "fail"),
            ("``` x ```", "fail"),
            ("`x`", "fail"),
        ],
    ),
    "markdown, any": (
        {"as": "markdown"},
        [("- a", "pass"), ("```\nx\n```", "pass"), ("plain words", "fail")],
    ),
    "regex": (
        {"as": "regex", "pattern": r"^[A-Z]{3}-\d+$"},
        [
            ("ABC-1", "pass"),
            ("ABC-123456", "pass"),
            ("abc-1", "fail"),
            ("ABCD-1", "fail"),
            ("ABC-", "fail"),
            (" ABC-1", "fail"),
            ("ABC-1\n", "fail"),
            ("ABC-1 ", "fail"),
            ("\uff21BC-1", "fail"),
            ("ABC-\u0661", "fail"),
            ("x\nABC-1", "fail"),
        ],
    ),
    "non_empty": (
        {"as": "non_empty"},
        [
            ("x", "pass"),
            (" . ", "pass"),
            ("0", "pass"),
            ("{}", "pass"),
            ("\U0001f600", "pass"),
            (" ", "fail"),
            ("\n\t\r\n", "fail"),
            ("\u00a0\u2003", "fail"),
            ("\u200b\ufeff", "fail"),
            (" \u200b ", "fail"),
            ("", "not_applicable"),
        ],
    ),
    "bare": (
        {},
        [
            ("a plain answer", "pass"),
            ('{"a": 1}', "pass"),
            ("  [1]", "pass"),
            ('"quoted"', "pass"),
            ('{"a": 1', "fail"),
            ("[1, 2", "fail"),
            ("[see above]", "fail"),
            ("  ", "fail"),
            (FENCED, "pass"),
            ("1,", "pass"),
        ],
    ),
    "words": (
        {"type": "output_length", "unit": "words", "min": 2, "max": 3},
        [
            ("a b", "pass"),
            ("a b c", "pass"),
            (" a\n\nb\t c ", "pass"),
            ("a\u00a0b", "pass"),
            ("a-b c", "pass"),
            ("caf\u00e9 ole\u0301", "pass"),
            ("a", "fail"),
            ("a b c d", "fail"),
            ("one,two,three", "fail"),
            ("\u8fd4\u91d1\u3057\u307e\u3059", "fail"),
            ("   ", "fail"),
        ],
    ),
    "characters": (
        {"type": "output_length", "unit": "characters", "min": 2, "max": 4},
        [
            ("ab", "pass"),
            ("abcd", "pass"),
            ("  ", "pass"),
            ("a\nb", "pass"),
            ("\U0001f600\U0001f600", "pass"),
            ("\u00e9\u00e9\u00e9\u00e9", "pass"),
            ("e\u0301", "pass"),
            ("a", "fail"),
            ("abcde", "fail"),
            ("\u8fd4", "fail"),
            ("", "not_applicable"),
        ],
    ),
}


@pytest.mark.parametrize(
    ("form", "text", "result"), [(form, text, result) for form, (_, rows) in TABLES.items() for text, result in rows]
)
def test_a_format_holds_or_does_not(form: str, text: str, result: str) -> None:
    found = judged({"type": "format", **TABLES[form][0]}, text)
    assert found.result == result, found
    assert found.details


@pytest.mark.parametrize(
    ("form", "text", "details"),
    [
        ("json", '{"a": secret}', "the output is not JSON: expected value at line 1 column 7"),
        ("json", FENCED, "the output is not JSON: expected value at line 1 column 1; it stands in a code fence"),
        (
            "json_schema",
            '{"answer": "yes", "amount": 99}',
            "the output does not fit the schema: /amount breaks /properties/amount/maximum",
        ),
        (
            "json_schema",
            '{"answer": "yes", "secret": 1}',
            "the output does not fit the schema: the whole breaks /additionalProperties",
        ),
        (
            "json_schema",
            '{"answer": "yes", "lines": [{}, {"secret": "x"}]}',
            "the output does not fit the schema: /lines/1/* breaks /$defs/line/additionalProperties/type",
        ),
        ("markdown", "# A", "the output has no list (looked for headings, list)"),
        ("markdown", "# A\n- b", "the output has headings, list (nothing else was looked for)"),
        ("words", "a", "1 words, fewer than 2"),
    ],
)
def test_details_say_what_was_looked_for_and_where_it_breaks(form: str, text: str, details: str) -> None:
    assert judged({"type": "format", **TABLES[form][0]}, text).details == details


def test_of_a_long_text_that_does_not_fit_the_place_is_not_named() -> None:
    text = '{"answer": "' + "x" * 20_000 + '", "amount": 51}'
    assert judged({"type": "format", "as": "json_schema", "schema": SCHEMA}, text).details == (
        "the output does not fit the schema (the place is named up to 16,384 characters)"
    )


def test_a_length_without_bounds_is_in_error() -> None:
    found = judged({"type": "output_length", "unit": "words"}, "a b")
    assert (found.result, found.details) == ("error", "there is nothing to compare with: set min or max")
