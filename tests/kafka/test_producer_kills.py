"""Producers that are killed at random moments, on a real broker: what they said was safe arrives."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.emitting import left_in
from harness.killed_producers import killed, last_one_sends_what_is_left, lost_and_doubled
from kafka.clusters import Cluster

KILLS = 4
"""By hand 100 of each kind, in eight minutes: of 78,940 safe events none was lost (30 Nov 2026)."""


@pytest.mark.slow
@pytest.mark.parametrize("durable", [False, True])
def test_what_was_in_the_spool_of_a_killed_producer_arrives(
    tmp_path: Path, real_broker: Cluster, *, durable: bool
) -> None:
    topic = real_broker.fresh_topic(2)
    transport = f"KafkaTransport({real_broker.bootstrap!r}, calls={topic!r})"
    safe = killed(tmp_path, transport, KILLS, seed=1 + durable, durable=durable)
    last_one_sends_what_is_left(tmp_path, transport)
    arrived = Counter(json.loads(record.value or b"")["call_id"] for record in real_broker.read_all(topic))
    lost, doubled = lost_and_doubled(safe, arrived)
    assert lost == set()
    # Acknowledged by the broker in the moment of the kill, and sent once more: the pipeline counts a duplicate.
    assert doubled <= KILLS * 4000
    assert len(safe) > KILLS
    assert left_in(tmp_path) == []
