"""Two services on one set of topics, other settings, other folders."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from typing import Final

from benchmarks.faults.stage import Stage

_WATCHES_LONG: Final = {"AFTERCALL_CLAIM_WATCH_S": "30"}


def second_service(stage: Stage) -> None:
    """A second service on the topics, with a folder of its own."""
    stage.started(0.4)
    first = stage.pipeline
    stage.pipeline = stage.another("second")
    stage.others.append(first)
    stage.refused(1, "only one service may run on these topics", str(first.out), "--take-over", variables=_WATCHES_LONG)
    stage.others.append(stage.pipeline)
    stage.pipeline = first
    stage.finish()


def copied_folder(stage: Stage) -> None:
    """A copy of the folder is started beside the first, and once more after it has fallen behind."""
    stage.started(0.4)
    first = stage.copied("copy")
    stage.refused(1, "only one service may run on these topics", str(first.out), variables=_WATCHES_LONG)
    copy, stage.pipeline = stage.pipeline, first
    stage.stop()
    stage.started(0.6)
    stage.stop()
    stage.pipeline = copy
    stage.refused(1, "fell behind", "--take-over")
    stage.others.append(copy)
    stage.pipeline = first
    stage.finish()


def frozen_and_replaced(stage: Stage) -> None:
    """SIGSTOP of a service, another takes over, SIGCONT."""
    stage.started(0.4)
    frozen = stage.pipeline
    os.kill(frozen.process.pid, signal.SIGSTOP)
    stage.copied("copy")
    stage.start("--take-over")
    stage.write(0.6)
    stage.reads_all()
    os.kill(frozen.process.pid, signal.SIGCONT)
    running, stage.pipeline = stage.pipeline, frozen
    stage.ends(1, "another one has taken over", within_s=30)
    stage.pipeline = running
    stage.finish()


def moved_pod(stage: Stage) -> None:
    """Killed, and its folder goes on under another path."""
    stage.started(0.4)
    stage.pipeline.process.kill()
    stage.pipeline.process.wait()
    stage.copied("moved")
    stage.start()
    stage.paused("claim")
    stage.reads_all()
    stage.resumes("claim")
    stage.finish()


def folder_and_port_taken(stage: Stage) -> None:
    """The folder, or the port, is in use."""
    stage.started(0.4)
    first = stage.pipeline
    stage.pipeline = stage.another("beside")
    stage.pipeline.out = first.out
    stage.refused(1, "must be this run's alone")
    stage.pipeline = stage.another("elsewhere")
    with socket.create_server(("127.0.0.1", stage.pipeline.port)):
        stage.refused(1, f"{stage.pipeline.port} must be free", "service.port")
    stage.pipeline = first
    stage.configure("join")
    stage.finish()


def other_settings(stage: Stage) -> None:
    """A setting that decides verdicts, other topics, another number of lanes."""
    stage.started(0.4)
    stage.stop()
    names = dict(stage.settings["kafka.topics"])
    for section, key, value, said in (
        ("join", "horizon", "48h", "join.horizon was '3d', is '48h'"),
        ("kafka", "lanes", 3, "kafka.lanes was 6, is 3"),
        ("kafka.topics", "calls", names["outcomes"] + ".2", "kafka.topics.calls was"),
    ):
        if section == "kafka.topics":
            stage.broker.topic(str(value), stage.partitions)
        before = stage.settings[section].get(key)
        stage.configure(section, **{key: value})
        stage.refused(2, said)
        if before is None:
            del stage.settings[section][key]
            stage.configure(section)
        else:
            stage.configure(section, **{key: before})
    stage.finish()


def folder_lost(stage: Stage) -> None:
    """The whole folder is lost: a new one reads from the beginning."""
    stage.started(0.6)
    stage.stop()
    shutil.rmtree(stage.pipeline.out)
    stage.finish()


FAULTS: Final = (
    second_service, copied_folder, frozen_and_replaced, moved_pod, folder_and_port_taken, other_settings, folder_lost,
)  # fmt: skip
