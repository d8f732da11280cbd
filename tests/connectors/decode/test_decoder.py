"""The decoder: columns of what it accepts, and a slug for everything refused."""

from __future__ import annotations

import json
import math
import time
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from aftercall.records import DEAD_LETTER_REASONS
from aftercall.times import NEVER, format_time, parse_time
from connectors.decode.decoder import CALL, OUTCOME, Decoder
from harness.decoding import BASES, NOW, SKEW, decode


def line(kind: int, **changes: Any) -> bytes:
    return json.dumps({**BASES[kind], **changes}).encode()


# --- columns ----------------------------------------------------------------------------------------------------------


def test_calls_become_columns() -> None:
    raws = [
        line(CALL, call_id="ü", latency_ms=5, cost_usd=0.0000000015, tokens_in=3, tokens_out=4, segment="", error="e"),
        line(OUTCOME),
        line(CALL, config="v2", tokens=9, tokens_in=1, occurred_at="2026-03-01T13:00:00.000001+01:00", unknown=[1]),
        line(CALL, tokens_out=2),
    ]
    calls, groups = (batch := decode(raws, [0, 1, 0, 0])).calls, batch.groups
    assert calls.pos.tolist() == [0, 2, 3]
    assert calls.offset.tolist() == [1, 3, 4]
    assert calls.key.tolist() == [xxh3_64_intdigest(text.encode()) for text in ("ü", "c1", "c1")]
    noon = parse_time("2026-03-01T12:00:00Z")
    assert calls.at.tolist() == [noon, noon + 1, noon]
    assert [groups[code] for code in calls.group] == [
        ("triage", "m", "default"),
        ("triage", "m", "v2"),
        ("triage", "m", "default"),
    ]
    assert len(groups) == 2
    assert calls.failed.tolist() == [True, False, False]
    assert calls.latency_ms[0] == 5.0
    assert math.isnan(calls.latency_ms[1])
    assert calls.cost_nano.tolist() == [2, -1, -1]
    assert calls.tokens.tolist() == [7, 9, 2]
    assert calls.wm.tolist() == [NEVER] * 3
    assert calls.raw.tolist() == [raws[0], raws[2], raws[3]]
    dtypes = [column.dtype.str[1:] for column in calls]
    assert dtypes == ["i8", "u8", "i8", "i4", "u8", "u8", "b1", "f8", "i8", "i8", "O", "O", "i4", "i8", "i8"]


def test_the_digest_distinguishes_absent_from_empty_and_segment_from_error() -> None:
    variants: list[dict[str, Any]] = [
        {}, {"segment": ""}, {"error": ""}, {"segment": "", "error": ""}, {"segment": "a"}, {"error": "a"},
    ]  # fmt: skip
    raws = [line(CALL, **fields) for fields in variants]
    digests = decode(raws, [CALL] * len(raws)).calls.digest.tolist()
    assert len(set(digests)) == len(variants)
    again = decode(raws[::-1], [CALL] * len(raws)).calls.digest.tolist()
    assert again[::-1] == digests


def test_outcomes_become_columns() -> None:
    raws = [
        line(OUTCOME, success=False, call_occurred_at="2026-03-01T11:00:00Z"),
        line(OUTCOME, success=None, score=1),
        line(OUTCOME, success=None, action="retract", source="human_review"),
        line(OUTCOME, success=None, source=None, action="retract", retracts="o0"),
    ]
    batch = decode(raws, [OUTCOME] * 4)
    outcomes = batch.outcomes
    assert not batch.refused
    assert [batch.sources[code] for code in outcomes.source] == ["judge", "judge", "human_review", ""]
    assert outcomes.success.tolist() == [0, -1, -1, -1]
    assert outcomes.score[1] == 1.0
    assert np.isnan(outcomes.score[[0, 2, 3]]).all()
    assert outcomes.retract.tolist() == [False, False, True, True]
    assert outcomes.call_at.tolist() == [parse_time("2026-03-01T11:00:00Z"), NEVER, NEVER, NEVER]
    dtypes = [column.dtype.str[1:] for column in outcomes]
    assert dtypes == ["i8", "u8", "i8", "i8", "i4", "i1", "f8", "b1", "u8", "u8", "O", "O", "i4", "i8", "i8"]


def test_uuids_become_words_too() -> None:
    ids = [str(UUID(int=(i << 64) | 7)) for i in range(1, 4)]
    batch = decode([line(CALL, call_id=ids[0]), *(line(OUTCOME, outcome_id=one) for one in ids)], [0, 1, 1, 1])
    assert batch.calls.uuid.tolist() == [[1, 7]]
    assert batch.outcomes.uuid.tolist() == [[1, 7], [2, 7], [3, 7]]


def test_a_refused_outcome_leaves_no_source_behind() -> None:
    batch = decode([line(OUTCOME, source="call"), line(OUTCOME), line(OUTCOME, source="silence")], [OUTCOME] * 3)
    assert batch.sources == ["judge"]
    assert [item.reason for item in batch.refused] == ["reserved_source"] * 2


def test_payloads_are_dropped_unless_kept() -> None:
    raws = [line(CALL, input="secret", output="answer"), line(CALL, input="secret", unknown=1)]
    assert [(r.input, r.output) for r in decode(raws, [0, 0]).calls.records] == [(None, None)] * 2
    kept = decode(raws, [0, 0], keep_payloads=True).calls.records
    assert [(r.input, r.output) for r in kept] == [("secret", "answer"), ("secret", None)]


def test_an_empty_batch_has_empty_columns() -> None:
    batch = decode([], [])
    assert (len(batch.calls.pos), len(batch.outcomes.pos), batch.refused, batch.records) == (0, 0, [], 0)


def test_the_clock_is_asked_once_per_batch() -> None:
    asked: list[int] = []

    def clock() -> int:
        asked.append(1)
        return NOW

    decoder = Decoder(now_us=clock, max_future_skew_us=0)
    decoder.decode([line(CALL)] * 5, np.zeros(5, np.uint8), np.zeros(5, np.int32), np.arange(5))
    assert len(asked) == 1


# --- refusals ---------------------------------------------------------------------------------------------------------


DEEP = b"[" * 100_000 + b"]" * 100_000
REFUSED: dict[str, tuple[str, int, bytes]] = {
    "not UTF-8": ("not_utf8", CALL, line(CALL)[:-2] + b'\xff"}'),
    "not UTF-8 in an unknown field": ("not_utf8", CALL, line(CALL)[:-1] + b', "new": "\xed\xa0\x80"}'),
    "not JSON": ("not_json", CALL, b"{call_id: 1}"),
    "empty": ("not_json", OUTCOME, b""),
    "half a record": ("not_json", CALL, line(CALL)[:-5]),
    "two records": ("not_json", CALL, line(CALL) + line(CALL)),
    "a lone surrogate": ("not_json", CALL, line(CALL, task_type="\ud800")),
    "an array": ("not_object", CALL, b"[1]"),
    "null": ("not_object", OUTCOME, b"null"),
    "a text": ("not_object", OUTCOME, b'"call"'),
    "missing field": ("missing_field", CALL, b'{"call_id":"c1"}'),
    "null for a required field": ("missing_field", CALL, line(CALL, model=None)),
    "outcome without source": ("missing_field", OUTCOME, line(OUTCOME, source=None)),
    "number for a text": ("wrong_type", CALL, line(CALL, model=5)),
    "text for a number": ("wrong_type", CALL, line(CALL, latency_ms="5")),
    "bool for a number": ("wrong_type", CALL, line(CALL, cost_usd=True)),
    "number for a bool": ("wrong_type", OUTCOME, line(OUTCOME, success=1)),
    "number for a time": ("wrong_type", CALL, line(CALL, occurred_at=1_772_366_400)),
    "fraction for a count": ("wrong_type", CALL, line(CALL, tokens=1.0)),
    "nested attrs": ("wrong_type", CALL, line(CALL, attrs={"a": {"b": 1}})),
    "number for type": ("wrong_type", CALL, line(CALL, type=1)),
    "long text": ("too_long", CALL, line(CALL, task_type="x" * 257)),
    "long call_id": ("too_long", OUTCOME, line(OUTCOME, call_id="x" * 129)),
    "long error": ("too_long", CALL, line(CALL, error="x" * 8193)),
    "long attr": ("too_long", CALL, line(CALL, attrs={"a": "x" * 257})),
    "empty call_id": ("out_of_range", CALL, line(CALL, call_id="")),
    "NaN": ("not_finite", CALL, line(CALL, latency_ms=math.nan)),
    "infinity": ("not_finite", OUTCOME, line(OUTCOME, score=math.inf)),
    "minus infinity": ("not_finite", OUTCOME, line(OUTCOME, score=-math.inf)),
    "1e999": ("not_finite", OUTCOME, line(OUTCOME)[:-1] + b', "score": 1e999}'),
    "NaN in an unknown field": ("not_finite", CALL, line(CALL, new={"deep": [math.nan]})),
    "1e999 in attrs": ("not_finite", CALL, line(CALL)[:-1] + b', "attrs": {"a": 1e999}}'),
    "an integer beyond doubles": ("not_finite", OUTCOME, line(OUTCOME, score=10**400)),
    "5,000 digits": ("not_finite", OUTCOME, line(OUTCOME)[:-1] + b', "new": ' + b"1" * 5000 + b"}"),
    "negative cost": ("negative", CALL, line(CALL, cost_usd=-0.01)),
    "negative count": ("negative", CALL, line(CALL, tokens_in=-1)),
    "negative tool calls": ("negative", CALL, line(CALL, tool_calls=-1)),
    "cost over a million": ("out_of_range", CALL, line(CALL, cost_usd=1e6 + 1)),
    "propensity 0": ("out_of_range", CALL, line(CALL, propensity=0)),
    "unknown action": ("out_of_range", OUTCOME, line(OUTCOME, action="undo")),
    "time without zone": ("bad_time", CALL, line(CALL, occurred_at="2026-03-01T12:00:00")),
    "time without seconds": ("bad_time", OUTCOME, line(OUTCOME, occurred_at="2026-03-01T12:00Z")),
    "leap second": ("bad_time", CALL, line(CALL, occurred_at="2026-03-01T12:00:60Z")),
    "bad call_occurred_at": ("bad_time", OUTCOME, line(OUTCOME, call_occurred_at="yesterday")),
    "future": ("future", CALL, line(CALL, occurred_at=format_time(NOW + SKEW + 1))),
    "future with an unknown field": ("future", CALL, line(CALL, occurred_at="2027-01-01T00:00:00Z", new=1)),
    "before 2000": ("before_2000", CALL, line(CALL, occurred_at="1999-12-31T23:59:59Z")),
    "call before 2000": ("before_2000", OUTCOME, line(OUTCOME, call_occurred_at="1970-01-01T00:00:00Z")),
    "over 1 MiB": ("too_large", CALL, line(CALL, input="x" * 1024 * 1024)),
    "nested 100,000 deep": ("too_deep", CALL, line(CALL)[:-1] + b', "new": ' + DEEP + b"}"),
    "nested 100,000 deep in attrs": ("too_deep", CALL, line(CALL)[:-1] + b', "attrs": {"a": ' + DEEP + b"}}"),
    "nothing but depth": ("too_deep", OUTCOME, b"[" * 100_000),
    "call among outcomes": ("type_mismatch", OUTCOME, line(OUTCOME, type="call")),
    "outcome among calls": ("type_mismatch", CALL, line(CALL, type="outcome")),
    "no verdict": ("no_verdict", OUTCOME, line(OUTCOME, success=None)),
    "retraction of nothing": ("empty_retraction", OUTCOME, line(OUTCOME, source=None, action="retract")),
    "the name for all task types": ("reserved_name", CALL, line(CALL, task_type="*")),
    "the name for the others": ("reserved_name", CALL, line(CALL, task_type="__other__", new=1)),
    "a reserved model": ("reserved_name", CALL, line(CALL, model="*")),
    "a reserved config": ("reserved_name", CALL, line(CALL, config="__other__")),
    "the source for the others": ("reserved_source", OUTCOME, line(OUTCOME, source="__other__")),
    "reserved source": ("reserved_source", OUTCOME, line(OUTCOME, source="silence")),
    "reserved source of a retraction": (
        "reserved_source",
        OUTCOME,
        line(OUTCOME, source="call", action="retract", retracts="o0"),
    ),
}


@pytest.mark.parametrize(("slug", "kind", "raw"), REFUSED.values(), ids=list(REFUSED))
def test_a_bad_record_is_refused_with_its_slug_and_its_neighbours_stay(slug: str, kind: int, raw: bytes) -> None:
    batch = decode([line(CALL), line(OUTCOME), raw, line(CALL, new=1), line(OUTCOME)], [0, 1, kind, 0, 1])
    assert [(item.reason, item.offset, item.raw) for item in batch.refused] == [(slug, 3, raw)], batch.refused
    assert batch.calls.pos.tolist() == [0, 3]
    assert batch.outcomes.pos.tolist() == [1, 4]
    assert batch.records == 5


def test_every_slug_the_decoder_gives_is_a_reason_of_the_reference() -> None:
    assert {slug for slug, _, _ in REFUSED.values()} <= set(DEAD_LETTER_REASONS)


def test_a_detail_names_field_rule_and_value_but_never_a_prompt() -> None:
    raws = [
        line(CALL, latency_ms="fast"), line(CALL, tool_calls=[{"name": 5}]), line(CALL, attrs={"a": [1]}),
        line(CALL, input=["secret"]), line(CALL, cost_usd=-0.5), line(CALL, attrs={"a\nb": []}),
    ]  # fmt: skip
    assert [item.detail for item in decode(raws, [CALL] * 6).refused] == [
        "field 'latency_ms' should be a valid number; got 'fast'",
        "field 'tool_calls.0.name' should be a valid string; got 5",
        "field 'attrs.a' should be a valid string; got an array",
        "field 'input' should be a valid string; got an array",
        "field 'cost_usd' should be greater than or equal to 0; got -0.5",
        "field 'attrs.a\\nb' should be a valid string; got an array",
    ]


@pytest.mark.slow
def test_hostile_records_are_refused_without_holding_the_others_up() -> None:
    many = b", ".join(b'"k%d": []' % i for i in range(60_000))
    raws = [
        line(CALL)[:-1] + b', "new": ' + DEEP + b"}",
        line(CALL, tool_calls=[1] * 200_000),
        line(CALL)[:-1] + b', "attrs": {' + many + b"}}",
    ]
    began = time.process_time()
    batch = decode(raws, [CALL] * 3)
    assert time.process_time() - began < 20
    assert [item.reason for item in batch.refused] == ["too_deep", "wrong_type", "wrong_type"]


def test_a_record_of_exactly_1_mib_is_accepted() -> None:
    raw = line(CALL, input="")
    raw = line(CALL, input="x" * (1024 * 1024 - len(raw)))
    assert len(raw) == 1024 * 1024
    assert len(decode([raw], [CALL]).calls.pos) == 1
