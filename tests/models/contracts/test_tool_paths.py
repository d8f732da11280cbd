"""Records that are alike are judged once, and as the engine judges each of them; numbers as columns likewise."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.contracts.contract import Contract
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.results import RESULTS
from aftercall.contracts.syntax import contract_of
from connectors.decode.decoder import CALL, Decoder
from models.contracts import ContractJudge
from models.side_messages import ToolPaths

RULES: list[dict[str, Any]] = [
    {"id": "fast", "type": "latency", "max": 100},
    {"id": "cheap", "type": "cost", "max": 0.1},
    {"id": "free", "type": "cost", "max": 0},
    {"id": "short", "type": "output_length", "min": 2, "max": 5},
    {"id": "idle", "type": "output_length"},
    {"id": "gold", "type": "latency", "max": 5, "when": {"attrs.tier": "gold", "error": False}},
    {"id": "allowed", "type": "allowed_tools", "tools": ["a", "b*"]},
    {"id": "needed", "type": "required_tools", "tools": ["a"]},
    {"id": "retries", "type": "retry_limit", "attempts": 2, "calls": 3},
    {"id": "handled", "type": "tool_failure_handled", "fallbacks": ["b"], "accept": ["escalated"]},
    {"id": "empty", "type": "no_answer_on_empty", "sources": ["b"]},
    {"id": "partial", "type": "partial_data", "sources": ["b"]},
    {"id": "stale", "type": "stale_data"},
    {"id": "old", "type": "stale_data", "max_age": "1h"},
    {"id": "documents", "type": "documents", "denied": ["d1"], "max_age": "1d"},
    {"id": "approved", "type": "approval", "tools": ["a"], "approvers": ["c"]},
    {"id": "end", "type": "safe_end_state", "allowed": ["done"]},
    {"id": "many", "type": "latency", "max": 1, "when": {"tool_calls": "> 1"}},
]
KEPT = ("all", "failed")
"""Which results have rows, with decoders that do not number tools, and that do."""
some = st.sampled_from
LABELS: list[dict[str, Any]] = [
    {"tier": "gold"},
    {"tier": "gold", "end_state": "done"},
    {"end_state": 1},
    {"end_state": True},
    {"approved": True},
    {"cancelled": True, "tier": "gold"},
]
TIMES = ["2026-03-01T11:30:00Z", "2026-02-01T10:00:00Z"]
documents = st.fixed_dictionaries({"id": some(["d1", "d2"])}, optional={"data_at": some(TIMES)})
tools = st.fixed_dictionaries(
    {"name": some(["a", "b", "bb", "c"])},
    optional={
        "ok": st.booleans(),
        "error": some(["timeout", "429"]),
        "attempts": some([1, 2, 3]),
        "stale": st.booleans(),
        "partial": st.booleans(),
        "empty": st.booleans(),
        "items": some([0, 1]),
        "data_at": some(TIMES),
        "documents": st.lists(
            st.fixed_dictionaries({"id": some(["d1", "d2"])}, optional={"data_at": some(TIMES)}), max_size=2
        ),
        "latency_ms": some([1.5, 2.5]),
    },
)
calls = st.fixed_dictionaries(
    {"call_id": st.integers(1, 10**6).map(str), "occurred_at": some(["2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"])},
    optional={
        "latency_ms": some([0, 1, 5, 100, 100.0000001, 1e9]),
        "cost_usd": some([0, 0.1, 0.1000000004, 0.1000000006, 0.09999999999, 1e-10, 1]),
        "tokens_out": some([0, 2, 5, 6]),
        "error": some(["e"]),
        "attrs": some(
            [
                {"tier": "gold"},
                {"tier": "gold", "end_state": "done"},
                {"end_state": 1},
                {"end_state": True},
                {"approved": True},
            ]
        ),
        "tool_calls": some([0, 2]) | st.lists(tools, max_size=7),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(calls, min_size=1, max_size=6), min_size=1, max_size=3))
def test_records_are_judged_as_the_engine_judges_each(batches: list[list[dict[str, Any]]]) -> None:
    for rules in (RULES, RULES[:10], RULES[6:9]):
        contract = contract_of({"contract": "c", "version": "1", "rule": rules}, "file")
        courts = [ContractJudge(ContractSet([contract]), msgspec.to_builtins, "critical", keep) for keep in KEPT]
        decoders = [Decoder(now_us=2**62, max_future_skew_us=0, number_tools=numbered) for numbered in (False, True)]
        for batch, (court, decoder) in product(batches, zip(courts, decoders, strict=True)):
            assert found(court, batch, decoder) == [wanted(contract, call) for call in batch]


def found(court: ContractJudge, batch: list[dict[str, Any]], decoder: Decoder) -> list[list[str]]:
    lines = [json.dumps({"task_type": "t", "model": "m", **call}).encode() for call in batch]
    places = np.arange(len(lines))
    kinds = np.full(len(lines), CALL, np.uint8)
    decoded = decoder.decode(lines, kinds, places.astype(np.int32), places, ["p"] * len(lines))
    assert not decoded.refused
    paths = None if decoded.tool_paths is None else ToolPaths(decoded.tool_token, decoded.tool_paths)
    (block,) = court.judge(decoded.groups, decoded.calls, None, paths).blocks
    assert block.rows is None
    results = [["pass"] * len(block.rules.rules) for _ in batch]  # also of those that have no place in it
    for place, codes in zip(block.places.tolist(), block.codes.tolist(), strict=True):
        results[place] = [RESULTS[code] for code in codes]
    return results


def wanted(contract: Contract, call: dict[str, Any]) -> list[str]:
    return [result.result for result in judge(contract, {"task_type": "t", "model": "m", **call})]
