"""Processes are killed, stopped, starved, and fail by a defect."""

from __future__ import annotations

import random
import resource
import time
from typing import Final

from benchmarks.faults.defect import with_defect
from benchmarks.faults.stage import Stage

_MEMBERS_END_S: Final = 30.0
_FAILS_WITHIN_S: Final = 15.0
_DEFECTS: Final = ("models.join.join:Join.process@3", "flows.dataflow.stored_state:StoredState.stored@3")
_RANDOM: Final = random.Random(7)


def killed(stage: Stage) -> None:
    """SIGKILL of all processes in the middle of records."""
    stage.started(0.3)
    for share in (0.5, 0.7):
        stage.write(share)
        stage.until(lambda: stage.pipeline.resumed_s is not None, "records are read")
        stage.pipeline.kill_all(_RANDOM)
        stage.start(processes=2)
    stage.finish()


def member_killed(stage: Stage) -> None:
    """SIGKILL of one of two processes."""
    stage.started(0.4, processes=2)
    stage.write(0.6)
    stage.pipeline.kill_member(_RANDOM)
    stage.ends(1, "every process must end by itself")
    stage.finish(processes=2)


def parent_killed(stage: Stage) -> None:
    """SIGKILL of the parent of two processes."""
    stage.started(0.4, processes=2)
    stage.write(0.6)
    stage.pipeline.kill_parent()
    began = time.monotonic()
    stage.start(processes=2)
    while not stage.pipeline.runs() and time.monotonic() - began < _MEMBERS_END_S:
        stage.start(processes=2)  # the members have not ended yet
        time.sleep(1)
    stage.finish()


def stopped_amid_records(stage: Stage) -> None:
    """SIGTERM while a backlog is read."""
    stage.write(1)
    stage.start(processes=2)
    stage.until(lambda: stage.pipeline.resumed_s is not None, "records are read")
    stage.stop()
    stage.finish()


def other_numbers_of_processes(stage: Stage) -> None:
    """One process, then three, then two."""
    for share, processes in ((0.3, 1), (0.6, 3), (0.8, 2)):
        stage.started(share, processes=processes)
        stage.stop()
    stage.finish()


def without_memory(stage: Stage) -> None:
    """No more memory in the middle of records (ulimit -v)."""
    stage.started(0.3)
    pid = stage.pipeline.process.pid
    resource.prlimit(pid, resource.RLIMIT_AS, (_virtual_bytes(pid), resource.RLIM_INFINITY))
    for share in (0.5, 0.7, 0.9):
        stage.write(share)
        ended = time.monotonic() + _FAILS_WITHIN_S
        while stage.pipeline.runs() and time.monotonic() < ended:
            time.sleep(0.1)
    if stage.pipeline.runs():
        stage.reads_all()  # what it had was enough
        stage.pipeline.end()
    elif stage.pipeline.process.returncode == 0 or not stage.pipeline.complaints():
        stage.findings.add("silent", f"without memory it must end with words; got {stage.pipeline.process.returncode}")
    stage.expect_traceback("MemoryError")
    stage.finish()


def without_file_handles(stage: Stage) -> None:
    """24 open files at most (ulimit -n)."""
    stage.started(0.4)
    stage.stop()
    stage.start(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)))
    stage.ends(1, "aftercall: ")
    stage.finish()


def defect(stage: Stage) -> None:
    """A step raises what was not foreseen: KeyError, MemoryError."""
    stage.write(0.5)
    for place, error in zip(_DEFECTS, ("KeyError", "MemoryError"), strict=True):
        stage.start(variables=with_defect(place, error))
        stage.ends(1, "Traceback", error)
        stage.expect_traceback(error)
    stage.finish()


def _virtual_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123 - no file of ours
        return int(file.read().split()[0]) * resource.getpagesize()


FAULTS: Final = (
    killed, member_killed, parent_killed, stopped_amid_records, other_numbers_of_processes, without_memory,
    without_file_handles, defect,
)  # fmt: skip
