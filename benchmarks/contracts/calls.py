"""What judging costs beside decoding and joining: numbers of all calls, and the tools of calls that used some.

The share is of the processor time of decode and join of the same records without contracts, by turns in one run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.syntax import contract_of
from aftercall.times import format_time, parse_time
from benchmarks.contracts.turns import least_s
from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from flows.dataflow.shards import SHARDS, split
from models import plain
from models.contracts import ContractJudge
from models.join import Join, JoinRules
from models.side_messages import Judge

CALLS: Final = 48_000
BATCHES: Final = 2
ROUNDS: Final = 24
SEED: Final = 16
_START: Final = parse_time("2026-03-01T12:00:00Z")
_NUMBERS: Final[list[dict[str, Any]]] = [
    {"id": "fast", "type": "latency", "max": 30_000, "severity": "critical"},
    {"id": "cheap", "type": "cost", "max": 1},
    {"id": "short", "type": "output_length", "max": 4000},
]
_TOOLS: Final[list[dict[str, Any]]] = [
    {"id": "denied", "type": "denied_tools", "tools": ["delete_*", "pay_out"], "severity": "critical"},
    {"id": "allowed", "type": "allowed_tools", "tools": ["search*", "read*", "tool-*", "write"]},
    {"id": "retries", "type": "retry_limit", "attempts": 4, "calls": 8},
    {"id": "handled", "type": "tool_failure_handled", "fallbacks": ["search_again"], "accept": ["escalated"]},
    {"id": "stale", "type": "stale_data", "allow": 0},
]

_DECODERS: Final = [Decoder(now_us=2**62, max_future_skew_us=0, number_tools=numbers) for numbers in (False, True)]
"""Without rules on tools and with; as a lane's, they live longer than a run of this benchmark."""
_STEPS: Final = 1 + len(SHARDS)
"""Of a batch."""
_Judges = Mapping[str, Judge] | None
"""One for each shard, as in a replay."""


def columns() -> Mapping[str, float]:
    """Three rules on numbers over all calls."""
    return {"share_columns": _share(_NUMBERS, tools=False)}


def tool_path() -> Mapping[str, float]:
    """Five rules over four tool calls of each call; and what a held call takes more in the stored state."""
    return {"share_tool_path": _share(_TOOLS, tools=True), "bytes_per_held_call_added": _bytes_added()}


def _share(rules: list[dict[str, Any]], *, tools: bool) -> float:
    """Where no rule looks at tools, calls are decoded as without contracts."""
    lines, judges = _lines(tools=tools), _judges(rules)
    plain, judged = _DECODERS[False], _DECODERS[tools]
    times = least_s(
        {"plain": lambda: _steps(plain, lines, None), "judged": lambda: _steps(judged, lines, judges)},
        ROUNDS,
        alike=() if tools else range(0, BATCHES * _STEPS, _STEPS),
    )
    return times["judged"] / times["plain"] - 1


def _bytes_added() -> float:
    lines, numbering = _lines(tools=True), _DECODERS[True]
    sizes = [
        sum(len(plain.pack(join.state())) for join in [*_steps(numbering, lines, judges)][-1])
        for judges in (None, _judges(_TOOLS))
    ]
    return (sizes[1] - sizes[0]) / CALLS


def _judges(rules: list[dict[str, Any]]) -> _Judges:
    contracts = ContractSet([contract_of({"contract": "benchmark", "version": "1", "rule": rules}, "benchmark")])
    return {shard: ContractJudge(contracts, msgspec.to_builtins) for shard in SHARDS}


def _steps(decoder: Decoder, lines: list[bytes], judges: _Judges) -> Iterator[list[Join]]:
    """Decode each batch, and join it shard by shard: a step each. Yields the joins."""
    joins = {shard: Join(JoinRules(), judge=None if judges is None else judges[shard]) for shard in SHARDS}
    size = len(lines) // BATCHES
    for start in range(0, len(lines), size):
        parts = split(_batch(decoder, lines[start : start + size]))
        yield list(joins.values())
        for shard, arrivals in parts:
            joins[shard].process(arrivals)
            yield list(joins.values())


def _batch(decoder: Decoder, lines: list[bytes]) -> Batch:
    places = np.arange(len(lines))
    batch = decoder.decode(lines, np.zeros(len(lines), np.uint8), np.zeros(len(lines), np.int32), places, ["calls"])
    batch.last = False
    return batch


def _lines(*, tools: bool) -> list[bytes]:
    draw = random.Random(SEED)
    return [
        json.dumps(
            {
                "call_id": f"call-{number:08}",
                "occurred_at": format_time(_START + number * 10_000),
                "task_type": draw.choice(("triage", "refund")),
                "model": draw.choice(("large", "small")),
                "config": "v1",
                "latency_ms": round(draw.lognormvariate(6, 1), 1),
                "cost_usd": round(draw.random() / 100, 6),
                "tokens_in": draw.randrange(100, 3000),
                "tokens_out": draw.randrange(10, 900),
                **({"tool_calls": [_tool(draw) for _ in range(4)]} if tools else {}),
            }
        ).encode()
        for number in range(CALLS)
    ]


def _tool(draw: random.Random) -> dict[str, Any]:
    """Agents have a dozen tools, which mostly work."""
    failed = draw.random() < 0.03
    return {
        "name": draw.choice(("search", "read", "write", "tool-1", "tool-2", "tool-3")),
        "ok": not failed,
        "latency_ms": round(draw.lognormvariate(5, 1), 1),
        "attempts": 2 if failed else 1,
    }
