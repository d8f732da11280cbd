"""Partitions that are silent or behind, wrong clocks, poison: the watermark is right, and so is every count."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from harness.waiting import assert_prompt
from kafka.service import Pipeline, rfc3339

Pipelines = Callable[..., Pipeline]


def watermark(it: Pipeline) -> float:
    """Of the newest snapshot, in seconds since 1970; 0 where there is none."""
    at: datetime | None = it.row().get("watermark")
    return 0.0 if at is None else at.replace(tzinfo=UTC).timestamp()


@pytest.mark.slow
def test_a_silent_partition_does_not_hold_the_watermark_and_what_it_brings_later_counts(pipeline: Pipelines) -> None:
    it = pipeline()
    began = time.time()
    it.send(30, partition=0, ago_s=3_000)
    it.send(30, partition=1, ago_s=3_000)
    running = it.start()
    running.until_counted()
    # Partition 1 falls silent; the other goes on for 40 minutes of event time.
    it.send(30, partition=0, ago_s=600)
    running.until(lambda: watermark(it) > began - 650)
    # What partition 1 had kept is older than the watermark, and within the lateness of an hour.
    it.send(30, partition=1, ago_s=2_400)
    running.until_counted()
    running.stop()
    it.assert_right()


@pytest.mark.slow
def test_a_partition_an_hour_behind_is_waited_for_and_nothing_is_late(pipeline: Pipelines) -> None:
    """Calls close after 10 minutes: were partition 0 not waited for, what it holds would be too old."""
    it = pipeline(horizon="10m", allowed_lateness="0s", max_lead="5m", orphan_wait="10m")
    # Small fetches, or all of it would be read before anything can be paused.
    it.settings["kafka.librdkafka"] |= {"max.partition.fetch.bytes": 50_000, "queued.max.messages.kbytes": 50}
    now = time.time()
    for minute in range(120, 0, -1):
        for partition in (0, 1):
            # Partition 1 begins with what is an hour newer.
            ago_s = minute * 30 + (1_800 if partition == 0 else 0)
            it.send(30, partition=partition, ago_s=ago_s)
    running = it.start()
    paused = False

    def counted() -> bool:
        nonlocal paused
        paused = paused or any(
            running.metric("aftercall_partition_paused", topic=it.topics[kind], partition="1") == 1.0
            for kind in ("calls", "outcomes")
        )
        return it.all_counted()

    running.until(counted)
    assert paused
    running.until(lambda: watermark(it) > now - 120)
    running.stop()
    row = it.row()
    assert (row["records"], row["calls"], row["outcomes"]) == (it.records, len(it.verdicts), it.outcomes)
    assert (row["late"], row["dead_letters"], row["orphans"]) == (0, 0, 0)
    assert row["successes"] == row["failures"] == len(it.verdicts) // 3


@pytest.mark.slow
def test_a_clock_in_2090_moves_nothing(pipeline: Pipelines) -> None:
    it = pipeline()
    began = time.time()
    it.send(30)
    in_2090 = datetime(2090, 1, 1, tzinfo=UTC).timestamp()
    for i in range(20):
        call: dict[str, Any] = {"call_id": f"future-{i}", "task_type": "t", "model": "m"}
        it.send_refused("calls", i % 2, json.dumps(call | {"occurred_at": rfc3339(in_2090)}).encode(), "future")
    it.send(30)
    running = it.start()
    running.until_counted()
    running.until(lambda: watermark(it) > began - 650)
    it.send(30)
    running.until_counted()
    assert watermark(it) < time.time()
    running.stop()
    it.assert_right()


@pytest.mark.slow
def test_ten_thousand_poison_records_in_a_row_are_dead_letters_and_the_good_ones_count(
    pipeline: Pipelines,
) -> None:
    it = pipeline()
    it.send(300)
    for i in range(10_000):
        value, reason = (b"\xff{", "not_utf8") if i % 3 else (b'{"call_id": ', "not_json")
        it.send_refused("calls" if i % 2 else "outcomes", i // 2 % 2, value, reason)
    it.send(300)
    running = it.start(processes=2)
    running.until_counted()
    began = time.monotonic()
    it.send(300)
    running.until_counted()
    assert_prompt(began, 15, running.printed)
    running.stop()
    it.assert_right()
