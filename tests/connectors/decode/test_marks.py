"""Marks at the door: what is accepted, under which task type and text, and what is refused and why."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from aftercall.marks import mark_id_of
from aftercall.times import parse_time
from connectors.batch import Batch
from connectors.decode.aliases import AliasSettings
from connectors.decode.decoder import CALL, MARK, Decoder
from connectors.decode.redaction import RedactingDecoder

AT = "2026-03-01T12:00:00Z"
NOW = parse_time("2026-03-01T12:10:00Z")


def decoded(decoder: Decoder, *records: dict[str, Any] | bytes, kind: int = MARK) -> Batch:
    raws = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    count = len(raws)
    places = np.arange(1, count + 1)
    return decoder.decode(raws, np.full(count, kind, np.uint8), np.zeros(count, np.int32), places, ["marks.jsonl"])


def plain(**fields: Any) -> dict[str, Any]:
    return {"occurred_at": AT, "task_type": "triage", "text": "prompt v8", **fields}


def decoder(**settings: Any) -> Decoder:
    return Decoder(now_us=NOW, max_future_skew_us=0, **settings)


def test_a_mark_is_accepted_with_its_place_and_moves_no_clock() -> None:
    batch = decoded(decoder(), plain(), plain(mark_id="m", task_type="*", text=None))
    first, second = batch.deployed
    assert (first.mark_id, first.at, first.task_type, first.text) == (
        mark_id_of(AT, "triage", "prompt v8"), parse_time(AT), "triage", "prompt v8"
    )  # fmt: skip
    assert (first.pos, first.partition, first.offset, second.offset) == (0, 0, 1, 2)
    assert (second.mark_id, second.task_type, second.text) == ("m", "*", None)
    assert (batch.records, batch.refused, batch.times().tolist()) == (2, [], [-(2**63)] * 2)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"task_type": "triage"}, "missing_field"),
        ({"occurred_at": AT}, "missing_field"),
        (plain(task_type="__other__"), "reserved_name"),
        (plain(occurred_at="2026-03-01T12:10:00.000001Z"), "future"),
        (plain(occurred_at="yesterday"), "bad_time"),
        (plain(type="outcome"), "type_mismatch"),
        (plain(text="x" * 257), "too_long"),
        (b"{", "not_json"),
        (b"[]", "not_object"),
        (b'"' + b"x" * 1024 * 1024 + b'"', "too_large"),
    ],
)
def test_what_is_no_mark_is_refused_and_stops_no_other(record: dict[str, Any] | bytes, reason: str) -> None:
    batch = decoded(decoder(), plain(), record, plain(mark_id="after"))
    assert [(refused.reason, refused.offset) for refused in batch.refused] == [(reason, 2)]
    assert [mark.offset for mark in batch.deployed] == [1, 3]


def test_a_mark_at_the_clock_is_not_ahead_of_it() -> None:
    assert decoded(decoder(), plain(occurred_at="2026-03-01T12:10:00Z")).refused == []


def test_a_mark_has_the_task_type_that_counts_and_is_compared_by_the_one_that_was_sent() -> None:
    aliases = AliasSettings(task={"triage-*": "triage", "*-all": "every"})
    batch = decoded(decoder(aliases=aliases), plain(task_type="triage-2"), plain(mark_id="m", task_type="*"))
    aliased, of_all = batch.deployed
    assert (aliased.task_type, of_all.task_type) == ("triage", "*")
    assert aliased.contents != decoded(decoder(), plain()).deployed[0].contents


def test_the_text_is_redacted_and_compared_by_what_was_sent() -> None:
    redacting = RedactingDecoder([r"v\d+"], now_us=NOW, max_future_skew_us=0)
    one, other = decoded(redacting, plain(mark_id="a"), plain(mark_id="a", text="prompt v9")).deployed
    assert (one.text, other.text) == ("prompt [redacted]",) * 2
    assert one.contents != other.contents


def test_a_mark_among_calls_is_no_call() -> None:
    assert [refused.reason for refused in decoded(decoder(), plain(), kind=CALL).refused] == ["missing_field"]
