"""Messy variants stand beside their originals, and keep an answer only where the change cannot alter it."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.evals.case import EvalCase
from aftercall.evals.messy.rules import MESSY
from aftercall.evals.messy.texts import text_of, with_text
from aftercall.evals.messy.variants import OPEN, TAG, messy_variants

ORDER = EvalCase(id="order", input="Please check where my order 4711 is.", expected="It arrives on Friday.")
RETURN = EvalCase(id="return", input="How long may I return shoes?", expected="30 days", tags=("shop",))
WORDS = st.text(alphabet="abcdefgh IJK 12 .?'\"@ß", min_size=1, max_size=60)
INPUTS = (
    WORDS
    | st.fixed_dictionaries({"question": WORDS, "order": st.integers()})
    | st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": WORDS}), max_size=3)
    | st.integers()
)
CASES = st.lists(
    st.builds(
        lambda number, given, expected: EvalCase(id=f"c{number}", input=given, expected=expected),
        st.integers(0, 10**6),
        INPUTS,
        st.none() | WORDS,
    ),
    max_size=4,
    unique_by=lambda case: case.id,
)


def made(case: EvalCase, rule: str) -> EvalCase:
    (variant,) = messy_variants([case, RETURN], [rule]).variants[:1]
    return variant


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("missing_field", "Please check where my order is."),
        ("two_questions", "Please check where my order 4711 is. And another thing: How long may I return shoes?"),
        ("capitals", "PLEASE CHECK WHERE MY ORDER 4711 IS."),
        ("abbreviations", "pls check where my order 4711 is."),
        ("repeated", f"{ORDER.input}\n\n> Thank you for your message. We will look into it.\n\n{ORDER.input}"),
    ],
)
def test_each_rule_on_a_polite_case(rule: str, words: str) -> None:
    assert made(ORDER, rule).input == words


@pytest.mark.parametrize("rule", ["typos", "anger", "quoted_contradiction", "exception"])
def test_rules_that_draw_change_the_text_and_keep_its_number(rule: str) -> None:
    variant = made(ORDER, rule)
    assert variant.input != ORDER.input
    assert "4711" in variant.input


@pytest.mark.parametrize("rule", MESSY)
def test_a_variant_is_tagged_and_names_its_original(rule: str) -> None:
    variant = messy_variants([RETURN, ORDER], [rule]).variants[-1]
    assert TAG in variant.tags
    assert rule in variant.tags
    assert variant.metadata["messy"]["of"] == variant.id.partition("~")[0]


@pytest.mark.parametrize("rule", MESSY)
def test_an_answer_is_kept_under_changes_of_form_alone(rule: str) -> None:
    variant = made(ORDER, rule)
    assert (variant.expected is not None) == MESSY[rule].form_only
    assert (OPEN in variant.tags) != MESSY[rule].form_only


@pytest.mark.parametrize(
    "text",
    [
        "Please translate the word horse into French for me.",
        "Please spell receive for me.",
        "How many letters has the longest river?",
        "Please summarise this message for the board.",
    ],
)
def test_an_answer_is_left_out_where_the_question_is_about_its_own_text(text: str) -> None:
    variants = messy_variants([EvalCase(id="a", input=text, expected="x")], ["typos", "capitals", "abbreviations"])
    assert variants.variants
    assert all(one.expected is None and OPEN in one.tags for one in variants.variants)


def test_an_answer_is_left_out_where_one_of_its_words_was_misspelt() -> None:
    case = EvalCase(id="a", input="amsterdam rotterdam", checks=({"type": "contains", "value": "Amsterdam Rotterdam"},))
    (variant,) = messy_variants([case], ["typos"]).variants
    assert variant.checks == ()


def test_what_is_quoted_or_has_a_digit_is_never_touched() -> None:
    text = 'please compare "please send" with parcel4711x and jo@example.org thanks'
    for rule in ("typos", "capitals", "abbreviations"):
        variant = made(EvalCase(id="a", input=text), rule).input
        assert all(part in variant for part in ('"please send"', "parcel4711x", "jo@example.org")), variant


def test_the_caller_may_vouch_that_the_answer_stays() -> None:
    (variant,) = messy_variants([RETURN], ["anger"], vouched=["anger"]).variants
    assert (variant.expected, OPEN in variant.tags) == ("30 days", False)


def test_variants_are_no_originals_and_ids_never_meet() -> None:
    first = messy_variants([RETURN], ["capitals"]).variants
    assert messy_variants(first, ["anger"]).variants == ()
    again = messy_variants([RETURN, *first], ["capitals"]).variants
    assert [one.id for one in again] == ["return~capitals-2"]


def test_what_gave_a_rule_nothing_to_change_is_counted() -> None:
    assert messy_variants([EvalCase(id="a", input=7)], ["typos", "anger"]).without == {"typos": 1, "anger": 1}


@given(CASES, st.integers(0, 5))
def test_the_same_seed_writes_the_same_variants_and_no_original_changes(cases: list[EvalCase], seed: int) -> None:
    before = [json.dumps(case.input) for case in cases]
    first, second = messy_variants(cases, seed=seed), messy_variants(list(cases), seed=seed)
    assert first == second
    assert [json.dumps(case.input) for case in cases] == before
    ids = [case.id for case in (*cases, *first.variants)]
    assert len(set(ids)) == len(ids)
    originals = {case.id: case for case in cases}
    for variant in first.variants:
        original = originals[variant.metadata["messy"]["of"]]
        assert variant.input != original.input
        assert variant.expected in {None, original.expected}
        json.dumps(variant.input)


@given(st.sampled_from(sorted(MESSY)), st.text(min_size=1, max_size=80), st.text(max_size=20), st.integers())
def test_a_rule_takes_any_text(rule: str, text: str, other: str, seed: int) -> None:
    changed = MESSY[rule].change(text, other, Random(seed))
    assert changed is None or (changed != text and changed.strip())


@given(INPUTS, st.text(min_size=1, max_size=10).filter(str.strip))
def test_a_text_that_is_put_in_its_place_is_found_there(given_input: object, text: str) -> None:
    if text_of(given_input) is not None:
        assert text_of(with_text(given_input, text)) == text
