"""Calls whose records came on two partitions are counted, each once, wherever the two records meet."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from connectors.batch import Batch
from connectors.decode.decoder import CALL, OUTCOME, Decoder
from flows.dataflow.shards import SHARDS, split
from flows.dataflow.steps import Joining, join_step
from flows.dataflow.stored_state import Keeping
from kafka.clusters import MockCluster
from kafka.lane_rig import Rig, call, has_read, outcome, read_until
from models.join import JoinRules
from models.state import Envelopes

AT = "2026-03-01T12:00:00Z"
PARTITIONS = 4


class Sent(NamedTuple):
    kind: int
    call: int
    partition: int


def batch(sent: list[Sent]) -> Batch:
    raws = []
    for number, one in enumerate(sent):
        event: dict[str, object] = {"call_id": f"c{one.call}", "occurred_at": AT}
        if one.kind == CALL:
            event |= {"task_type": "t", "model": "m"}
        else:
            event |= {"outcome_id": f"o{number}", "source": "s", "score": 0.5}
        raws.append(json.dumps(event).encode())
    kinds, partitions = np.array([one.kind for one in sent], np.uint8), np.array([one.partition for one in sent])
    names = [f"agent.calls/{number}" for number in range(PARTITIONS)]
    return Decoder(now_us=2**62, max_future_skew_us=0).decode(
        raws, kinds, partitions.astype(np.int32), np.arange(len(sent)), names
    )


class Joined:
    """All shards of the join of one process, as a service makes them."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        build = join_step(JoinRules(), Keeping(Envelopes()), Joining(split=self.counts.append))
        self._shards = {shard: build(None) for shard in SHARDS}

    def take(self, read: Batch) -> None:
        for shard, arrivals in split(read):
            self._shards[shard].on_batch([arrivals])


SENT = st.builds(Sent, st.sampled_from([CALL, OUTCOME]), st.integers(0, 9), st.integers(0, PARTITIONS - 1))


@given(st.lists(st.lists(SENT, min_size=1, max_size=8), max_size=6))
def test_each_call_that_was_met_on_two_partitions_is_counted_once(batches: list[list[Sent]]) -> None:
    joined, met = Joined(), defaultdict[int, set[int]](set)
    for sent in batches:
        joined.take(batch(sent))
        for one in sent:
            met[one.call].add(one.partition)
        assert sum(joined.counts) == sum(len(partitions) > 1 for partitions in met.values())


def test_partitions_of_files_are_not_counted() -> None:
    step = join_step(JoinRules(), Keeping(Envelopes()), Joining())(None)
    made = batch([Sent(CALL, 1, 0), Sent(OUTCOME, 1, 0)])
    made.partitions = ["calls.jsonl"] * PARTITIONS
    for _, arrivals in split(made):
        step.on_batch([arrivals])


@pytest.mark.slow
@pytest.mark.parametrize("partitioner", ["murmur2_random", "consistent_random"])
def test_producers_that_place_keys_by_different_hashes_show(
    mock_broker: MockCluster, tmp_path: Path, partitioner: str
) -> None:
    rig = Rig(mock_broker, tmp_path, partitions=PARTITIONS)
    producers = {
        rig.calls: Producer(mock_broker.client | {"partitioner": "murmur2_random"}),
        rig.outcomes: Producer(mock_broker.client | {"partitioner": partitioner}),
    }
    for topic, producer in producers.items():
        for number in range(40):
            producer.produce(topic, (call if topic == rig.calls else outcome)(number), f"c{number}")
        producer.flush()
    joined, found = Joined(), defaultdict[str, set[int]](set)
    with rig.lane() as lane:
        for read in read_until(lane, has_read(80)):
            joined.take(read)
    rig.close()
    for topic in producers:
        for record in mock_broker.read_all(topic):
            found[(record.key or b"").decode()].add(record.partition)
    split_keys = sum(len(partitions) > 1 for partitions in found.values())
    assert sum(joined.counts) == split_keys
    assert split_keys == 0 if partitioner == "murmur2_random" else split_keys > 20
