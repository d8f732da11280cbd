"""Texts are judged by the contracts of their calls before they are dropped; only results leave the decoder."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.results import TextResults
from aftercall.contracts.syntax import contract_of
from aftercall.vocabulary import FILLED_ONCE
from connectors.batch import Batch
from connectors.decode.aliases import AliasSettings
from connectors.decode.contract_texts import ContractTexts
from connectors.decode.text_keeper import TextKeeper
from harness.decoding import CALL_BASE, OUTCOME_BASE, decode
from harness.text_rules import contract

TOKEN = "zqxjkvbwpf"  # noqa: S105 - made up
RIVALS = {"type": "prohibited_topics", "topics": {"rivals": ["acme"]}}
RULES: list[dict[str, Any]] = [
    RIVALS,
    {"type": "latency", "max": 5},
    {"type": "restricted_data"},
    {"type": "format", "as": "json"},
    {**RIVALS, "when": {"attrs.tier": "gold"}},
    {"type": "required_topics", "topics": {"refund": ["refund"]}, "where": "input"},
    {"type": "output_length", "unit": "words", "max": 3},
]
ON_TEXTS = [place for place, rule in enumerate(RULES) if rule["type"] != "latency"]
TEXTS: list[dict[str, Any]] = [
    {"output": f"{TOKEN} acme {TOKEN}@b.org", "input": TOKEN, "attrs": {"tier": "gold"}},
    {"output": f'{{"{TOKEN}": 1}}', "input": "a refund"},
    {"output": f"{TOKEN} Acme", "attrs": {"tier": "silver"}},
    {"input": f"{TOKEN} refund {TOKEN}"},
    {"output": f"acme {TOKEN}", "attrs": {"cancelled": True}},
    {"output": "", "input": None},
    {"output": f"acme {TOKEN}", "latency_ms": 9, "tool_calls": [{"name": "t", "ok": False}]},
]
CALLS = [{**CALL_BASE, "call_id": f"c{number}", **texts} for number, texts in enumerate(TEXTS)]
TWICE = '{"call_id": "other", '
"""A key that comes twice, or one that is unknown, is for pydantic to decide."""


def fast(call: dict[str, Any]) -> bytes:
    return json.dumps(call).encode()


def slow(call: dict[str, Any]) -> bytes:
    return json.dumps({**call, "an_unknown_field": TOKEN, "tokens_in": 3.0}).encode()


def lane(calls: list[dict[str, Any]], *contracts: Any, spelled: Any = fast, **settings: Any) -> Batch:
    raws = [spelled(call) for call in calls]
    return decode(raws, [0] * len(raws), contracts=ContractTexts(ContractSet(contracts)), **settings)


@pytest.mark.parametrize("spelled", [fast, slow])
def test_both_tiers_give_the_results_that_the_sdk_gives(spelled: Any) -> None:
    judging = contract(*RULES)
    batch = lane(CALLS, judging, spelled=spelled)
    assert batch.text_results is not None
    for call, found in zip(CALLS, batch.text_results, strict=True):
        expected = [result for place, result in enumerate(judge(judging, call)) if place in ON_TEXTS]
        if not call.get("input") and not call.get("output"):
            assert found is None
            assert {result.result for result in expected} <= {"not_applicable"}
        else:
            assert found == (TextResults("texts", "1", tuple(expected)),)


@pytest.mark.parametrize("spelled", [fast, slow])
@pytest.mark.parametrize("keep", [False, True])
def test_texts_are_dropped_once_they_are_judged_unless_they_are_kept(spelled: Any, *, keep: bool) -> None:
    batch = lane(CALLS, contract(*RULES), spelled=spelled, keep_payloads=keep)
    outputs = [record.output for record in batch.calls.records]
    assert outputs == ([call.get("output") or None for call in CALLS] if keep else [None] * len(CALLS))
    plain = decode([spelled(call) for call in CALLS], [0] * len(CALLS))
    assert batch.calls.filled.tolist() == plain.calls.filled.tolist()
    assert plain.text_results is None
    if not keep:
        batch.calls = batch.calls._replace(raw=plain.calls.raw * 0)
        assert batch.calls.records.tolist() == plain.calls.records.tolist()
        assert TOKEN.encode() not in pickle.dumps(batch)


def test_a_kept_text_is_judged_before_it_is_redacted_and_cut() -> None:
    keeper = TextKeeper(1.0, 16, [r"acme"])
    batch = lane(CALLS[:1], contract(RIVALS), texts=keeper)
    assert batch.text_results is not None
    assert batch.text_results[0][0].results[0].result == "fail"
    assert "acme" not in batch.calls.records[0].output


def versions() -> list[Any]:
    rule = {"id": "rivals", "type": "prohibited_topics", "topics": {"rivals": ["acme"]}}
    named = {"contract": "refund", "tasks": ["refund"]}
    return [
        contract_of({**named, "version": "1", "rule": [rule]}, "1.toml"),
        contract_of(
            {**named, "version": "2", "effective_from": "2026-03-01T12:00:00Z", "rule": [{**rule, "id": "new"}]},
            "2.toml",
        ),
        contract_of({"contract": "all", "version": "7", "rule": [{"id": "some", "type": "format"}]}, "all.toml"),
        contract_of({"contract": "fast", "version": "1", "rule": [{"id": "f", "type": "latency", "max": 1}]}, "f.toml"),
    ]


def test_a_call_is_judged_by_the_names_that_count_and_the_version_of_its_time() -> None:
    calls = [
        {**CALL_BASE, "call_id": "before", "task_type": " Refund ", "occurred_at": "2026-03-01T11:59:59.999999Z"},
        {**CALL_BASE, "call_id": "after", "task_type": "refund", "occurred_at": "2026-03-01T13:00:00+01:00"},
        {**CALL_BASE, "call_id": "other", "task_type": "triage"},
    ]
    aliases = AliasSettings({"Refund": "refund"}, {}, {})
    batch = lane([call | {"output": "acme"} for call in calls], *versions(), aliases=aliases)
    assert batch.text_results is not None
    judged = [[(one.contract, one.version, one.results[0].rule) for one in found] for found in batch.text_results]
    assert judged == [
        [("all", "7", "some"), ("refund", "1", "rivals")],
        [("all", "7", "some"), ("refund", "2", "new")],
        [("all", "7", "some")],
    ]


def test_refused_records_are_not_judged_and_do_not_shift_the_others() -> None:
    future = {**CALL_BASE, "call_id": "future", "occurred_at": "2030-01-01T00:00:00Z", "output": "acme"}
    negative = {**CALL_BASE, "call_id": "negative", "cost_usd": -1, "output": "acme"}
    calls = [future, CALLS[1], negative, CALLS[0], future]
    raws = [*map(fast, calls), json.dumps(OUTCOME_BASE).encode()]
    batch = decode(raws, [0] * 5 + [1], contracts=ContractTexts(ContractSet([contract(RIVALS)])))
    assert batch.text_results is not None
    assert [record.call_id for record in batch.calls.records] == ["c1", "c0"]
    assert [found[0].results[0].result for found in batch.text_results] == ["pass", "fail"]
    assert [refused.reason for refused in batch.refused] == ["future", "negative", "future"]
    assert batch.calls.filled.tolist() == [
        decode([fast(call)], [0]).calls.filled.tolist()[0] for call in (CALLS[1], CALLS[0])
    ]
    assert "output" in FILLED_ONCE


def test_snippets_are_redacted() -> None:
    text = f"our rival acme says jane@example, {TOKEN} {'x ' * 100}"
    rules = contract(RIVALS, {"type": "format", "as": "json"}, {"type": "restricted_data", "patterns": ["rival"]})
    contracts = ContractTexts(ContractSet([rules]), [r"[a-z]+@example"])
    batch = decode([fast({**CALL_BASE, "output": text})], [0], contracts=contracts)
    assert batch.text_results is not None
    topics, form, data = (found.details for found in batch.text_results[0][0].results)
    assert topics == ("topic 'rivals': phrase 'acme' [our rival acme says [redacted], zqxjkvbwpf]")
    assert form.endswith(" [our rival acme says [redacted], zqxjkvbwpf x x x x x x x x x]")
    assert data == "pattern 'rival' at least once in the output"


HOSTILE = [
    "(" * 500_000,
    "[" * 100_000 + "]" * 100_000,
    "\0" * 1000,
    "\ud800" * 1000,
    "a" + "\u0301\u0316" * 50_000,
    "\ufdfa" * 50_000,
    "4111 1111 1111 1112 " * 20_000,
    "not JSON: {",
]


def test_no_record_is_refused_on_account_of_a_contract() -> None:
    """Those with half a surrogate are refused anyhow; of the others each has its results, on both tiers."""
    calls = [{**CALL_BASE, "call_id": f"c{number}", "output": text} for number, text in enumerate(HOSTILE)]
    raws = [spelled(call) for call in calls for spelled in (fast, slow)]
    contracts = ContractTexts(ContractSet([contract(*RULES)]))
    plain, judged = decode(raws, [0] * len(raws)), decode(raws, [0] * len(raws), contracts=contracts)
    assert judged.refused == plain.refused
    assert judged.calls.pos.tolist() == plain.calls.pos.tolist()
    assert judged.text_results is not None
    assert len(judged.text_results) == 2 * (len(HOSTILE) - 1)
    for found in judged.text_results:
        assert len(found[0].results) == len(ON_TEXTS)
        assert not any("defect" in result.details for result in found[0].results)
