"""Globs of names: what they match, and whether two of them match one name."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decode.aliases import Aliases, Pattern

patterns = st.text("ab*?", max_size=5)
NAMES = ["".join(letters) for length in range(7) for letters in product("abc", repeat=length)]


@given(patterns, st.text("abc\n", max_size=6))
def test_a_glob_matches_as_file_names_do(text: str, name: str) -> None:
    assert Pattern(text).matches(name) == fnmatchcase(name, text)


@given(patterns, patterns)
def test_two_globs_overlap_where_some_name_is_matched_by_both(one: str, other: str) -> None:
    # With up to five characters each, they share a name of at most ten; where one has no star, of at most five.
    some = any(Pattern(one).matches(name) and Pattern(other).matches(name) for name in NAMES)
    overlap = Pattern(one).overlaps(Pattern(other))
    assert overlap == Pattern(other).overlaps(Pattern(one))
    assert overlap >= some
    if "*" not in one or "*" not in other:
        assert overlap == some


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("gpt-4o-*", "gpt-*-mini", True),
        ("gpt-4o-*", "claude-*", False),
        ("*-2024-??-??", "gpt-4o-*", True),
        ("a*b", "b*a", False),
        ("*", "", True),
        ("?", "", False),
        ("[ab]", "a", False),
    ],
)
def test_globs_that_overlap(one: str, other: str, overlap: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    assert Pattern(one).overlaps(Pattern(other)) is overlap


def test_a_whole_name_comes_before_a_glob_and_an_alias_is_read_as_names_are() -> None:
    aliases = Aliases({"gpt-4o-*": "gpt-4o", "gpt-4o-mini": "mini", " openai/gpt-4o\u200b": " gpt-4o "})
    names = ("gpt-4o-2024-08-06", "gpt-4o-mini", "openai/gpt-4o", "gpt-4o", "other")
    assert [aliases.of(name) for name in names] == ["gpt-4o", "mini", "gpt-4o", "gpt-4o", "other"]
