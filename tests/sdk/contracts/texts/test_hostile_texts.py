"""Whatever a text holds, each rule has one result, soon, and none of its bytes is in it."""

from __future__ import annotations

import random
import time
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.contracts.results import RESULTS
from aftercall.contracts.texts.text_pass import TextPass
from harness.text_rules import contract, judged

MIB: Final = 2**20
RULES: Final[list[dict[str, Any]]] = [
    {"type": "format"},
    {"type": "format", "as": "json"},
    {
        "type": "format",
        "as": "json_schema",
        "schema": {"additionalProperties": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    },
    {"type": "format", "as": "markdown", "require": ["headings", "list", "table", "code"]},
    {"type": "format", "as": "regex", "pattern": "(a+)+$"},
    {"type": "format", "as": "non_empty"},
    {"type": "output_length", "unit": "words", "max": 100},
    {
        "type": "prohibited_topics",
        "topics": {"rivals": ["acme corp", "caf\u00e9", "\u8fd4\u91d1"]},
        "patterns": ["(a|aa)+b"],
    },
    {"type": "required_topics", "topics": {"refund": ["refund"]}, "where": "input"},
    {"type": "safety", "topics": {"law": ["we guarantee"]}},
    {"type": "restricted_data", "patterns": [r"emp-\d{6}"], "allow": ["emp-0*"]},
]
PASS: Final = TextPass(contract(*RULES))
HOSTILE: Final = {
    "not JSON": "{" + "secret " * 100,
    "parentheses": "(" * MIB,
    "deep arrays": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "NUL": "\0" * 1000,
    "lone surrogates": "\ud800\udfff" * 1000,
    "lone surrogate in JSON": '{"a": "\ud800"}',
    "escaped surrogate": '{"a": "\\ud800"}',
    "digits": "1" * MIB,
    "groups of digits": "4111 " * (MIB // 5),
    "cards that are none": "4111111111111112 " * (MIB // 17),
    "addresses": "a@b.org " * (MIB // 8),
    "an address without end": "a." * (MIB // 2) + "@",
    "IBANs that are none": "DE88370400440532013000 " * (MIB // 23),
    "tokens": "eyJhbGciOiJIUzI1NiJ9.eyJh" * (MIB // 25),
    "one word": "a" * MIB,
    "underscores": "a_" * (MIB // 2),
    "marks": "a" + "\u0301\u0316" * (MIB // 4),
    "halfwidth marks": "a" + "\uff9e\u0301" * (MIB // 5),
    "ligatures": "\ufdfa" * (MIB // 3),
    "no width": "a\u200b" * (MIB // 4),
    "compatibility": "\u2167" * (MIB // 3),
    "numbers": "[" + "1," * 500_000 + "1]",
    "names": "{" + ",".join(f'"{i}":1' for i in range(100_000)) + "}",
    "lines": "- a\n" * (MIB // 4),
    "fences": "```\n~~~\n" * (MIB // 8),
    "bars": "|" * MIB,
    "exponent": '{"a": 1e99999}',
}


@cache
def drawn() -> dict[str, str]:
    """Hostile ones that take a second to draw, in which each process that collects the tests would wait."""
    draw = random.Random(5)
    return {
        "digits and blanks": "".join(draw.choices("0123456789 -", k=MIB)),
        "printable": "".join(map(chr, draw.choices(range(32, 127), k=MIB))),
        "planes": "".join(chr(draw.randrange(0x10000, 0x1FFFF)) for _ in range(MIB // 4)),
    }


@pytest.mark.parametrize("name", [*HOSTILE, "digits and blanks", "printable", "planes"])
def test_a_hostile_text_has_one_result_for_each_rule(name: str) -> None:
    text = HOSTILE[name] if name in HOSTILE else drawn()[name]
    begun = time.process_time()
    results = PASS.results(text, text)
    assert time.process_time() - begun < 30, "the time of some rule is not linear in the text"
    assert [found.rule for found in results] == [f"rule-{place}" for place in range(len(RULES))]
    assert not any("defect" in found.details for found in results), results
    assert all(found.result in RESULTS and found.details for found in results)


@settings(max_examples=50)
@given(st.text(), st.one_of(st.none(), st.text(st.characters(categories=["L", "M", "N", "Cf", "Cs", "Zs"]))))
def test_any_text_has_one_result_for_each_rule(output: str, given: str | None) -> None:
    results = PASS.results(given, output)
    assert len(results) == len(RULES)
    assert not any("defect" in found.details for found in results), results


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("marks", "the output cannot be searched: over 30 combining marks in a row, which no comparison can read"),
        ("halfwidth marks", "the output cannot be searched: over 30 combining marks in a row"),
        ("ligatures", "the output cannot be searched: over 1,000 characters that each stand for many"),
    ],
)
def test_a_text_that_cannot_be_searched_is_an_error_and_no_pass(name: str, words: str) -> None:
    found = judged({"type": "prohibited_topics", "topics": {"a": ["acme"]}}, HOSTILE[name])
    assert found.result == "error"
    assert found.details.startswith(words)
    assert judged({"type": "restricted_data"}, HOSTILE[name]).result == "error"


def test_no_piece_of_a_text_is_in_a_result() -> None:
    token = "zqxjkvbwpf"  # noqa: S105 - made up
    text = f'{{"{token}": "{token}@{token}.org acme corp caf\u00e9 {token} 4111 1111 1111 1111 emp-123456 we guarantee"'
    for output in (text, text + "}", f"# {token}\n{token}", f"{token} {token}"):
        results = PASS.results(text, output)
        assert any(found.result == "fail" for found in results)
        assert not any(token in repr(found) or "4111" in repr(found) or "123456" in repr(found) for found in results)
