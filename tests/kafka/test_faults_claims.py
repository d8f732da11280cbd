"""Two services on one set of topics: the second is refused, or the first is ended before it stores anything more."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.faults.defect import with_defect
from flows.runtime.run_folder import read_run
from harness.waiting import assert_prompt
from kafka.service import Pipeline

Pipelines = Callable[..., Pipeline]
NOTICED_S = 10.0
"""A heartbeat, and the time to look who has the claim."""


def beside(pipeline: Pipelines, it: Pipeline, *, copied: bool) -> Pipeline:
    """Another folder over the same topics: a new one, or a copy of what is there now."""
    other = pipeline(it.cluster)
    other.topics = it.topics
    other.settings["kafka.topics"] = it.topics
    other.verdicts, other.outcomes, other.dead = it.verdicts, it.outcomes, it.dead
    if copied:
        shutil.copytree(it.out, other.out, symlinks=True)
    else:
        other.settings["service"]["port"] = 0  # the copy has the next ones
    return other


@pytest.mark.slow
def test_a_second_service_is_refused_while_the_first_runs_and_goes_on_once_it_has_ended(pipeline: Pipelines) -> None:
    it = pipeline()
    it.send(300)
    running = it.start()
    running.until_counted()
    copy, other = beside(pipeline, it, copied=True), beside(pipeline, it, copied=False)
    refused = [one.start(AFTERCALL_CLAIM_WATCH_S="30") for one in (copy, other)]
    for one in refused:
        one.assert_refused(1, "only one service may run on these topics", str(it.out), "--take-over")
    running.stop()
    it.assert_right()
    # Released, so nothing is watched for.
    began = time.monotonic()
    copied = copy.start(AFTERCALL_CLAIM_WATCH_S="300")
    copied.until(copied.ready)
    assert_prompt(began, 60, copied.printed)
    copied.stop()
    assert incarnation(copy.out) == incarnation(it.out) + 1
    # Now the first is the one that fell behind.
    it.start().assert_refused(1, str(it.out), "a copy that fell behind", str(copy.out), "--take-over")
    taken = it.start("--take-over")
    taken.until(taken.ready)
    taken.stop()
    it.assert_right()


@pytest.mark.slow
def test_after_a_kill_a_moved_folder_goes_on_once_it_has_watched_and_the_same_one_at_once(pipeline: Pipelines) -> None:
    it = pipeline()
    it.send(300)
    running = it.start()
    running.until_counted()
    running.kill()
    again = it.start(AFTERCALL_CLAIM_WATCH_S="300")
    again.until(again.ready)
    again.kill()
    moved = beside(pipeline, it, copied=True)
    stopped = moved.start(AFTERCALL_CLAIM_WATCH_S="300")
    stopped.until(lambda: stopped.logged("paused (claim): another service has claimed these topics"))
    stopped.until(lambda: stopped.probe("/healthz")[0] == 200)
    status, body = stopped.probe("/readyz")
    assert status == 503
    assert "claim: another service has claimed" in body
    assert str(it.out) in body
    assert stopped.metric("aftercall_paused", cause="claim") == 1
    stopped.stop()
    watched = moved.start(AFTERCALL_CLAIM_WATCH_S="6")
    watched.until(watched.ready)
    assert watched.logged("resumed (claim)")
    watched.stop()
    moved.assert_right()


EPOCH_S = 8
"""On a busy machine too it is stopped long before the end, not between the confirmation of an epoch and its storing."""


@pytest.mark.slow
@pytest.mark.long
def test_a_service_that_stood_still_meanwhile_ends_and_stores_nothing(pipeline: Pipelines) -> None:
    it = pipeline(lanes=2)
    it.send(300)
    zombie = it.start(processes=2, AFTERCALL_RECOVERY__EPOCH=f"{EPOCH_S}s")
    zombie.until_counted()
    before, looks = epochs(it.out), list[list[tuple[object, ...]]]()

    def ended() -> bool:
        """An epoch has, of all workers: each stores a row of its own."""
        looks.append(epochs(it.out))
        return looks[-1] != before and looks[-10:] == [looks[-1]] * 10

    zombie.until(ended)  # the next end is far
    still = [zombie.process.pid, *zombie.members()]
    overdue = time.monotonic() + EPOCH_S
    for pid in still:
        os.kill(pid, signal.SIGSTOP)
    copy = beside(pipeline, it, copied=True)
    copy.send(600)
    running = copy.start("--take-over")
    running.until_counted()
    stored = epochs(it.out)
    # It goes on where the end of its epoch has passed, and would store it at once.
    time.sleep(max(0.0, overdue - time.monotonic()))
    began = time.monotonic()
    for pid in reversed(still):
        os.kill(pid, signal.SIGCONT)
    zombie.assert_refused(1, "another one has taken over", str(copy.out), promised_s=NOTICED_S)
    assert epochs(it.out) == stored
    assert_prompt(began, NOTICED_S, zombie.printed)
    running.until_counted()
    running.stop()
    copy.assert_right()
    assert_repeats_are_the_same(copy)
    # Its folder fell behind.
    it.start().assert_refused(1, "a copy that fell behind", str(copy.out))


@pytest.mark.slow
def test_it_stores_no_more_than_the_epoch_that_was_confirmed_before_it_stood_still(pipeline: Pipelines) -> None:
    """Nothing can come between the confirmation and the storing but the service itself standing still."""
    it = pipeline(lanes=2)
    it.send(300)
    confirmed = "flows.dataflow.snapshot_sink:SnapshotPartition.snapshot@2"
    zombie = it.start(processes=1, before=None, AFTERCALL_RECOVERY__EPOCH="1s", **with_defect(confirmed, "SIGSTOP"))
    zombie.until(lambda: is_stopped(zombie.process.pid))
    before = frontier(it.out)
    copy = beside(pipeline, it, copied=True)
    copy.send(300)
    running = copy.start("--take-over")
    running.until_counted()
    assert frontier(it.out) == before
    os.kill(zombie.process.pid, signal.SIGCONT)
    zombie.assert_refused(1, "another one has taken over", str(copy.out), promised_s=NOTICED_S)
    assert frontier(it.out) in {before, before + 1}
    running.until_counted()
    running.stop()
    copy.assert_right()
    assert_repeats_are_the_same(copy)
    it.start().assert_refused(1, "a copy that fell behind", str(copy.out))


def is_stopped(pid: int) -> bool:
    """Whether a process stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def frontier(out: Path) -> int:
    """The epoch in which a folder goes on."""
    (store,) = (out / "state" / "recovery").glob("part-*.sqlite3")
    with closing(sqlite3.connect(store)) as opened:
        return int(opened.execute("SELECT max(worker_frontier) FROM fronts").fetchone()[0])


def assert_repeats_are_the_same(it: Pipeline) -> None:
    """What both have written of a statement has one `event_id`."""
    ids: dict[tuple[str, int], set[str]] = {}
    for read in it.cluster.read_all(it.topics["verdicts"]):
        record = json.loads(read.value or b"")
        ids.setdefault((record["call_id"], record["seq"]), set()).add(record["event_id"])
    assert {len(found) for found in ids.values()} == {1}


def epochs(out: Path) -> list[tuple[object, ...]]:
    """The epochs that a folder has stored, as Bytewax counts them: it goes on after the last one."""
    (store,) = (out / "state" / "recovery").glob("part-*.sqlite3")
    with closing(sqlite3.connect(store)) as opened:
        return [
            row
            for table in ("exs", "fronts", "commits")
            for row in opened.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
        ]


def incarnation(out: Path) -> int:
    """The start that a folder was used by last."""
    return int(read_run(out / "state")["incarnation"])
