"""Outcomes that say nothing, and those of several authors: what the decoder makes of them, in both tiers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from connectors.decode.decoder import CALL, OUTCOME
from connectors.decode.redaction import RedactingDecoder
from harness.decoding import BASES, NOW, SKEW, decode

AUTHORS = ("ann", "çem", "x" * 256)
NEW = {"new": 1}
"""A field that sends a record through `repair`."""
NESTED = {"attrs": {"a": {"b": 1}}}
"""Labels that send it to pydantic."""


def line(**fields: Any) -> bytes:
    return json.dumps({**BASES[OUTCOME], **fields}).encode()


@pytest.mark.parametrize("beside", [{}, NEW, NESTED])
@pytest.mark.parametrize("action", [{}, {"action": None}, {"action": ""}, {"action": "assert"}])
def test_an_outcome_that_says_nothing_is_handed_on_for_its_ledger_to_judge(
    beside: dict[str, Any], action: dict[str, Any]
) -> None:
    """Under a setting of its source it may clear a vote, and by its record alone this cannot be known."""
    fields: dict[str, Any] = {"success": None, **beside, **action}
    sent = [
        {},
        fields,
        {"score": 0, **fields},
        {**fields, "action": "retract"},
        {"score": 0, **fields, "retracts": "o"},
    ]
    batch = decode([line(**one) for one in sent], [1] * 5)
    assert not batch.refused
    assert batch.outcomes.bare.tolist() == [False, True, False, False, False]
    assert batch.outcomes.retract.tolist() == [False, True, False, True, True]
    assert [record.action for record in batch.outcomes.records] == [*["assert"] * 3, "retract", "assert"]


def test_it_needs_a_source_all_the_same() -> None:
    batch = decode([line(success=None, source=None, retracts="o0"), line(success=None, source="call")], [1] * 2)
    assert [refused.reason for refused in batch.refused] == ["missing_field", "reserved_source"]


@pytest.mark.parametrize("beside", [{}, NEW, NESTED])
def test_authors_are_kept_and_told_apart_by_their_hashes(beside: dict[str, Any]) -> None:
    batch = decode([*(line(author=author, **beside) for author in AUTHORS), line(), line(author=None)], [1] * 5)
    assert not batch.refused
    hashes = [xxh3_64_intdigest(author.encode()) for author in AUTHORS]
    assert batch.outcomes.author.tolist() == [*hashes, 0, 0]
    assert [record.author for record in batch.outcomes.records] == [*AUTHORS, None, None]


@pytest.mark.parametrize("beside", [{}, NEW, NESTED])
def test_an_integer_as_an_author_is_its_digits(beside: dict[str, Any]) -> None:
    batch = decode([line(author=17, **beside), line(author="17", **beside)], [1] * 2)
    assert not batch.refused
    assert [record.author for record in batch.outcomes.records] == ["17", "17"]
    assert batch.outcomes.author[0] == batch.outcomes.author[1]


def test_an_author_is_compared_as_it_was_sent_whatever_is_redacted() -> None:
    """As with other names: if two people became one text, one's vote would take the place of the other's."""
    decoder = RedactingDecoder(["[a-z]+@example.com"], now_us=NOW, max_future_skew_us=SKEW)
    raws, none = [line(author="ann@example.com", reason="by ann@example.com")], np.zeros(1, np.int64)
    (record,) = decoder.decode(raws, np.array([OUTCOME], np.uint8), none, none, ["p"]).outcomes.records
    assert (record.author, record.reason) == ("ann@example.com", "by [redacted]")


def test_an_author_of_a_call_is_an_unknown_field() -> None:
    batch = decode([json.dumps({**BASES[CALL], "author": "ann"}).encode()], [CALL])
    assert not batch.refused


def test_what_has_another_action_is_told_which_there_are() -> None:
    (refused,) = decode([line(success=None, action="delete")], [OUTCOME]).refused
    assert (refused.reason, refused.detail) == (
        "out_of_range", "field 'action' should be 'assert' or 'retract'; got 'delete'"
    )  # fmt: skip
