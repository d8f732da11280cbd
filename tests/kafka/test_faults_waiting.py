"""A flood of outcomes whose calls never come is bounded, passes by itself, and costs no other outcome its call."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kafka.service import Pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

Pipelines = Callable[..., Pipeline]
BOUND = 1_200
FLOOD = 10 * BOUND


def _flood(it: Pipeline, ago_s: float) -> None:
    """Ten times as many outcomes as may wait, on all partitions, within two seconds of event time."""
    at = time.time() - ago_s
    for i in range(FLOOD):
        it.send_outcome(f"stranger-{i}", i % it.partitions, at + i / FLOOD, success=True)
    it.cluster.flush()


def _assert_passed(it: Pipeline, live: int) -> None:
    """All was read; the outcomes of calls that came count, of the others as many wait as may, or fewer."""
    row = it.row()
    assert (row["successes"], row["failures"]) == (live // 3, live // 3)
    assert row["orphans"] + row["waiting"] == row["orphans"] + row["records"] - row["calls"] - row["outcomes"] - (
        row["dead_letters"] + row["duplicates"]
    )
    assert row["orphans"] == row["dead_letters"] >= FLOOD - BOUND
    assert 0 < row["waiting"] <= BOUND


def _read(it: Pipeline) -> bool:
    return it.row().get("records") == it.records


def test_the_outcomes_of_live_calls_behind_a_flood_count(pipeline: Pipelines) -> None:
    """The calls have passed the flood by more than `allowed_lateness`, or do while its partitions are paused."""
    it = pipeline(max_waiting=BOUND, allowed_lateness="1m")
    it.send(30, ago_s=1_000)
    _flood(it, ago_s=990)
    it.send(300, ago_s=600)
    running = it.start()
    running.until(lambda: _read(it))
    running.until(running.ready)
    running.stop()
    _assert_passed(it, 330)


def test_without_live_calls_it_waits_for_them_says_so_and_goes_on(pipeline: Pipelines) -> None:
    """For `orphan_wait` of wall clock. Killed while it waits, it waits again."""
    it = pipeline(max_waiting=BOUND, orphan_wait="5s")
    it.send(30, ago_s=1_000)
    _flood(it, ago_s=990)
    it.send_outcome("call-0", 0, time.time() - 989, success=True)
    it.verdicts["call-0"] = "success"
    it.cluster.flush()
    running = it.start()
    running.until(lambda: running.logged("paused (waiting_outcomes)"))
    running.kill()
    running = it.start()
    running.until(lambda: running.logged("paused (waiting_outcomes)"))
    running.until(lambda: _read(it))
    running.until(lambda: running.logged("resumed (waiting_outcomes)"))
    running.until(running.ready)
    running.stop()
    row = it.row()
    assert (row["successes"], row["failures"]) == (11, 10)
    assert row["orphans"] + row["waiting"] == FLOOD
