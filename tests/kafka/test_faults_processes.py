"""Processes are stopped, killed, left alone, and change in number: they end, and what comes after them is right."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kafka.exits import VARIABLES
from kafka.service import Pipeline

Pipelines = Callable[..., Pipeline]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "processes"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_stopped_its_last_snapshot_has_all_that_was_read(
    pipeline: Pipelines, number: signal.Signals, processes: int
) -> None:
    """With a snapshot every hour there is only the last one.

    Nor does any process end its libraries, which may crash the threads that still answer requests. One outcome is on
    another partition than its call.
    """
    it = pipeline()
    it.send(3_000)
    it.send_outcome("call-1", 0, time.time() - 500, success=True)
    it.cluster.flush()
    running = it.start(processes=processes, before=None, AFTERCALL_SNAPSHOT__EVERY="1h", **VARIABLES)
    running.until(lambda: read(it, processes) == it.records)
    running.until(lambda: total(it, processes, "aftercall_split_keys_total") == 1)
    running.stop(number)
    it.assert_right()
    it.assert_goes_on(processes=processes)


def read(it: Pipeline, processes: int) -> float:
    """How many records the lanes have read, over all processes."""
    return sum(total(it, processes, "aftercall_records_total", kind=kind) for kind in ("call", "outcome"))


def total(it: Pipeline, processes: int, name: str, **labels: str) -> float:
    """A metric, over all processes."""
    return sum(it.started[-1].metric(name, process, **labels) or 0 for process in range(processes))


@pytest.mark.slow
def test_another_number_of_processes_keeps_every_count(pipeline: Pipelines) -> None:
    it = pipeline(partitions=3, lanes=3)
    it.start(processes=4).assert_refused(2, "--processes", "kafka.lanes", "got 4")
    for processes in (1, 3, 2):
        it.assert_goes_on(processes=processes)


@pytest.mark.slow
def test_members_die_with_their_parent_and_a_new_start_works(pipeline: Pipelines) -> None:
    it = pipeline()
    it.send(300)
    running = it.start(processes=2)
    running.until_counted()
    members = running.members()
    assert len(members) == 2
    it.send(300)
    running.kill()
    again = it.start(processes=2)
    again.until_counted()
    assert not any(lives(member) for member in members)
    again.stop()
    it.assert_right()


@pytest.mark.slow
def test_one_member_killed_ends_the_rest_with_a_sentence(pipeline: Pipelines) -> None:
    it = pipeline()
    it.send(300)
    running = it.start(processes=2)
    running.until_counted()
    members = running.members()
    it.send(300)
    os.kill(members[1], signal.SIGKILL)
    running.assert_refused(1, "every process must end by itself", "1 (exit code -9)", "resumes at its last epoch")
    assert not any(lives(member) for member in members)
    it.assert_goes_on(processes=2)


def lives(pid: int) -> bool:
    """An orphan that is not reaped is dead all the same."""
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"
