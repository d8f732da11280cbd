"""UUIDs as words, held to the standard library."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decode.uuids import uuid_words

UUIDS = st.lists(st.uuids().map(str), max_size=8)
ONE = "01957b3e-5c00-7000-8000-00000000000a"


@given(UUIDS)
def test_canonical_uuids_become_two_words(ids: list[str]) -> None:
    """The high one first."""
    assert [(high << 64) | low for high, low in uuid_words(ids).tolist()] == [UUID(one).int for one in ids]


@pytest.mark.parametrize(
    "odd",
    [
        [ONE.upper()],
        [ONE.replace("-", "")],
        [ONE.replace("-", "a", 1)],
        [ONE[:-1] + "-"],
        [ONE[:-1] + "g"],
        [ONE[:-1] + "é"],
        [ONE[:-1], ONE + "0"],
        [f"{ONE}\n{ONE}"],
        [f"{ONE}\n{ONE}", ""],
        [""],
        ["call-7"],
    ],
)
@given(UUIDS, UUIDS)
def test_one_other_id_among_them_leaves_all_to_their_text(odd: list[str], before: list[str], after: list[str]) -> None:
    """Also where the text of all of them together has the length, or even the form, of as many UUIDs."""
    assert not uuid_words([*before, *odd, *after]).any()
