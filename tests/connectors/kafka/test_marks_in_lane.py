"""The topic of marks beside the others: read once, also after a resume, and no clock waits for it; on both brokers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from aftercall.times import NEVER
from connectors.batch import Batch
from kafka.lane_rig import T0_US, Rig, call, has_read, is_idle, outcome, read_until

pytestmark = pytest.mark.slow  # each waits for a broker and for clocks


def mark(number: int, minute: int = 0) -> bytes:
    at = f"2026-01-01T{minute // 60:02d}:{minute % 60:02d}:00Z"
    return json.dumps({"mark_id": f"m{number}", "occurred_at": at, "task_type": "t", "text": "v8"}).encode()


def marks_of(batches: list[Batch]) -> list[tuple[str, str, int]]:
    return [(m.mark_id, b.partitions[m.partition], m.offset) for b in batches for m in b.deployed]


def test_marks_are_read_once_and_hold_no_watermark_back(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1)
    topic = it.broker.fresh_topic(1, "marks")
    it = rig(partitions=1, marks=topic, idle_after_s=1000.0)
    it.broker.produce(it.calls, 0, "c1", call(1, 5))
    it.broker.produce(it.outcomes, 0, "c1", outcome(1, 6))
    it.broker.produce(topic, 0, "m1", mark(1, 50))
    it.broker.produce(topic, 0, "m2", b"{}")
    with it.lane() as lane:
        batches = read_until(lane, has_read(4))
        state = lane.snapshot()
    assert marks_of(batches) == [("m1", f"{topic}/0", 0)]
    assert [(refused.reason, refused.key) for b in batches for refused in b.refused] == [("missing_field", "m2")]
    assert (batches[-1].low, batches[-1].high) == (T0_US + 5 * 60_000_000, T0_US + 6 * 60_000_000)
    it.broker.produce(topic, 0, "m3", mark(3, 1))
    with it.lane(state) as lane:
        batches = read_until(lane, has_read(1))
    assert marks_of(batches) == [("m3", f"{topic}/0", 2)]
    assert batches[-1].deployed[0].wm == T0_US + 5 * 60_000_000


def test_a_lane_of_marks_alone_is_idle(rig: Callable[..., Rig]) -> None:
    """Of two lanes the second has no partition of calls, as they have but one."""
    topic = rig().broker.fresh_topic(2, "marks")
    it = rig(partitions=1, marks=topic, lanes=2)
    it.broker.produce(topic, 1, "m1", mark(1, 50))
    with it.lane(number=1) as lane:
        batches = read_until(lane, has_read(1))
    assert marks_of(batches) == [("m1", f"{topic}/1", 0)]
    assert (batches[-1].low, batches[-1].high, batches[-1].idle) == (NEVER, NEVER, True)
    assert batches[-1].deployed[0].wm == NEVER


def test_a_topic_of_marks_that_does_not_exist_is_not_missed(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1, marks="marks-never-made")
    it.broker.produce(it.calls, 0, "c1", call(1, 5))
    with it.lane() as lane:
        read_until(lane, is_idle)
    assert it.poller.latest is not None
    assert set(it.poller.latest.partitions) == {it.calls, it.outcomes}
