"""UUIDs as words, held to the standard library."""

from __future__ import annotations

import json
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decode.decoder import Decoder
from connectors.decode.uuids import uuid_form, uuid_words

UUIDS = st.lists(st.uuids().map(str), max_size=8)
ONE = "01957b3e-5c00-7000-8000-00000000000a"


@given(UUIDS)
def test_canonical_uuids_become_two_words(ids: list[str]) -> None:
    """The high one first."""
    assert [(high << 64) | low for high, low in uuid_words(ids).tolist()] == [UUID(one).int for one in ids]


OTHERS = (
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
)


@given(UUIDS, UUIDS)
def test_one_other_id_among_them_leaves_all_to_their_text(before: list[str], after: list[str]) -> None:
    """Also where the text of all of them together has the length, or even the form, of as many UUIDs."""
    assert [odd for odd in OTHERS if uuid_words([*before, *odd, *after]).any()] == []


SPELLED = "0199b0c4-7d1e-7a21-9f00-00000000000a"


@pytest.mark.parametrize(
    "text",
    [
        SPELLED,
        SPELLED.upper(),
        SPELLED.replace("-", ""),
        f"{{{SPELLED}}}",
        f" {SPELLED}\t",
        f"urn:uuid:{SPELLED}",
        f"URN:UUID:{SPELLED.upper()}",
        f"\ufeff{SPELLED}\u200b",
    ],
)
def test_a_uuid_has_one_form_however_it_is_spelled(text: str) -> None:
    assert uuid_form(text) == SPELLED


@pytest.mark.parametrize(
    "text", ["", "call 1", "ID-5", SPELLED[:-1], f"{SPELLED}0", "g" * 32, "１" * 32, f"x{SPELLED}"]
)
def test_any_other_id_is_left_as_it_is(text: str) -> None:
    assert uuid_form(text) == text


def test_with_that_setting_calls_and_outcomes_are_read_under_one_id() -> None:
    decoder = Decoder(now_us=2**62, max_future_skew_us=0, ids_as_uuids=True)
    at = {"occurred_at": "2026-03-01T12:00:00Z"}
    raws = [
        {
            "call_id": SPELLED.upper(),
            **at,
            "task_type": "t",
            "model": "m",
            "parent_call_id": f"{{{SPELLED}}}",
            "new": 1,
        },
        {"call_id": SPELLED, **at, "task_type": "t", "model": "m", "session_id": SPELLED.upper()},
        {"call_id": SPELLED.replace("-", ""), **at, "outcome_id": SPELLED.upper(), "retracts": SPELLED.upper()}
        | {"action": "retract"},
    ]
    batch = decoder.decode(
        [json.dumps(raw).encode() for raw in raws], np.array([0, 0, 1], np.uint8), np.zeros(3, np.int32), np.arange(3)
    )
    first, second = batch.calls.records
    (outcome,) = batch.outcomes.records
    assert [first.call_id, first.parent_call_id, second.call_id, outcome.call_id] == [SPELLED] * 4
    assert [outcome.outcome_id, outcome.retracts, second.session_id] == [SPELLED, SPELLED, SPELLED.upper()]
    assert len({*batch.calls.key.tolist(), *batch.outcomes.key.tolist()}) == 1
    assert batch.calls.unit[0] == batch.calls.key[0], "a parent's children have the hash under which it is known"
    assert batch.calls.uuid.any(axis=1).all()
