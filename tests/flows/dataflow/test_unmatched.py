"""The ids that outcomes wait for leave a shard at the end of files, and once an hour in a service."""

from __future__ import annotations

import json

import numpy as np

from connectors.batch import Batch
from connectors.decode.decoder import CALL, OUTCOME, Decoder
from flows.dataflow.shards import split
from flows.dataflow.steps import MOST_UNMATCHED, Joining, join_step
from flows.dataflow.stored_state import Keeping
from flows.dataflow.unmatched import Unmatched
from models.join import Joined, JoinRules
from models.state import Envelopes

AT = "2026-03-01T12:00:00Z"


def batch(kind: int, *call_ids: str, last: bool = False) -> Batch:
    """Calls, or one outcome for each."""
    call = {"occurred_at": AT, "task_type": "t", "model": "m"}
    outcome = {"occurred_at": AT, "source": "s", "success": True}
    raws = [
        json.dumps({"call_id": one, **({**outcome, "outcome_id": f"o{i}"} if kind == OUTCOME else call)}).encode()
        for i, one in enumerate(call_ids)
    ]
    count = len(raws)
    made = Decoder(now_us=2**62, max_future_skew_us=0).decode(
        raws, np.full(count, kind, np.uint8), np.zeros(count, np.int32), np.arange(count), ["p"]
    )
    made.last = last
    return made


class Shard:
    """The step of the shard of one id."""

    def __init__(self, joining: Joining, call_id: str) -> None:
        self._step = join_step(JoinRules(), Keeping(Envelopes()), joining)(None)
        (self._shard,) = [shard for shard, arrivals in split(batch(CALL, call_id)) if len(arrivals.calls.key)]

    def unmatched(self, read: Batch) -> list[str] | None:
        """What the shard says of the ids that outcomes wait for."""
        results, _ = self._step.on_batch([dict(split(read))[self._shard]])
        (joined,) = [result for result in results if isinstance(result, Joined)]
        return joined.unmatched


def test_at_the_end_of_files_they_leave_one_for_each_outcome() -> None:
    shard = Shard(Joining(), "A")
    assert shard.unmatched(batch(OUTCOME, "A", "A")) is None
    assert shard.unmatched(batch(CALL, last=True)) == ["A", "A"]


def test_in_a_service_they_leave_once_an_hour_and_once_more_when_none_waits_any_longer() -> None:
    now = [1000.0]
    shard = Shard(Joining(monotonic=lambda: now[0]), "A")
    said = []
    for seconds, read in (
        (10, batch(OUTCOME, "A")),
        (3600, batch(CALL)),
        (10, batch(CALL, "A")),
        (3600, batch(CALL)),
        (3600, batch(CALL)),
    ):
        now[0] += seconds
        said.append(shard.unmatched(read))
    assert said == [None, ["A"], None, [], None]


def test_of_many_only_some_are_looked_at() -> None:
    shard = Shard(Joining(), "A")
    found = shard.unmatched(batch(OUTCOME, *["A"] * (MOST_UNMATCHED + 1), last=True))
    assert found == ["A"] * MOST_UNMATCHED


def test_erased_ids_are_forgotten_and_the_others_are_kept_over_a_resume() -> None:
    ids = Unmatched()
    ids.put("s1", ["a", "b", "a"])
    ids.put("s2", ["a"])
    ids.erase(["a"])
    assert Unmatched.from_state(ids.state()).state() == {"s1": ["b"]}
