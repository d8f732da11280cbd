"""The decoder: columns of what it accepts, and a slug for everything refused."""

from __future__ import annotations

import json
import math
import time
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from aftercall.records import DEAD_LETTER_REASONS
from aftercall.times import NEVER, format_time, parse_time
from connectors.decode.aliases import AliasSettings
from connectors.decode.decoder import CALL, OUTCOME, Decoder
from harness.decoding import BASES, NOW, SKEW, decode

CHECK = {"contract": "c", "version": "1", "hash": "h", "rule": "r", "result": "fail"}


def line(kind: int, **changes: Any) -> bytes:
    return json.dumps({**BASES[kind], **changes}).encode()


# --- columns ----------------------------------------------------------------------------------------------------------


def test_calls_become_columns() -> None:
    raws = [
        line(CALL, call_id="ü", latency_ms=5, cost_usd=0.0000000015, tokens_in=3, tokens_out=4, segment="s", error="e"),
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
    assert calls.tokens_out.tolist()[::2] == [4.0, 2.0]
    assert math.isnan(calls.tokens_out[1])
    dtypes = [column.dtype.str[1:] for column in calls]
    contents = ["u8", *["u4"] * 3, "u8", "u8", *["u4"] * 2]
    values = ["f8", "i8", "i8", "f8", "u4"]
    assert dtypes == ["i8", "u8", "i8", "i4", *contents, "u8", "b1", *values, "O", "O", "i4", "i8", "i8"]


def test_the_digest_distinguishes_segment_from_error_and_empty_text_is_absent() -> None:
    variants: list[dict[str, Any]] = [{}, {"segment": "a"}, {"error": "a"}, {"segment": "a", "error": "a"}]
    empty = [{}, {"segment": ""}, {"error": ""}, {"segment": "", "error": ""}]
    raws = [line(CALL, **fields) for fields in [*variants, *empty]]
    digests = decode(raws, [CALL] * len(raws)).calls.digest.tolist()
    assert len(set(digests)) == len(variants)
    assert set(digests[len(variants) :]) == {digests[0]}
    again = decode(raws[::-1], [CALL] * len(raws)).calls.digest.tolist()
    assert again[::-1] == digests


def test_empty_text_is_absent_wherever_text_or_a_time_is_optional() -> None:
    tool, texts_of_call = {"name": "", "ok": True, "error": ""}, ("type", "config", "segment", "session_id", "error")
    more = ("parent_call_id", "policy_version", "input", "output", "recommendation_id")
    call = line(CALL, tool_calls=[tool], attrs={"": ""}, **dict.fromkeys((*texts_of_call, *more), ""))
    texts_of_outcome = ("type", "call_occurred_at", "author", "action", "retracts", "reason", "error")
    outcome = line(OUTCOME, **dict.fromkeys(texts_of_outcome, ""))
    batch = decode([call, outcome], [CALL, OUTCOME], keep_payloads=True)
    assert not batch.refused
    assert not batch.calls.failed[0]
    found = msgspec.to_builtins(batch.calls.records[0])
    given = {"call_id", "occurred_at", "task_type", "model", "config", "tool_calls", "attrs"}
    assert {name for name, value in found.items() if value is not None} == given
    assert (found["config"], found["attrs"]) == ("default", {"": ""})
    assert {name for name, value in found["tool_calls"][0].items() if value is not None} == {"ok"}
    record = batch.outcomes.records[0]
    assert (record.action, record.retracts, record.reason, record.call_occurred_at) == ("assert", None, None, None)
    assert (record.author, batch.outcomes.author.tolist()) == (None, [0])


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
    assert not outcomes.bare.any()
    assert not outcomes.author.any()
    assert outcomes.call_at.tolist() == [parse_time("2026-03-01T11:00:00Z"), NEVER, NEVER, NEVER]
    dtypes = [column.dtype.str[1:] for column in outcomes]
    assert dtypes == ["i8", "u8", "i8", "i8", "i4", "i1", "f8", "b1", "b1", *["u8"] * 3, "O", "O", "i4", "i8", "i8"]


def test_calls_are_counted_under_the_names_of_aliases_and_keep_those_that_were_sent() -> None:
    aliases = AliasSettings(task={"help": "support"}, model={"gpt-4o-*": "gpt-4o"}, config={"default": "v0"})
    raws = [
        line(CALL, task_type="help", model="gpt-4o-2024-08-06"),
        line(CALL, task_type="support", model="gpt-4o", config="v0", new=1),
        line(CALL, task_type=" help", model="gpt-4o-mini\u200b", attrs={"tier": 1}, config=None),
        line(CALL, task_type="support", model="gpt-4o", config="v1"),
    ]
    batch = decode(raws, [CALL] * 4, aliases=aliases)
    assert batch.groups == [("support", "gpt-4o", "v0"), ("support", "gpt-4o", "v1")]
    assert batch.calls.group.tolist() == [0, 0, 0, 1]
    assert [(r.task_type, r.model, r.config) for r in batch.calls.records] == [batch.groups[i] for i in (0, 0, 0, 1)]
    assert [r.attrs for r in batch.calls.records] == [
        {"task_type_as_sent": "help", "model_as_sent": "gpt-4o-2024-08-06", "config_as_sent": "default"},
        None,
        {"tier": 1, "task_type_as_sent": " help", "model_as_sent": "gpt-4o-mini\u200b", "config_as_sent": "default"},
        None,
    ]


def test_the_digest_is_of_the_names_as_they_were_sent_whatever_the_aliases_and_spellings() -> None:
    raws = [line(CALL, model=model) for model in ("a", " a", "b", "a\u200b")] + [line(CALL, model="a", new=1)]
    plain = decode(raws, [CALL] * 5).calls.digest.tolist()
    aliased = decode(raws, [CALL] * 5, aliases=AliasSettings(model={"a": "b"})).calls.digest.tolist()
    assert plain == aliased
    assert plain == [plain[0], plain[0], plain[2], plain[0], plain[0]]
    assert plain[0] != plain[2]


def test_a_refused_call_leaves_no_group_behind_and_its_neighbours_are_renamed_once() -> None:
    raws = [line(CALL, model=" a"), line(CALL, model=" * "), line(CALL, model="a ", config=" ")]
    batch = decode(raws, [CALL] * 3, aliases=AliasSettings(model={"a": "b", "b": "b"}))
    assert batch.groups == [("triage", "b", "default")]
    assert [item.reason for item in batch.refused] == ["reserved_name"]
    assert [r.attrs for r in batch.calls.records] == [
        {"model_as_sent": " a"},
        {"model_as_sent": "a ", "config_as_sent": " "},
    ]


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
    "float for an id": ("wrong_type", CALL, line(CALL, call_id=5.0)),
    "bool for an id": ("wrong_type", OUTCOME, line(OUTCOME, outcome_id=True)),
    "too many digits for an id": ("too_long", CALL, line(CALL, call_id=10**128)),
    "negative whole float for a count": ("negative", CALL, line(CALL, tokens=-2.0)),
    "great whole float for a count": ("out_of_range", CALL, line(CALL, tokens=1e300)),
    "text for a number": ("wrong_type", CALL, line(CALL, latency_ms="5")),
    "bool for a number": ("wrong_type", CALL, line(CALL, cost_usd=True)),
    "number for a bool": ("wrong_type", OUTCOME, line(OUTCOME, success=1)),
    "number for a time": ("wrong_type", CALL, line(CALL, occurred_at=1_772_366_400)),
    "fraction for a count": ("wrong_type", CALL, line(CALL, tokens=1.5)),
    "a list for attrs": ("wrong_type", CALL, line(CALL, attrs=[1])),
    "infinity in nested attrs": ("not_finite", CALL, line(CALL)[:-1] + b', "attrs": {"a": [1e999]}}'),
    "number for type": ("wrong_type", CALL, line(CALL, type=1)),
    "long text": ("too_long", CALL, line(CALL, task_type="x" * 257)),
    "long call_id": ("too_long", OUTCOME, line(OUTCOME, call_id="x" * 129)),
    "long error": ("too_long", CALL, line(CALL, error="x" * 8193)),
    "empty call_id": ("missing_field", CALL, line(CALL, call_id="")),
    "empty model": ("missing_field", CALL, line(CALL, model="")),
    "empty time": ("missing_field", CALL, line(CALL, occurred_at="")),
    "empty outcome_id": ("missing_field", OUTCOME, line(OUTCOME, outcome_id="")),
    "empty source": ("missing_field", OUTCOME, line(OUTCOME, source="")),
    "retraction with empty texts": (
        "empty_retraction",
        OUTCOME,
        line(OUTCOME, source="", action="retract", retracts=""),
    ),
    "empty text for a number": ("wrong_type", CALL, line(CALL, latency_ms="")),
    "empty id of a rollout": ("missing_field", CALL, line(CALL, rollout={"id": "", "arm": "canary"})),
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
    "neither a verdict nor a source": ("missing_field", OUTCOME, line(OUTCOME, success=None, source=None)),
    "long author": ("too_long", OUTCOME, line(OUTCOME, author="x" * 257)),
    "a broken number for an author": ("wrong_type", OUTCOME, line(OUTCOME, author=17.5)),
    "retraction of nothing": ("empty_retraction", OUTCOME, line(OUTCOME, source=None, action="retract")),
    "the name for all task types": ("reserved_name", CALL, line(CALL, task_type="*")),
    "the name for the others": ("reserved_name", CALL, line(CALL, task_type="__other__", new=1)),
    "a reserved model": ("reserved_name", CALL, line(CALL, model="*")),
    "a reserved config": ("reserved_name", CALL, line(CALL, config="__other__")),
    "a reserved model of an attempt": ("reserved_name", CALL, line(CALL, attempts=[{"model": "*"}])),
    "a reserved config of an attempt": (
        "reserved_name",
        CALL,
        line(CALL, attempts=[{"model": "m", "config": " __other__"}]),
    ),
    "an attempt without a model": ("missing_field", CALL, line(CALL, attempts=[{"error": "e"}])),
    "an attempt at an invisible model": ("missing_field", CALL, line(CALL, attempts=[{"model": "\u200b"}])),
    "65 checks": ("too_long", CALL, line(CALL, checks=[CHECK] * 65)),
    "a check with a fifth result": ("out_of_range", CALL, line(CALL, checks=[{**CHECK, "result": "maybe"}])),
    "a check without a hash": ("missing_field", CALL, line(CALL, checks=[{**CHECK, "hash": ""}])),
    "an id of the pipeline's own statements": ("reserved_name", OUTCOME, line(OUTCOME, outcome_id="contract:c@1")),
    "33 attempts": ("too_long", CALL, line(CALL, attempts=[{"model": "m"}] * 33)),
    "an attempt at a negative cost": ("negative", CALL, line(CALL, attempts=[{"model": "m", "cost_usd": -1}])),
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
        line(CALL, latency_ms="fast"), line(CALL, tool_calls=[{"name": 5}]), line(CALL, input=["secret"]),
        line(CALL, cost_usd=-0.5), line(CALL, occurred_at=1_772_366_400_000),
        line(CALL, occurred_at="01/03/2026 12:00"), line(CALL, occurred_at="soon"),
        line(CALL, attempts=[{"model": "m"}] * 33), line(CALL, attempts=[{"model": "m", "latency_ms": -1}]),
    ]  # fmt: skip
    remedy = " (`aftercall import` converts such files)"
    assert [item.detail for item in decode(raws, [CALL] * 9).refused] == [
        f"field 'latency_ms' should be a valid number; got 'fast'{remedy}",
        f"field 'tool_calls.0.name' should be a valid string; got 5{remedy}",
        f"field 'input' should be a valid string; got an array{remedy}",
        "field 'cost_usd' should be greater than or equal to 0; got -0.5",
        f"field 'occurred_at' should be a valid string; got 1772366400000{remedy}",
        f"field 'occurred_at' is not an RFC 3339 time such as 2026-03-01T12:00:00Z; got '01/03/2026 12:00'{remedy}",
        "field 'occurred_at' is not an RFC 3339 time such as 2026-03-01T12:00:00Z; got 'soon'",
        "field 'attempts' should have at most 32 items after validation, not 33; got an array",
        "field 'attempts.0.latency_ms' should be greater than or equal to 0; got -1",
    ]


def test_whole_floats_are_counts_and_integers_are_ids() -> None:
    calls = [
        line(CALL, call_id=1, tokens=812.0, tool_calls=2.0, session_id=12, parent_call_id=-3, recommendation_id=0),
        line(CALL, call_id="1", tokens=812, tokens_in=-0.0, tool_calls=[{"attempts": 3.0}]),
        line(CALL, rollout={"id": 7, "arm": "canary", "step": 1e1}),
    ]
    retraction = line(OUTCOME, outcome_id=2**70, call_id=1, action="retract", retracts=5)
    batch = decode([*calls, retraction], [CALL] * 3 + [OUTCOME])
    assert not batch.refused
    first, second, third = batch.calls.records
    assert [first.call_id, first.session_id, first.parent_call_id, first.recommendation_id] == ["1", "12", "-3", "0"]
    assert batch.calls.key.tolist() == [xxh3_64_intdigest(text.encode()) for text in ("1", "1", "c1")]
    assert batch.calls.tokens.tolist() == [812, 812, -1]
    assert [first.tool_calls, second.tool_calls[0].attempts, second.tokens_in] == [2, 3, 0]
    assert (third.rollout.id, third.rollout.step) == ("7", 10)
    (outcome,) = batch.outcomes.records
    assert (outcome.outcome_id, outcome.call_id, outcome.retracts) == (str(2**70), "1", "5")


def test_labels_that_are_nested_or_too_long_are_left_out_with_a_count_and_the_rest_stays() -> None:
    labels = {"tier": "gold", "tags": ["a"], "user": {"id": 1}, "note": "x" * 257, "k" * 257: 1, "empty": "", "n": 2}
    raws = [
        line(CALL, attrs=labels),
        line(CALL),
        line(CALL, attrs={"a\nb": []}, occurred_at="2026-03-02T12:00:00Z"),
        line(OUTCOME, attrs={"deep": [[1]]}),
        line(CALL, attrs={"lost with its call": []}, occurred_at="2027-01-01T00:00:00Z"),
    ]
    batch = decode(raws, [CALL, CALL, CALL, OUTCOME, CALL])
    assert [item.reason for item in batch.refused] == ["future"]
    assert [r.attrs for r in batch.calls.records] == [{"tier": "gold", "empty": "", "n": 2}, None, {}]
    assert batch.outcomes.records[0].attrs == {}
    warned = [(w.kind, w.subject, w.times, format_time(w.first), format_time(w.last)) for w in batch.warnings]
    noon = "2026-03-01T12:00:00Z"
    assert warned == [
        ("dropped_label", "calls", 5, noon, "2026-03-02T12:00:00Z"),
        ("dropped_label", "outcomes", 1, noon, noon),
    ]
    assert "first 'tags'" in batch.warnings[0].detail


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
    assert [item.reason for item in batch.refused] == ["too_deep", "wrong_type"]
    assert [(w.subject, w.times) for w in batch.warnings] == [("calls", 60_000)]


def test_a_record_of_exactly_1_mib_is_accepted() -> None:
    raw = line(CALL, input="")
    raw = line(CALL, input="x" * (1024 * 1024 - len(raw)))
    assert len(raw) == 1024 * 1024
    assert len(decode([raw], [CALL]).calls.pos) == 1
