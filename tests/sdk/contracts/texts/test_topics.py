"""Phrases are found as whole words, in every spelling that reads the same, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from harness.text_rules import judged


def prohibited(phrase: str) -> dict[str, Any]:
    return {"type": "prohibited_topics", "topics": {"rivals": [phrase]}}


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("acme", "We recommend Acme."),
        ("Acme Corp", "ACME   corp\nis better"),
        ("acme corp", "acme\u00a0corp"),
        ("caf\u00e9", "a caf\u00e9, please"),
        ("caf\u00e9", "CAFE\u0301"),
        ("Stra\u00dfe", "HAUPT STRASSE 3"),
        ("strasse", "Gro\u00dfe Stra\u00dfe"),
        ("refund", "re\u00adfund and re\u200bfund"),
        ("refund", "\uff32\uff25\uff26\uff35\uff2e\uff24"),
        ("acme", "my_acme_account"),
        ("acme", "\u201cacme\u201d"),
        ("acme", "acme's"),
        ("c++", "C++11 is old"),
        ("$100", "US$100"),
        ("\u8fd4\u91d1", "\u5168\u989d\u8fd4\u91d1\u3057\u307e\u3059"),
        (
            "\u0e04\u0e37\u0e19\u0e40\u0e07\u0e34\u0e19",
            "\u0e02\u0e2d\u0e04\u0e37\u0e19\u0e40\u0e07\u0e34\u0e19\u0e14\u0e48\u0e27\u0e19",
        ),
        ("\ud658\ubd88", "\ud658\ubd88\uc774 \ub429\ub2c8\ub2e4"),
        ("foo_bar", "x foo_bar y"),
        ("foo_bar", "x_foo_bar"),
        ("na\u00efve", "na\u0131ve na\u00efve"),
    ],
)
def test_a_phrase_is_found_however_it_is_spelled(phrase: str, text: str) -> None:
    assert judged(prohibited(phrase), text).result == "fail"


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("acme", "acmeism and macme"),
        ("acme", "acme2"),
        ("acme", "\u00e9acme"),
        ("acme", "acme\u00e9"),
        ("acme", "acme\u0301"),
        ("caf\u00e9", "cafe"),
        ("caf\u00e9", "caf\u00e9s"),
        ("caf", "caf\u00e9"),
        ("Stra\u00dfe", "Strassen"),
        ("acme corp", "acmecorp"),
        ("acme corp", "acme-corp"),
        ("acme corp", "acme_corp"),
        ("foo_bar", "foo bar"),
        ("c++", "abc++"),
        ("\u0441\u0441\u0441\u0440", "ccc\u0440"),
        ("42", "1420 and 4 2"),
    ],
)
def test_what_is_only_near_a_phrase_is_not_found(phrase: str, text: str) -> None:
    assert judged(prohibited(phrase), text).result == "pass"


def test_a_pass_says_how_much_was_looked_for_and_no_more() -> None:
    rule = {
        "type": "prohibited_topics",
        "topics": {"rivals": ["acme", "globex"], "law": ["we guarantee"]},
        "patterns": [r"emp-\d{6}"],
    }
    assert judged(rule, "nothing of that").details == (
        "none of 3 phrases of 2 topics and 1 pattern (phrases and patterns find only what is listed)"
    )
    del rule["patterns"]
    assert judged(rule, "nothing").details == "none of 3 phrases of 2 topics (phrases find only what is listed)"


def test_a_fail_names_the_phrase_as_it_is_listed() -> None:
    rule = {"type": "safety", "topics": {"rivals": ["Acme Corp", "Globex"], "law": ["we guarantee"]}}
    found = judged(rule, "ACME\n CORP, globex; We  Guarantee it: SECRET")
    assert (found.result, found.actual, found.threshold) == ("fail", 3.0, 0.0)
    assert found.details == "topic 'rivals': phrase 'Acme Corp' and 1 more; topic 'law': phrase 'we guarantee'"


def test_of_many_topics_three_are_named() -> None:
    rule = {"type": "prohibited_topics", "topics": {name: [name] for name in "abcde"}}
    assert judged(rule, "a b c d e").details.endswith("topic 'c': phrase 'c'; and 2 more")


@pytest.mark.parametrize(
    ("pattern", "text", "result"),
    [
        (r"EMP-\d{6}", "see emp-123456", "fail"),
        (r"EMP-\d{6}", "see emp-12345", "pass"),
        (r"^refund", "Refund it", "fail"),
        (r"^refund", "a refund", "pass"),
        ("stra\u00dfe \\d+", "STRASSE 12", "fail"),
        ("[\u00e9\u00df]x", "\u00c9X", "fail"),
        (r"foo bar", "foo_bar", "pass"),
        (r"foo_b", "a foo_bar", "fail"),
        (r"(a+)+$", "a" * 50 + "!", "pass"),
        (r"a.c", "a\nc", "pass"),
        (r"(?s)a.c", "a\nc", "fail"),
    ],
)
def test_a_pattern_is_of_re2_and_takes_no_heed_of_case(pattern: str, text: str, result: str) -> None:
    assert judged({"type": "prohibited_topics", "patterns": [pattern]}, text).result == result


@pytest.mark.parametrize(
    ("more", "text", "result"),
    [
        ({}, "refund within 30 days, by our policy", "pass"),
        ({}, "refund, by our policy", "fail"),
        ({"require": "any"}, "by our policy", "pass"),
        ({"require": "any"}, "nothing", "fail"),
        ({"at_least": 2}, "refund within 30 days", "pass"),
        ({"at_least": 2}, "refund refund refund", "fail"),
        ({"at_least": 2}, "refund refunds policies", "fail"),
        ({"at_least": 1}, "POLICY", "pass"),
        ({"at_least": 3}, "refund within 30 days, by our policies", "fail"),
        ({"require": "any", "at_least": 2}, "policy", "fail"),
        ({"patterns": [r"order \d+"]}, "refund within 30 days, our policy, Order 12", "pass"),
        ({"patterns": [r"order \d+"]}, "refund within 30 days, our policy, order", "fail"),
    ],
)
def test_required_topics_must_stand_there(more: dict[str, Any], text: str, result: str) -> None:
    topics = {"what": ["refund", "money back"], "when": ["30 days"], "why": ["policy"]}
    assert judged({"type": "required_topics", "topics": topics, **more}, text).result == result


def test_required_topics_name_what_is_missing() -> None:
    found = judged({"type": "required_topics", "topics": {"what": ["refund"], "when": ["30 days"]}}, "a refund")
    assert (found.actual, found.threshold) == (1.0, 2.0)
    assert found.details == "1 of 2 topics found, at least 2 wanted; not found: 'when'"


@pytest.mark.parametrize(
    ("where", "output", "given", "result"),
    [
        ("output", "acme", "nothing", "fail"),
        ("output", "nothing", "acme", "pass"),
        ("input", "acme", "nothing", "pass"),
        ("input", "nothing", "acme", "fail"),
        ("output", None, "acme", "not_applicable"),
        ("input", "acme", None, "not_applicable"),
        ("output", "", "acme", "not_applicable"),
    ],
)
def test_a_rule_looks_where_it_says(where: str, output: str | None, given: str | None, result: str) -> None:
    found = judged({**prohibited("acme"), "where": where}, output, given)
    assert found.result == result
    if result == "not_applicable":
        assert found.details == f"no {where} was sent"


@pytest.mark.parametrize("kind", ["prohibited_topics", "required_topics", "safety"])
def test_a_rule_with_nothing_to_look_for_is_in_error_and_says_what_to_set(kind: str) -> None:
    found = judged({"type": kind}, "any text")
    assert (found.result, found.passed) == ("error", None)
    assert "set topics" in found.details
