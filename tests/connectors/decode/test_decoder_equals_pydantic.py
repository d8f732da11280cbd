"""The decoder against pydantic: the same records accepted, with the same values."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aftercall.events import AgentCall, Outcome
from aftercall.records import DEAD_LETTER_REASONS
from aftercall.times import NEVER, format_time, parse_time
from connectors.decode.decoder import CALL, OUTCOME
from connectors.decode.times import parse_times
from harness.decoding import BASES, NOW, OUTCOME_BASE, SKEW, decode

MODELS = (AgentCall, Outcome)
MODEL_FIELDS = [list(model.model_fields) for model in MODELS]


def expected(raw: bytes, kind: int) -> dict[str, Any] | None:
    """What the reference returns: the record's values, or None where it is refused."""
    if len(raw) > 1024 * 1024:
        return None
    try:
        raw.decode()
        model = MODELS[kind].model_validate_json(raw)
    except (ValidationError, UnicodeDecodeError):
        return None
    return None if parse_time(model.occurred_at) > NOW + SKEW else model.model_dump()


def agree(raws: list[bytes], kinds: list[int]) -> None:
    batch = decode(raws, kinds, keep_payloads=True)
    found: dict[int, dict[str, Any]] = {}
    for columns in (batch.calls, batch.outcomes, batch.said):
        for pos, record in zip(columns.pos.tolist(), columns.records, strict=True):
            found[pos] = msgspec.to_builtins(record)
    for record, bare, retract, author in zip(
        batch.outcomes.records, batch.outcomes.bare, batch.outcomes.retract, batch.outcomes.author, strict=True
    ):
        assert bare == (record.action == "assert" and record.success is None and record.score is None)
        assert retract == (bare or record.action == "retract" or record.retracts is not None)
        assert (author != 0) == (record.author is not None)
    refused = {item.offset - 1 for item in batch.refused}
    assert batch.records == len(raws) == len(found) + len(refused)
    assert refused.isdisjoint(found)
    for i, (raw, kind) in enumerate(zip(raws, kinds, strict=True)):
        want = expected(raw, kind)
        assert (want is not None) == (i in found), raw
        if want is not None:
            # repr distinguishes 1, 1.0 and True.
            assert {name: repr(value) for name, value in found[i].items()} == {
                name: repr(value) for name, value in want.items()
            }, raw
    for item in batch.refused:
        assert item.reason in DEAD_LETTER_REASONS
        assert item.detail
        assert "\n" not in item.detail


digits = st.integers(0, 99).map("{:02d}".format)
any_time = st.one_of(
    st.sampled_from(
        [
            "2026-03-01T12:00:00Z",
            "2026-03-01t12:00:00z",
            "2026-03-01T12:00:00.123456789Z",
            "2026-03-01T12:00:00.5+01:00",
            "2026-03-01T12:00:00-23:59",
            "2026-03-01T12:00:00",
            "2026-03-01T12:00Z",
            "2026-03-01 12:00:00Z",
            "2026-03-01T12:00:00.Z",
            "2026-03-01T12:00:00,5Z",
            "2026-03-01T12:00:00.1234567890Z",
            "2026-02-29T12:00:00Z",
            "2024-02-29T12:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T12:00:60Z",
            "2026-03-01T12:00:00+24:00",
            "2026-03-01T12:00:00+0100",
            "1999-12-31T23:59:59.999999Z",
            "1999-12-31T23:30:00-01:00",
            "2000-01-01T00:30:00+01:00",
            "2250-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2026-06-01T00:05:00Z",
            "2026-06-01T00:05:00.000001Z",
            "２026-03-01T12:00:00Z",
            "2026-03-01T12:00:00Z\n",
            "20260301T120000Z",
            "1772366400",
            "",
        ]
    ),
    st.builds(
        "{}{}-{}-{}{}{}:{}:{}{}{}".format,
        st.sampled_from(["19", "20", "21", "22"]),
        digits,
        digits,
        digits,
        st.sampled_from("Tt "),
        digits,
        digits,
        digits,
        st.one_of(st.just(""), st.integers(0, 10**10).map(".{}".format)),
        st.sampled_from(["Z", "z", "", "+00:00", "-05:30", "+14:00", "+99:00", "+1:00"]),
    ),
    st.integers(946_684_800_000_000, NOW + 2 * SKEW).map(format_time),
)
texts = st.one_of(
    st.sampled_from(
        ["", "a", "judge", "call", "silence", "*", "__other__", "outcome", "assert", "retract", "x" * 128, "x" * 129]
    ),
    st.sampled_from([" ", " a", "a\u200b", "e\u0301", " * ", "\u2060", " " + "x" * 256, "\u0958" * 256, "__other__ "]),
    st.sampled_from(["x" * 256, "x" * 257, "ü" * 256, "\U0001f600" * 256, "y" * 8192, "y" * 8193, "a\x00b"]),
    st.text(max_size=8),
)
NUMBERS = """
0 -0 0.0 -0.0 1 1.0 1e0 1E3 -1 -1e-300 1e-400 0.5 1e6 1000000.0000001 1e12 1000000000000 1000000000001
9223372036854775807 9223372036854775808 18446744073709551616 1e308 1e309 -1e999 NaN Infinity -Infinity
01 .5 1. +1 0x1 1e
"""
numbers = st.one_of(
    st.sampled_from(NUMBERS.split()),
    st.just("1" * 30),
    st.just("1" * 400),
    st.just("1" * 5000),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-10, 10**13).map(str),
)
CHECK = '{"contract":"c","version":"1","hash":"h","rule":"r","result":"fail"}'


def checked(more: str) -> str:
    """A list of one check with another member."""
    return f"[{CHECK[:-1]},{more}}}]"


odd = st.sampled_from(
    [
        "null", "true", "false", "{}", "[]", "[1]", '{"a":1}', '{"a":null}', '{"a":[1]}', '{"a":1e999}', '{"a":true}',
        '{"a":"' + "x" * 257 + '"}', '{"' + "k" * 257 + '":1}', '{"a":9223372036854775808}', '{"a":1,"a":"b"}',
        '[{"name":"t","ok":true,"attempts":2,"latency_ms":1,"error":null,"stale":false}]', '[{"name":1}]',
        '[{"items":3,"partial":false,"empty":true,"data_at":"2026-03-01T12:00:00Z","documents":[{"id":"d"}]}]',
        '[{"items":["a","b"]}]', '[{"items":[1]}]', '[{"items":[{"a":1e999}]}]', '[{"items":-1}]', '[{"items":2.0}]',
        '[{"data_at":"2026-03-01"}]', '[{"data_at":""}]', '[{"data_at":"1999-01-01T00:00:00Z"}]',
        '[{"documents":[{"id":"d","version":"3","data_at":"2026-03-01T12:00:00.5+01:00"}]}]', '[{"documents":[{}]}]',
        '[{"documents":[{"id":7,"version":8}]}]', '[{"documents":[{"id":"d","data_at":"noon"}]}]', '[{"documents":[]}]',
        '[{"documents":[' + ",".join(['{"id":"d"}'] * 32) + "]}]", '[{"documents":[' + "1," * 32 + '{"id":"d"}]}]',
        '[{"items":5,"documents":[' + ",".join(['{"id":"d"}'] * 33) + "]}]", '[{"documents":"d"}]',
        '[{"documents":[' + ",".join(['{"id":"d"}'] * 32 + ["[1e999]"]) + "]}]",
        '[{"items":[' + "[" * 250 + "]" * 250 + "]}]",
        '[{"nom":"t"}]', '[{"attempts":-1}]', '[{"model":"m"}]', '[{"model":" m\u200b","config":" "}]',
        '[{"model":"*"}]', '[{"model":"\u2060"}]', '[{"model":"m","config":"__other__ "}]', '[{"model":"m","extra":1}]',
        '[{"model":"m","error":"","latency_ms":1,"cost_usd":0}]', '[{"model":"' + " " + "x" * 256 + '"}]',
        '[{"model":"m","error":"' + "y" * 8193 + '"}]', "[" + ",".join(['{"model":"m"}'] * 32) + "]",
        "[" + ",".join(['{"model":"m"}'] * 33) + "]", '[{"error":"e"}]', '[{"model":"m","cost_usd":-1}]',
        f"[{CHECK}]", checked('"actual":1,"threshold":"x"'), checked('"actual":""'), checked('"actual":true'),
        checked('"result":"maybe"'), checked('"more":1'), checked('"actual":1e999'), checked('"version":2'), "[[]]",
        "[" + ",".join([CHECK] * 64) + "]", "[" + ",".join([CHECK] * 65) + "]",
        '{"id":"r","arm":"canary","step":1}', '{"id":"r","arm":"other"}',
        '{"id":"r","arm":"baseline","step":null,"more":NaN}', '{"arm":"baseline"}',
        '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\x"', '"a\tb"', "[" * 150 + "]" * 150, "[" * 300 + "]" * 300,
        "", "nul", "'a'",
    ]
)  # fmt: skip
values = st.one_of(
    texts.map(json.dumps),
    texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
    any_time.map(json.dumps),
    numbers,
    odd,
)
TIME_FIELDS = {"occurred_at", "call_occurred_at"}
REASONABLE: dict[str, st.SearchStrategy[str]] = {
    "latency_ms": numbers, "cost_usd": numbers, "tokens": numbers, "tokens_in": numbers, "tokens_out": numbers,
    "score": numbers, "propensity": numbers, "success": st.sampled_from(["true", "false", "null", "1"]),
    "action": st.sampled_from(['"assert"', '"retract"', "null", '"other"']),
    "type": st.sampled_from(['"call"', '"outcome"', "null"]),
    "attrs": odd, "rollout": odd, "tool_calls": odd, "attempts": odd, "checks": odd,
}  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> tuple[bytes, int]:
    """A record near the rules: a good one, with members replaced, added, repeated, dropped and bytes turned."""
    kind = draw(st.sampled_from([CALL, OUTCOME]))
    members = [(name, json.dumps(value)) for name, value in BASES[kind].items()]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.one_of(st.sampled_from(MODEL_FIELDS[kind]), st.sampled_from(["new", "Call_id", ""])))
        if name in TIME_FIELDS:
            value = draw(any_time.map(json.dumps) | values)
        else:
            value = draw(REASONABLE.get(name, texts.map(json.dumps)) | values)
        spot = draw(st.integers(0, len(members)))
        if draw(st.booleans()):
            members = [member for member in members if member[0] != name]
        members.insert(min(spot, len(members)), (name, value))
    if draw(st.integers(0, 9)) == 0:
        members.pop(draw(st.integers(0, len(members) - 1)))
    text = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in members) + "}"
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(
            st.sampled_from(b'\x00\x7f\x80\xc3\xed\xff"{}[],: 1-') | st.integers(0, 255)
        )
    wrap = draw(st.sampled_from([(b"", b"")] * 6 + [(b" ", b"\n"), (b"\xef\xbb\xbf", b""), (b"", b" x"), (b"[", b"]")]))
    return wrap[0] + bytes(raw) + wrap[1], kind


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(records(), min_size=1, max_size=12))
def test_the_decoder_accepts_exactly_what_pydantic_accepts_with_equal_values(batch: list[tuple[bytes, int]]) -> None:
    agree([raw for raw, _ in batch], [kind for _, kind in batch])


def test_a_record_that_is_put_right_is_checked_as_any_other_also_in_members_that_come_twice() -> None:
    deep, head = b"[" * 250 + b"]" * 250, json.dumps({**BASES[CALL], "segment": ""}).encode()[:-1]
    members = [
        b'"attrs": ' + deep + b', "attrs": {"a": 1}', b'"attrs": {"a": ' + deep + b'}, "attrs": {"a": 1}',
        b'"attrs": ' + b"1" * 5000 + b', "attrs": {}', b'"attrs": {"a": ' + b"1" * 400 + b"}",
        b'"attrs": 1e999, "attrs": {}', b'"config": null',
        b'"attrs": {"a": [1e999]}', b'"attrs": {"a": [1]}', b'"attrs": {"a": "' + b"x" * 300 + b'"}', b'"attrs": [""]',
        b'"tokens": 1.5', b'"tokens": 1e300', b'"tokens": "x", "tokens": 1.0', b'"session_id": 1' + b"0" * 30,
        b'"rollout": {"id": "", "arm": "canary"}', b'"tool_calls": [{"name": "", "attempts": 1.0}]', b'"new": ""',
        b'"tool_calls": [{"items": ["a", "b"], "name": "t"}]', b'"tool_calls": [{"items": ["a", 1e999]}]',
        b'"tool_calls": [{"items": []}, {"items": null}]', b'"tool_calls": [{"items": ["' + b"x" * 300 + b'"]}, 3]',
        b'"attempts": [{"model": "m", "error": ""}]', b'"attempts": [{"model": "", "error": "e"}]',
        b'"tool_calls": [{"name": "t", "input": "i", "output": "o"}]', b'"tool_calls": [{"input": "", "output": 5}]',
        b'"model": ""', b'"occurred_at": ""', b'"type": "outcome"', b'"latency_ms": 5', b'"latency_ms": ""',
    ]  # fmt: skip
    raws = [head + b", " + member + b"}" for member in members]
    agree(raws, [CALL] * len(raws))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.sampled_from([CALL, OUTCOME]))
def test_arbitrary_bytes_are_refused_like_pydantic_refuses_them(raw: bytes, kind: int) -> None:
    agree([raw], [kind])


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.lists(any_time, max_size=30))
def test_times_read_in_columns_equal_times_read_one_by_one(batch: list[str]) -> None:
    found, sure = parse_times(batch)
    for text, us, known in zip(batch, found.tolist(), sure.tolist(), strict=True):
        try:
            want: int | None = parse_time(text)
        except ValueError:
            want = None
        if want is not None and want < parse_time("2000-01-01T00:00:00Z"):
            want = None
        assert known == (want is not None), text
        assert us == (NEVER if want is None else want), text


def test_what_an_outcome_is_about_is_read_as_pydantic_reads_it() -> None:
    names = ("call_id", "session_id", "scope", "outcome_id")
    values = ("c1", 7, None, ""), ("s", 12, None, ""), (None, "", "last", "all", "descendants", "x"), ("o", "session:o")
    agree(
        [json.dumps(OUTCOME_BASE | dict(zip(names, subject, strict=True))).encode() for subject in product(*values)],
        [OUTCOME] * 192,
    )
