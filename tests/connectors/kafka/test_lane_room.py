"""Where outcomes that wait for their calls have no room: what a lane reads, and how long it waits for calls."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from connectors.batch import ENDED, Batch
from connectors.kafka.lane_settings import LaneCallbacks
from connectors.pauses import PAUSES
from kafka.lane_rig import T0_US, Rig, call, has_read, ids_of, is_idle, outcome, read_until

pytestmark = pytest.mark.slow  # each waits for a broker and for clocks


def test_where_outcomes_have_no_room_calls_are_read_as_far_as_is_needed(rig: Callable[..., Rig]) -> None:
    """Further than `max_lead` ahead of the outcomes, which are not read; then the outcomes are read again."""
    it = rig(partitions=1, max_lead_us=60_000_000)
    needed: list[int | None] = [T0_US + 30 * 60_000_000]
    it.callbacks = LaneCallbacks(needed=lambda: needed[0])
    it.broker.produce(it.calls, 0, "c0", call(0))
    it.broker.produce(it.outcomes, 0, "c0", outcome(0))
    with it.lane() as lane:
        # The first poll reads before anything is paused.
        first = read_until(lane, has_read(1))
        it.broker.produce(it.outcomes, 0, "c1", outcome(1, 1))
        calls: list[Batch] = []
        for minute in range(10, 50, 10):
            it.broker.produce(it.calls, 0, f"m{minute}", call(minute, minute))
            if minute <= 40:
                calls += read_until(lane, has_read(1))
        assert {b.calls.records[0].call_id for b in first + calls if len(b.calls.pos)} >= {"c10", "c20", "c30", "c40"}
        assert "c1" not in [r.call_id for b in first + calls for r in b.outcomes.records]
        assert calls[-1].calls_low == T0_US + 40 * 60_000_000
        assert PAUSES.is_paused("waiting_outcomes")
        needed[0] = None
        assert "c1" in ids_of(read_until(lane, lambda batches: any(len(b.outcomes.pos) for b in batches)))


def test_calls_that_stay_away_are_given_up_where_outcomes_have_no_room(rig: Callable[..., Rig]) -> None:
    it = rig(partitions=1, orphan_wait_s=1.0)
    needed: list[int | None] = [None]
    it.callbacks = LaneCallbacks(needed=lambda: needed[0])
    it.broker.produce(it.calls, 0, "c0", call(0))
    it.broker.produce(it.outcomes, 0, "c0", outcome(0))
    with it.lane() as lane:
        batches = read_until(lane, is_idle)
        assert batches[-1].calls_high == T0_US
        needed[0] = T0_US
        began = time.monotonic()
        read_until(lane, lambda batches: bool(batches) and batches[-1].calls_high == ENDED)
        assert time.monotonic() - began >= 1.0
        it.broker.produce(it.calls, 0, "c1", call(1, 1))
        assert read_until(lane, has_read(1))[-1].calls_high == T0_US + 60_000_000


def test_while_no_broker_answers_calls_do_not_stay_away(rig: Callable[..., Rig]) -> None:
    """Also where there is no claim, which would hold the lane: that they are at their end is not known then."""
    it = rig(partitions=1, orphan_wait_s=0.3)
    it.callbacks = LaneCallbacks(needed=lambda: T0_US)
    it.broker.produce(it.calls, 0, "c0", call(0))
    it.broker.produce(it.outcomes, 0, "c0", outcome(0))
    PAUSES.begin("broker", "a test", "no broker answers")
    try:
        with it.lane() as lane:
            batches = read_until(lane, has_read(1))
            began = time.monotonic()
            batches += read_until(lane, lambda _: time.monotonic() - began > 1.5)
            assert ENDED not in {batch.calls_high for batch in batches}
            PAUSES.end("broker", "a test", at_once=True)
            read_until(lane, lambda batches: bool(batches) and batches[-1].calls_high == ENDED)
    finally:
        PAUSES.end("broker", "a test", at_once=True)
