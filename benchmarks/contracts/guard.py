"""What a guard costs on the response path: calls as fast as they go, less the bare function, as in `make bench-sdk`.

A full queue would be faster, as nothing is judged, so both queues are large, and all is judged between two rounds.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aftercall
from benchmarks.contracts import text

ROUNDS: Final = 25
CALLS: Final = 1_000
RULES: Final = [
    {"id": "short", "type": "output_length", "unit": "words", "max": 1000},
    {"id": "fast", "type": "latency", "max": 60_000},
    {"id": "tools", "type": "denied_tools", "tools": ["delete_*"]},
    {"id": "data", "type": "restricted_data", "where": "output"},
    {"id": "topics", "type": "prohibited_topics", "topics": {"promises": ["guaranteed refund", "we promise"]}},
]


def figures() -> dict[str, float]:
    """The figures of this part. About a minute."""
    draw = random.Random(text.SEED)
    (answer,) = text.texts(text.words(draw), draw)[:1]
    with tempfile.TemporaryDirectory() as folder:
        return _measured(Path(folder), answer)


def _measured(folder: Path, answer: str) -> dict[str, float]:
    contract = folder / "refund.json"
    contract.write_text(json.dumps({"contract": "refund", "version": "1", "rule": RULES}))
    client = aftercall.Client(file=folder / "events", spool=None, queue_events=1 << 20, queue_bytes=1 << 30)
    guard = aftercall.guard(contract, client, queue_calls=1 << 20, queue_bytes=1 << 30)

    def bare(question: str) -> str:  # noqa: ARG001  # what an agent gets
        return answer

    variants: dict[str, Callable[[str], str]] = {
        "bare": bare,
        "tracked": client.track("refund", model="m", config="v7")(bare),
        "guarded": client.track("refund", model="m", config="v7", guard=guard)(bare),
    }
    best = dict.fromkeys(variants, (float("inf"), float("inf")))
    for _ in range(ROUNDS):
        for name, call in variants.items():
            p99, p50 = _tight(call)
            best[name] = min(best[name], (p99, p50))
            assert guard.flush(600)
            assert client.flush(600)
    stats = guard.stats()
    assert stats.balanced
    assert stats.judged >= ROUNDS * CALLS / 2  # on a machine that is too busy some are late
    guard.close()
    client.close()
    return {
        "guard_us_p99": best["guarded"][0] - best["bare"][0],
        "guard_us_p50": best["guarded"][1] - best["bare"][1],
        "track_us_p99": best["tracked"][0] - best["bare"][0],
        "track_us_p50": best["tracked"][1] - best["bare"][1],
    }


def _tight(call: Callable[[str], str]) -> tuple[float, float]:
    """99 % quantile and median in microseconds."""
    clock = time.perf_counter_ns
    took = []
    for _ in range(CALLS):
        began = clock()
        call("Where is my money?")
        took.append(clock() - began)
    took.sort()
    return took[int(len(took) * 0.99)] / 1e3, took[len(took) // 2] / 1e3
