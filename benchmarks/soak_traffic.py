"""Produces the soak's traffic in a separate process: calls at a steady rate, delayed outcomes.

    python -m benchmarks.soak_traffic --brokers HOST:PORT --seconds 60 [--rate 1000] [--seed 7]

Outcomes follow their calls after seconds to minutes. Prints one line of JSON at the end: what the broker confirmed. An
outcome's `occurred_at` is the moment before it is handed to the client, so that a reader of its verdict can compute how
long it took.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.kafka_broker import LOSES_NONE

CALLS, OUTCOMES = "agent.calls", "agent.outcomes"
SEED: Final = 7
GROUPS: Final = tuple((f"task-{t}", f"model-{m}", f"v{c}") for t in range(5) for m in range(2) for c in range(2))
_PER_CALL: Final = 1.96
"""Records per call, of all kinds together."""
_ANSWERED, _REVISED, _SENT_TWICE, _ORPHANS, _MALFORMED, _FAILED = 0.87, 0.06, 0.01, 0.001, 0.001, 0.01
_MEDIAN_DELAY_S, _DELAY_SIGMA, _LONGEST_DELAY_S = 15.0, 1.5, 480.0
_TICK_S: Final = 0.02


class Traffic:
    """The records to send and when; `at` is in seconds since the start."""

    def __init__(self, rate: float, seed: int) -> None:
        self._draw = random.Random(seed)
        self._run = f"{self._draw.getrandbits(32):08x}"
        self._every_s = _PER_CALL / rate
        self._calls = 0
        self._order = 0
        self._later: list[tuple[float, int, str, str, dict[str, Any] | bytes]] = []

    def due(self, at: float) -> list[tuple[str, str, dict[str, Any] | bytes]]:
        """Topic, key and record of all that is due by `at`."""
        while self._calls * self._every_s <= at:
            self._call(self._calls * self._every_s)
            self._calls += 1
        ready = []
        while self._later and self._later[0][0] <= at:
            _, _, topic, key, record = heapq.heappop(self._later)
            ready.append((topic, key, record))
        return ready

    def _call(self, at: float) -> None:
        draw, number = self._draw, self._calls
        task, model, config = GROUPS[draw.randrange(len(GROUPS))]
        call_id = f"{self._run}-{number:x}"
        call: dict[str, Any] = {
            "call_id": call_id,
            "task_type": task,
            "model": model,
            "config": config,
            "session_id": f"session-{number // 4}",
            "latency_ms": round(draw.lognormvariate(6, 1), 1),
            "cost_usd": round(draw.gammavariate(2, 0.01), 6),
            "tokens_in": draw.randrange(200, 8_000),
            "tokens_out": draw.randrange(20, 2_000),
        }
        if draw.random() < _FAILED:
            call["error"] = "timeout"
        self._at(at, CALLS, call_id, call)
        if draw.random() < _SENT_TWICE:
            self._at(at + 0.5, CALLS, call_id, call)
        if draw.random() < _MALFORMED:
            self._at(at, CALLS, call_id, b'{"call_id": 1')
        if draw.random() < _ORPHANS:
            self._outcome(at, f"unknown-{number:x}", 0)
        if draw.random() < _ANSWERED:
            outcome_at = at + min(_MEDIAN_DELAY_S * draw.lognormvariate(0, _DELAY_SIGMA), _LONGEST_DELAY_S)
            self._outcome(outcome_at, call_id, 0)
            if draw.random() < _REVISED:
                self._outcome(outcome_at + draw.expovariate(1 / 30), call_id, 1)

    def _outcome(self, at: float, call_id: str, index: int) -> None:
        draw = self._draw
        outcome: dict[str, Any] = {"outcome_id": f"{call_id}-o{index}", "call_id": call_id, "source": "user_feedback"}
        good = draw.random() < 0.9
        outcome |= {"success": good} if draw.random() < 0.7 else {"score": round(draw.uniform(0.7, 1) - (not good), 3)}
        self._at(at, OUTCOMES, call_id, outcome)
        if draw.random() < _SENT_TWICE:
            self._at(at + 2, OUTCOMES, call_id, outcome)

    def _at(self, at: float, topic: str, key: str, record: dict[str, Any] | bytes) -> None:
        self._order += 1
        heapq.heappush(self._later, (at, self._order, topic, key, record))


def produce(brokers: str, *, seconds: float, rate: float, seed: int) -> dict[str, Any]:
    """Send for `seconds`; returns what the broker confirmed, what failed, and the longest delay behind the schedule."""
    confirmed: Counter[str] = Counter()

    def delivered(error: KafkaError | None, message: Message) -> None:
        confirmed[str(message.topic()) if error is None else f"failed: {error.name()}"] += 1

    producer = Producer(LOSES_NONE | {"bootstrap.servers": brokers, "linger.ms": 20})
    traffic, behind = Traffic(rate, seed), 0.0
    started = time.monotonic()
    while (now := time.monotonic() - started) < seconds:
        for topic, key, record in traffic.due(now):
            _send(producer, delivered, topic, key, record)
        producer.poll(0)
        late = time.monotonic() - started - now
        behind = max(behind, late)
        time.sleep(max(0.0, _TICK_S - late))
    producer.flush(60)
    return {"confirmed": dict(confirmed), "seconds": seconds, "behind_s": round(behind, 3)}


def _send(producer: Producer, delivered: Any, topic: str, key: str, record: dict[str, Any] | bytes) -> None:
    if isinstance(record, dict):
        # Set only when it is sent first, so that a repeat is equal.
        record.setdefault("occurred_at", datetime.now(UTC).isoformat())
    value = record if isinstance(record, bytes) else json.dumps(record).encode()
    while True:
        try:
            producer.produce(topic, key=key, value=value, on_delivery=delivered)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def main() -> None:
    """Run the command that the module describes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_traffic", description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    print(json.dumps(produce(given.brokers, seconds=given.seconds, rate=given.rate, seed=given.seed)))


if __name__ == "__main__":
    main()
