"""Which fields a call carries, and the digests by which a second record of it is compared."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from aftercall.vocabulary import FILLED_ONCE
from connectors.batch import Calls
from connectors.decode.aliases import AliasSettings
from connectors.decode.contents import BITS
from connectors.decode.decoder import CALL, Decoder
from connectors.decode.redaction import RedactingDecoder
from harness.decoding import CALL_BASE, NOW, SKEW, decode

VALUES: dict[str, Any] = {
    "error": "e", "session_id": "s", "latency_ms": 0, "cost_usd": 0, "tokens": 0, "attrs": {"a": 1},
    "attempts": [{"model": "m"}], "parent_call_id": "p", "tool_calls": [{}], "policy_version": "v", "input": "i",
    "output": "o", "recommendation_id": "r", "propensity": 1, "rollout": {"id": "r", "arm": "canary"},
}  # fmt: skip


def line(**more: Any) -> bytes:
    return json.dumps({**CALL_BASE, **more}).encode()


def columns_of(decoder: Decoder, raws: list[bytes]) -> Calls:
    places = np.arange(len(raws))
    return decoder.decode(raws, np.full(len(raws), CALL, np.uint8), places.astype(np.int32), places, ["p"] * 9).calls


def calls(*fields: dict[str, Any]) -> Calls:
    return decode([line(**more) for more in fields], [CALL] * len(fields)).calls


def bits(found: Calls) -> list[int]:
    return [filled & (1 << len(FILLED_ONCE)) - 1 for filled in found.filled.tolist()]


@pytest.mark.parametrize("name", FILLED_ONCE)
def test_each_field_has_a_bit_in_any_company(name: str) -> None:
    only, none, every = calls({name: VALUES[name]}, {}, VALUES), calls({}), calls({name: VALUES[name]})
    assert bits(only) == [BITS[name], 0, (1 << len(FILLED_ONCE)) - 1]
    assert (bits(none), bits(every)) == ([0], [BITS[name]])


def test_each_kind_of_tokens_is_tokens_and_what_is_empty_is_absent() -> None:
    found = calls({"tokens_in": 1}, {"tokens_out": 0}, {"attrs": {}, "attempts": [], "tool_calls": []}, {"input": ""})
    assert bits(found) == [BITS["tokens"]] * 2 + [0, 0]


@pytest.mark.parametrize("more", [{}, {"unknown": 1}, {"segment": ""}, {"attrs": {"a": [1]}}])  # each tier
def test_tool_calls_are_given_where_they_are_listed(more: dict[str, Any]) -> None:
    sent: tuple[Any, ...] = (0, 3, 2.0, [], None, [{}], [{"name": "t"}])
    found = calls(*({"tool_calls": tools, **more} for tools in sent))
    (listed,) = (found.filled & BITS["tool_calls"]).nonzero()
    assert listed.tolist() == [5, 6]


CHECK: dict[str, Any] = {"contract": "c", "version": "1", "hash": "h", "rule": "r", "result": "fail"}


@pytest.mark.parametrize("more", [{}, {"unknown": 1}, {"segment": ""}])  # each tier
def test_a_record_with_checks_counts_as_one_with_the_texts(more: dict[str, Any]) -> None:
    found = calls({"checks": [CHECK], **more}, {"checks": [], **more}, {"checks": None, **more})
    assert bits(found) == [BITS["input"] | BITS["output"], 0, 0]
    assert [(check.rule, check.actual) for check in found.records[0].checks] == [("r", None)]


def test_what_checks_found_is_redacted_and_what_names_them_is_not() -> None:
    redacting = RedactingDecoder([r"c|\d+"], now_us=NOW, max_future_skew_us=SKEW)
    raws = [line(checks=[{**CHECK, "actual": "7 c", "threshold": 7, "details": "c 8"}])]
    (found,) = columns_of(redacting, raws).records
    (check,) = found.checks
    assert (check.contract, check.actual, check.threshold) == ("c", "[redacted] [redacted]", 7)
    assert check.details == "[redacted] [redacted]"


def test_a_refused_record_beside_it_takes_no_payload_from_a_call() -> None:
    """The calls are read again then, without their payloads."""
    found = decode([line(input="i"), line(model="*")], [CALL] * 2).calls
    assert bits(found) == [BITS["input"]]


def test_digests_tell_apart_what_was_sent() -> None:
    found = calls({"segment": "a"}, {"segment": "b"}, {"session_id": "a"}, {"error": "a"}, {"model": "other"}, {})
    assert len(set(found.segment.tolist())) == 3
    assert (found.session != 0).tolist() == [False, False, True, False, False, False]
    assert (found.error != 0).tolist() == [False, False, False, True, False, False]
    assert len(set(found.names.tolist())) == 2


def test_attempts_have_the_names_that_count() -> None:
    aliases = AliasSettings(model={"gpt-*": "gpt"}, config={"v?": "v"})
    aliased = Decoder(now_us=NOW, max_future_skew_us=SKEW, aliases=aliases)
    tried = [{"model": " gpt-4\u200b", "config": "v1", "error": "429"}, {"model": "large", "config": "\u200b"}]
    for more in ({}, {"unknown": 1}, {"segment": ""}):
        (found,) = columns_of(aliased, [line(attempts=tried, **more)]).records
        assert [(one.model, one.config, one.error) for one in found.attempts] == [
            ("gpt", "v", "429"),
            ("large", None, None),
        ]


def test_names_are_compared_before_aliases_and_errors_before_they_are_redacted() -> None:
    aliased = Decoder(now_us=NOW, max_future_skew_us=SKEW, aliases=AliasSettings(model={"a": "b"}))
    raws = [line(model="a"), line(model="b")]
    one, other = columns_of(aliased, raws).names.tolist()
    assert one != other
    redacting = RedactingDecoder([r"\d+"], now_us=NOW, max_future_skew_us=SKEW)
    tried = [{"model": "m", "error": "quota 7"}]
    found = columns_of(redacting, [line(error="user 1", attempts=tried), line(error="user 2")])
    assert found.error[0] != found.error[1]
    assert [record.error for record in found.records] == ["user [redacted]"] * 2
    assert found.records[0].attempts[0].error == "quota [redacted]"


@pytest.mark.parametrize("more", [{}, {"unknown": 1}, {"segment": ""}, {"attrs": {"a": [1]}}])  # each tier
def test_the_unit_is_the_hash_of_the_session_else_of_the_parent(more: dict[str, Any]) -> None:
    none: dict[str, Any] = {}
    one, other = {"session_id": "s"}, {"parent_call_id": "p"}
    session, parent = (xxh3_64_intdigest(text) for text in (b"s", b"p"))
    for fields, units in (
        ((none, one, other, one | other, {"session_id": "", "parent_call_id": ""}), [0, session, parent, session, 0]),
        ((none, one), [0, session]),
        ((none, none), [0, 0]),
    ):
        assert calls(*(one | more for one in fields)).unit.tolist() == units
