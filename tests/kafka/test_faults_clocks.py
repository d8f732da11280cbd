"""Clocks that are wrong: of this host, and of producers. Nothing is lost, and what is right is counted."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.faults.clock import WrongClock
from kafka.service import Pipeline, Running, rfc3339

Pipelines = Callable[..., Pipeline]
HOUR_S, DAY_S = 3600.0, 86_400.0
BEATS_S = 6
"""Longer than from one heartbeat of the claim to the next."""


@pytest.mark.first
@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_host_whose_clock_is_wrong_reads_nothing_while_it_is_behind_and_loses_nothing(
    pipeline: Pipelines, tmp_path: Path, processes: int
) -> None:
    clock = WrongClock(tmp_path / "clock")
    it = pipeline(lanes=2)
    it.send(300)
    clock.set(-HOUR_S)
    running = it.start(processes=processes, before=lambda: None, **clock.variables)
    until_held(running)
    assert read(running) == 0
    clock.set(0)
    running.until_counted()
    running.until(running.ready)
    assert running.logged("paused (host_clock): the clock of this host is ")
    assert running.logged("resumed (host_clock)")
    assert running.metric("aftercall_paused", cause="host_clock") == 0
    # Set back while it runs: what comes at once must not be refused either.
    clock.set(-2 * HOUR_S)
    it.send(600)
    until_held(running)
    assert running.logged("this host's clock was set back by 2h; starting again")
    clock.set(0)
    running.until_counted()
    # Nine of ten records come from a producer whose clock is wrong, and the others count all the same.
    send_from_tomorrow(it, 900)
    it.send(60)
    running.until_counted()
    running.until(running.ready)
    # Ahead: what was held is held still, no partition is behind, nothing is dropped for its age.
    clock.set(60 * DAY_S)
    it.send(300)
    running.until_counted()
    clock.set(0)
    it.send(300)
    running.until_counted()
    running.until(running.ready)
    running.stop()
    it.assert_right()


@pytest.mark.slow
@pytest.mark.long
def test_where_only_inputs_have_the_brokers_times_their_records_show_a_clock_that_is_behind(
    pipeline: Pipelines, tmp_path: Path
) -> None:
    clock = WrongClock(tmp_path / "clock")
    it = pipeline(lanes=2)
    of_broker = {"message_timestamp_type": "LogAppendTime"}
    it.topics |= {name: it.cluster.fresh_topic(it.partitions, name, **of_broker) for name in ("calls", "outcomes")}
    it.topics["claims"] = it.cluster.fresh_topic(1, "claims")
    it.send(300)
    clock.set(-HOUR_S)
    running = it.start(processes=1, before=lambda: None, **clock.variables)
    until_held(running)
    it.send(90)
    assert read(running) == 0
    clock.set(0)
    running.until_counted()
    running.until(running.ready)
    running.stop()
    it.assert_right()


def until_held(running: Running) -> None:
    """Wait until the lanes have held for longer than from one heartbeat to the next."""

    def held() -> bool:
        status, body = running.probe("/readyz")
        found = re.search(r"host_clock: the clock of this host is .* behind .* \(for (\d+) s\)", body)
        return status == 503 and found is not None and int(found[1]) >= BEATS_S

    running.until(held)
    assert running.metric("aftercall_paused", cause="host_clock") == 1
    assert running.probe("/healthz")[0] == 200


def read(running: Running) -> float:
    """How many records both processes have read."""
    kinds = ("call", "outcome")
    found = [running.metric("aftercall_records_total", i, kind=kind) for i in range(2) for kind in kinds]
    return sum(count or 0 for count in found)


def send_from_tomorrow(it: Pipeline, count: int) -> None:
    """Send calls by a producer whose clock is a day ahead; each must become a dead letter."""
    for index in range(count):
        call = {"call_id": f"tomorrow-{index}", "occurred_at": rfc3339(time.time() + DAY_S)}
        value = json.dumps(call | {"task_type": "t", "model": "m"}).encode()
        it.send_refused("calls", index % it.partitions, value, "future")
    it.cluster.flush()
