"""Which texts of calls leave the decoder, and how."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.decode.text_keeper import TextKeeper
from harness.decoding import decode

CALL = {"occurred_at": "2026-03-01T12:00:00Z", "task_type": "t", "model": "m"}


def decoded(calls: list[dict[str, Any]], keeper: TextKeeper | None) -> list[Any]:
    raws = [json.dumps(CALL | call).encode() for call in calls]
    return list(decode(raws, [0] * len(raws), texts=keeper).calls.records)


def test_all_texts_stay_or_none_does() -> None:
    call = {"call_id": "c", "input": "a question", "output": "an answer"}
    (kept,) = decoded([call], TextKeeper(1.0, 1000))
    assert (kept.input, kept.output) == ("a question", "an answer")
    (dropped,) = decoded([call], None)
    assert (dropped.input, dropped.output) == (None, None)


def test_a_sample_is_a_share_of_the_calls_and_the_same_ones_whatever_comes_with_them() -> None:
    calls = [
        {"call_id": f"c{i}", "input": "i", "output": "o", "tool_calls": [{"name": "t", "output": "x", "error": "e"}]}
        for i in range(4_000)
    ]
    keeper = TextKeeper(0.1, 1000)
    records = decoded(calls, keeper)
    sampled = {record.call_id for record in records if record.input is not None}
    assert 300 < len(sampled) < 500
    assert all((record.output is None) == (record.call_id not in sampled) for record in records)
    assert all((record.tool_calls[0].output is None) == (record.call_id not in sampled) for record in records)
    assert all(record.tool_calls[0].error == "e" for record in records)
    some = decoded(calls[1_000:1_500], keeper)
    assert {record.call_id for record in some if record.input is not None} == sampled & {r.call_id for r in some}


def test_texts_are_redacted_also_in_tools_and_their_errors() -> None:
    tool = {"name": "search", "input": "for jane@example", "output": "jane@example", "error": "no jane@example"}
    call = {"call_id": "c", "input": "I am jane@example", "output": "Hello jane@example", "tool_calls": [tool]}
    (kept,) = decoded([call], TextKeeper(1.0, 1000, [r"[a-z]+@example"]))
    texts = [kept.input, kept.output, kept.tool_calls[0].input, kept.tool_calls[0].output, kept.tool_calls[0].error]
    assert texts == ["I am [redacted]", "Hello [redacted]", "for [redacted]", "[redacted]", "no [redacted]"]


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
def test_a_long_text_is_cut_between_characters_to_at_most_so_many_bytes(character: str) -> None:
    (kept,) = decoded([{"call_id": "c", "input": character * 500, "output": character * 10}], TextKeeper(1.0, 100))
    assert kept.input.endswith(" ...[cut]")
    assert 96 <= len(kept.input.encode()) <= 100
    assert kept.output == character * 10


def test_a_secret_at_the_cut_is_redacted_before_half_of_it_is_left() -> None:
    (kept,) = decoded([{"call_id": "c", "input": "x" * 85 + "jane@example"}], TextKeeper(1.0, 96, [r"[a-z]+@example"]))
    assert "jan" not in kept.input


def test_texts_decide_nothing_of_a_call() -> None:
    call = {"call_id": "c", "segment": "s"}
    raws = [json.dumps(CALL | call | more).encode() for more in ({}, {"input": "i"}, {"output": "o"})]
    digests = decode(raws, [0, 0, 0], texts=TextKeeper(1.0, 1000)).calls.digest.tolist()
    assert len(set(digests)) == 1


def test_a_tool_call_with_texts_takes_the_fast_tier_and_a_wrong_one_shows_nothing_of_them() -> None:
    good = json.dumps(CALL | {"call_id": "c", "tool_calls": [{"name": "t", "input": "i", "output": "o"}]}).encode()
    bad = json.dumps(CALL | {"call_id": "d", "tool_calls": [{"name": "t", "output": 4711}]}).encode()
    batch = decode([good, bad], [0, 0], texts=TextKeeper(1.0, 1000))
    assert batch.calls.records[0].tool_calls[0].output == "o"
    (refused,) = batch.refused
    assert refused.reason == "wrong_type"
    assert "tool_calls.0.output" in refused.detail
    assert "4711" not in refused.detail
